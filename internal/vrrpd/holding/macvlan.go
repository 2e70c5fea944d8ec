package holding

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	// macvlanGroup marks a macvlan as ours from the moment it is made, as its alias, which
	// can be given later only, does from then on.
	macvlanGroup = 0x76727270
	aliasPrefix  = "hareconcile-vrrpd "
)

// A macvlanKey says which virtual router's macvlan a link is.
type macvlanKey struct {
	parent int
	vrid   uint8
	ipv6   bool
}

// virtualMAC is RFC 9568, section 7.3.
func (k macvlanKey) virtualMAC() [6]byte {
	mac := [6]byte{0x00, 0x00, 0x5e, 0x00, 0x01, k.vrid}
	if k.ipv6 {
		mac[4] = 0x02
	}
	return mac
}

// macvlanOf reports whether a link is a macvlan of ours, and whose.
func macvlanOf(l *rtnl.Link) (k macvlanKey, ok bool) {
	k = macvlanKey{l.Parent, l.MAC[5], l.MAC[4] == 0x02}
	ours := l.Group == macvlanGroup || strings.HasPrefix(l.Alias, aliasPrefix)
	return k, ours && l.Kind == "macvlan" && l.Parent != 0 && l.MAC == k.virtualMAC()
}

// macvlanKey is that of o's macvlan; the parent is 0 if it can have none.
func (o *owner) macvlanKey() macvlanKey {
	if !o.wants.VirtualMAC {
		return macvlanKey{}
	}
	return macvlanKey{o.device, o.wants.VRID, o.wants.Family == resource.IPv6}
}

// name returns a name for a new macvlan: vrrp4-7, or one that says more if that is taken.
func (t *Table) macvlanName(k macvlanKey, taken map[string]bool) string {
	family := 4
	if k.ipv6 {
		family = 6
	}
	name := fmt.Sprintf("vrrp%d-%d", family, k.vrid)
	if t.names[name] != 0 || taken[name] {
		// At most 14 characters of the 15: an index has six digits in base 36.
		name = fmt.Sprintf("vr%d-%d-%s", family, k.vrid, strconv.FormatInt(int64(k.parent), 36))
	}
	taken[name] = true
	return name
}

// makeMacvlans makes those that owners lack. They are down, so that nothing leaves with
// the virtual MAC.
func (t *Table) makeMacvlans() {
	taken, made := map[string]bool{}, false
	for _, o := range t.order {
		k := o.macvlanKey()
		if k.parent == 0 || t.macvlans[k] != 0 {
			continue
		}
		c := &linkChange{rtnl.LinkChange{
			Name: t.macvlanName(k, taken), Parent: k.parent, MAC: k.virtualMAC(), Group: macvlanGroup,
		}}
		t.ask(rtnl.Request{Op: rtnl.AddLink, Link: c.LinkChange}, c)
		made = true
	}
	if !made {
		return
	}
	t.flush()
	t.listLinks() // for the new indexes
	t.resolve()
}

// setMacvlan makes o's macvlan what it should be: up while o is active, and settings by
// which it, and it alone, answers for the addresses.
func (t *Table) setMacvlan(o *owner) {
	l, ok := t.links[o.macvlan]
	if o.macvlan == 0 || !ok {
		return
	}
	if t.loose < 0 {
		t.loose = t.looseFilter()
	}
	parent := t.links[o.device]
	c := &linkChange{rtnl.LinkChange{Index: l.Index, Manual: !l.Conf.Manual()}}
	was := t.before(&parent)
	known := strings.HasPrefix(l.Alias, aliasPrefix)
	if !known {
		c.Alias = was.alias()
	}
	c.want(&l, rtnl.ConfForwarding, parent.Conf.Forwarding)
	c.want(&l, rtnl.ConfRPFilter, t.loose)
	c.want(&l, rtnl.ConfARPFilter, 0) // routes to the segment leave by the parent
	c.want(&l, rtnl.ConfARPIgnore, 1)
	c.want(&l, rtnl.ConfAcceptLocal, 1)
	c.want(&l, rtnl.ConfPromote, 1)
	if known && len(c.Conf) > 0 {
		t.repaired(o, l.Name, "setting of a virtual MAC was altered")
	}
	t.setIPv6(o, &l, &parent)
	c.Down = !o.active && l.Up
	t.set(c)
	// By itself: within one request the kernel brings a link up before it looks at the
	// settings (rtnetlink.c, do_setlink), and makes an IPv6 address of the virtual MAC.
	t.set(&linkChange{rtnl.LinkChange{Index: l.Index, Up: o.active && !l.Up}})
}

// looseFilter is the reverse path filter of a macvlan: what comes in there has its route
// back by the parent, so it cannot be strict. The larger of all's and the device's counts.
func (t *Table) looseFilter() int32 {
	if v, err := t.tools.Sysctl("net/ipv4/conf/all/rp_filter"); err == nil && v == "0" {
		return 0
	}
	return 2
}

// setIPv6 keeps router advertisements from giving the macvlan addresses and routes, and
// lets it forward as its parent does.
func (t *Table) setIPv6(o *owner, l, parent *rtnl.Link) {
	if !l.Conf.IPv6 {
		return
	}
	write := func(key string, now *int32, value int32) {
		if *now == value {
			return
		}
		if err := t.tools.SetSysctl("net/ipv6/conf/"+l.Name+"/"+key, strconv.Itoa(int(value))); err != nil {
			t.refused(err)
			return
		}
		*now = value
	}
	write("forwarding", &l.Conf.Forwarding6, parent.Conf.Forwarding6)
	write("accept_ra", &l.Conf.AcceptRA, 0)
	t.links[l.Index] = *l
}

// A prior is what arp_ignore and arp_announce of a parent were before us. It is kept in
// the alias of its macvlans, which lives as long as it is needed.
type prior struct{ ignore, announce int32 }

func (p prior) alias() string {
	return fmt.Sprintf("%sarp_ignore=%d arp_announce=%d", aliasPrefix, p.ignore, p.announce)
}

func parseAlias(s string) (p prior, ok bool) {
	n, err := fmt.Sscanf(s, aliasPrefix+"arp_ignore=%d arp_announce=%d", &p.ignore, &p.announce)
	return p, n == 2 && err == nil
}

// before returns what a parent's settings were before its first macvlan.
func (t *Table) before(parent *rtnl.Link) prior {
	if p, ok := t.priors[parent.Index]; ok {
		return p
	}
	was := prior{parent.Conf.ARPIgnore, parent.Conf.ARPAnnounce}
	for k, index := range t.macvlans { // a predecessor's
		if p, ok := parseAlias(t.links[index].Alias); ok && k.parent == parent.Index {
			was = p
		}
	}
	t.priors[parent.Index] = was
	return was
}

// quietParents keeps the parents of macvlans from answering ARP for addresses that are not
// theirs, and from asking in the name of those: that would tell the physical MAC.
func (t *Table) quietParents() {
	done := map[int]bool{}
	for _, o := range t.order {
		if o.macvlan == 0 || done[o.device] {
			continue
		}
		done[o.device] = true
		l := t.links[o.device]
		c := &linkChange{rtnl.LinkChange{Index: o.device}}
		if l.Conf.ARPIgnore == 0 || l.Conf.ARPIgnore == 3 { // the others are as good
			c.want(&l, rtnl.ConfARPIgnore, 1)
		}
		c.want(&l, rtnl.ConfARPAnnounce, 2)
		t.set(c)
	}
}

// removeMacvlans removes those that nobody wants, and with a parent's last one gives the
// parent its settings back, unless somebody else changed them since.
func (t *Table) removeMacvlans() {
	wanted := map[macvlanKey]bool{}
	parents := map[int]bool{}
	for _, o := range t.order {
		if k := o.macvlanKey(); k.parent != 0 {
			wanted[k], parents[k.parent] = true, true
		}
	}
	for k, index := range t.macvlans {
		if wanted[k] {
			continue
		}
		parent := t.links[k.parent]
		was := t.before(&parent)
		c := &linkChange{rtnl.LinkChange{Index: index}}
		t.ask(rtnl.Request{Op: rtnl.DeleteLink, Link: c.LinkChange}, c)
		if parents[k.parent] {
			continue
		}
		back := &linkChange{rtnl.LinkChange{Index: k.parent}}
		if parent.Conf.ARPIgnore == 1 {
			back.want(&parent, rtnl.ConfARPIgnore, was.ignore)
		}
		if parent.Conf.ARPAnnounce == 2 {
			back.want(&parent, rtnl.ConfARPAnnounce, was.announce)
		}
		t.set(back)
		delete(t.priors, k.parent)
	}
}
