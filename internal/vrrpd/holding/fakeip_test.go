package holding

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
)

// A fakeWorld is a fakeKernel with others on it.
type fakeWorld struct{ *fakeKernel }

var _ world = fakeWorld{}

func newFakeWorld() fakeWorld {
	w := fakeWorld{&fakeKernel{}}
	for _, s := range setting {
		if !w.ip(s) {
			panic(s)
		}
	}
	return w
}

func (w fakeWorld) hear(f func(*rtnl.Event)) {
	queue := w.queue
	w.queue = nil
	for i := range queue {
		f(&queue[i])
	}
}

func (w fakeWorld) restart() { w.queue = nil }

// fakeSettings are the settings that tests and the Table ask for by name.
func (w fakeWorld) setting(name string) *int32 {
	part := strings.Split(name, "/")
	if len(part) != 5 || w.named(part[3]) == nil {
		return new(int32)
	}
	c := &w.named(part[3]).Conf
	return map[string]*int32{
		"ipv4/arp_ignore": &c.ARPIgnore, "ipv4/arp_announce": &c.ARPAnnounce, "ipv4/promote_secondaries": &c.Promote,
		"ipv6/forwarding": &c.Forwarding6, "ipv6/accept_ra": &c.AcceptRA,
	}[part[1]+"/"+part[4]]
}

func (w fakeWorld) Sysctl(name string) (string, error) {
	return strconv.Itoa(int(*w.setting(name))), nil
}

func (w fakeWorld) SetSysctl(name, value string) error {
	n, err := strconv.Atoi(value)
	*w.setting(name) = int32(n)
	return err
}

func (w fakeWorld) Refused() (list []netip.Addr, whole bool, err error) {
	for a := range w.refused {
		list = append(list, a)
	}
	return list, w.refused != nil, nil
}

func (w fakeWorld) Refuse(add, remove []netip.Addr) error {
	if w.refused == nil {
		return unix.ENOENT
	}
	for _, a := range add {
		w.refused[a] = true
	}
	for _, a := range remove {
		if !w.refused[a] {
			return unix.ENOENT
		}
		delete(w.refused, a)
	}
	return nil
}

func (w fakeWorld) RefuseOnly(all []netip.Addr) error {
	w.refused = map[netip.Addr]bool{}
	return w.Refuse(all, nil)
}

func (w fakeWorld) RefuseNothing() error {
	w.refused = nil
	return nil
}

// words are the arguments of ip(8): what comes first, and the rest by name.
type words struct {
	object, verb, first string
	by                  map[string]string
}

func parseWords(args string) words {
	f := strings.Fields(args)
	w := words{object: f[0], verb: f[1], by: map[string]string{}}
	f = f[2:]
	for len(f) > 0 {
		switch word := f[0]; {
		case word == "-6", word == "up", word == "down", word == "prohibit", word == "blackhole", word == "peer":
			w.by[word] = word
			f = f[1:]
		case w.first == "" && w.object != "rule":
			w.first, f = word, f[1:]
		default:
			w.by[word], f = f[1], f[2:]
		}
	}
	return w
}

func (w fakeWorld) ip(args string) bool {
	v := parseWords(args)
	device := 0
	if l := w.named(v.by["dev"]); l != nil {
		device = l.Index
	} else if v.by["dev"] != "" {
		return false
	}
	switch v.object {
	case "addr":
		p := mustPrefix(v.first)
		a := rtnl.Address{Index: device, Prefix: p, Forever: v.by["valid_lft"] == ""}
		if v.verb == "del" {
			return w.deleteAddress(device, p)
		}
		return w.addAddress(a, v.verb == "change") == nil
	case "route":
		return w.ipRoute(v, device)
	case "rule":
		return w.ipRule(v)
	}
	return w.ipLink(v, args)
}

func (w fakeWorld) ipRoute(v words, device int) bool {
	r := rtnl.Route{Prefix: mustPrefix(v.first), Type: unix.RTN_UNICAST, Table: unix.RT_TABLE_MAIN, Index: device, Protocol: unix.RTPROT_BOOT}
	if v.by["blackhole"] != "" {
		r.Type = unix.RTN_BLACKHOLE
	}
	if s := v.by["via"]; s != "" {
		r.Via = netip.MustParseAddr(s)
	} else if r.Prefix.Addr().Is4() && r.Type == unix.RTN_UNICAST {
		r.Scope = unix.RT_SCOPE_LINK
	}
	for name, to := range map[string]*uint32{"metric": &r.Metric, "table": &r.Table} {
		if n, err := strconv.Atoi(v.by[name]); err == nil {
			*to = uint32(n)
		}
	}
	if v.by["proto"] != "" {
		r.Protocol = rtnl.Mark
	}
	if v.verb == "del" {
		r.Protocol = 0
		return w.deleteRoute(r)
	}
	if r.Prefix.Addr().Is6() && r.Metric == 0 {
		r.Metric = userMetric
	}
	return w.addRoute(r, v.verb == "change") == nil
}

func (w fakeWorld) ipRule(v words) bool {
	priority, err := strconv.Atoi(v.by["priority"])
	r := rtnl.Rule{IPv6: v.by["-6"] != "", Priority: uint32(priority), Input: v.by["iif"], Action: rtnl.ActionTable, Protocol: unix.RTPROT_BOOT}
	for name, to := range map[string]*netip.Prefix{"from": &r.From, "to": &r.To} {
		if s := v.by[name]; s != "" {
			*to = mustPrefix(s)
		}
	}
	if v.by["prohibit"] != "" {
		r.Action = rtnl.ActionProhibit
	} else if v.verb == "add" {
		table, tableErr := strconv.Atoi(v.by["table"])
		r.Table, err = uint32(table), errors.Join(err, tableErr)
	}
	if err != nil {
		return false
	}
	if v.verb == "add" {
		return w.addRule(r) == nil
	}
	return w.deleteRule(func(h rtnl.Rule) bool { return h.Priority == r.Priority && h.IPv6 == r.IPv6 })
}

func (w fakeWorld) ipLink(v words, args string) bool {
	l := w.named(v.first)
	switch {
	case v.verb == "add":
		if l != nil {
			return false
		}
		f := strings.Fields(args)
		w.next++
		made := rtnl.Link{Index: w.next, Name: v.first, ARP: true, Kind: v.by["type"], Conf: rtnl.Conf{IPv4: true, IPv6: true, AcceptRA: 1}}
		if made.Kind == "veth" {
			peer := made
			w.next++
			peer.Index, peer.Name, peer.Parent = w.next, f[slices.Index(f, "peer")+2], made.Index
			made.Parent = peer.Index
			w.addLink(peer)
		}
		w.addLink(made)
	case l == nil:
		return false
	case v.verb == "del":
		w.deleteLink(l.Index)
	case v.by["name"] != "":
		if w.named(v.by["name"]) != nil {
			return false
		}
		l.Name = v.by["name"]
		w.tell(rtnl.Event{Kind: rtnl.LinkEvent, Link: *l})
	case l.Up != (v.by["up"] != ""):
		w.setUp(l, !l.Up)
	}
	return true
}
