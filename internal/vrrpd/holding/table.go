// Package holding keeps on the host what its virtual routers should have there, and
// nothing else of what it made.
package holding

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A Kernel is what a Table does to the host. rtnl.Conn is most of it.
type Kernel interface {
	Marks() bool
	Do(reqs []rtnl.Request, errs []error) error
	Links() ([]rtnl.Link, error)
	Addresses() ([]rtnl.Address, error)
	Routes(f rtnl.RouteFilter, begin func(), each func(rtnl.Route)) error
	Rules() ([]rtnl.Rule, error)
}

// Wants are what one virtual router should have while it is MASTER.
type Wants struct {
	Device     string // the router's interface
	VRID       uint8
	Family     string // resource.IPv4 or resource.IPv6; "" is IPv4
	VirtualMAC bool   // the addresses on Device go on a macvlan with the virtual router's MAC
	NoAccept   bool   // packets to the addresses are dropped
	Owner      bool   // the device may have the addresses for good, which is no conflict
	Addresses  []resource.VirtualAddress
	Excluded   []resource.VirtualAddress // held and not advertised
	Routes     []resource.VirtualRoute
	Rules      []resource.VirtualRule
}

// A Report is what a Sync did and found.
type Report struct {
	Fresh   []string // owners whose addresses must be announced again
	Repairs int      // objects that were missing or altered and were put back
	Changed bool     // something was asked of the kernel, or conflicts are others
	Retry   bool     // the kernel refused something: Recheck in a while
	Err     error    // the first refusal
}

// A Table holds the objects of all virtual routers, whose names are the owners' names. It
// is for one goroutine. Links are known to it from Heard.
type Table struct {
	kernel Kernel
	tools  Tools
	log    *slog.Logger

	owners map[string]*owner
	order  []*owner // by name
	links  map[int]rtnl.Link
	names  map[string]int
	left   map[int]bool // indexes whose links went since the last resolve
	stale  bool         // names may mean other links than resolve found
	look   look         // what must be compared with the kernel
	swept  look         // what was compared once, so that nothing is left from before

	addrs    map[place]*address
	ips      map[netip.Addr]int // how many owners list it, active or not
	routes   map[routeKey]*thing[rtnl.Route]
	rules    map[rtnl.Rule]*thing[rtnl.Rule]
	refusals map[netip.Addr]int // active owners that accept nothing for it
	macvlans map[macvlanKey]int // the index of ours
	promoted map[int]bool       // links whose promote_secondaries we set
	priors   map[int]prior      // of the parents of macvlans

	generation uint32 // of comparisons
	reqs       []rtnl.Request
	errs       []error
	subjects   []subject // of reqs
	syncing    bool
	report     Report
	told       string // the last refusal in the log
	loose      int32  // the reverse path filter of macvlans; -1 if it has to be looked up
	lacking    bool   // a route was refused, as its source or gateway may come yet
}

// A look says which of the kernel's lists must be compared. Settings are those of links.
type look struct{ links, settings, refusals, addresses, routes, rules bool }

var everything = look{true, true, true, true, true, true}

func (l look) or(m look) look {
	return look{
		l.links || m.links, l.settings || m.settings, l.refusals || m.refusals,
		l.addresses || m.addresses, l.routes || m.routes, l.rules || m.rules,
	}
}

// A state is what became of an object that we put on the host.
type state uint8

const (
	absent state = iota // not there, or another's
	holds               // there, and ours
	lost                // somebody removed it
	theirs              // somebody else's is equal, which will do
)

// An owner is one virtual router.
type owner struct {
	name      string
	wants     Wants
	active    bool
	device    int // the index of wants.Device; 0 if there is none
	macvlan   int // the index of its macvlan; 0 if there is none
	addrs     []wantedAddress
	routes    []wantedRoute
	rules     []wantedRule
	conflicts [conflictKinds][]string
}

// The kinds of conflicts.
const (
	addressConflicts = iota
	routeConflicts
	conflictKinds
)

// New returns an empty Table, which begins by comparing everything. A kernel that has
// Tools is used for those too.
func New(k Kernel, log *slog.Logger) *Table {
	tools, ok := k.(Tools)
	if !ok {
		tools = &system{}
	}
	return &Table{
		kernel: k, tools: tools, log: log, owners: map[string]*owner{},
		links: map[int]rtnl.Link{}, names: map[string]int{}, left: map[int]bool{}, look: everything,
		addrs: map[place]*address{}, ips: map[netip.Addr]int{},
		routes: map[routeKey]*thing[rtnl.Route]{}, rules: map[rtnl.Rule]*thing[rtnl.Rule]{},
		refusals: map[netip.Addr]int{}, macvlans: map[macvlanKey]int{}, promoted: map[int]bool{}, priors: map[int]prior{}, loose: -1,
	}
}

// Want sets what owner should have. What it holds and still should have stays untouched;
// the rest follows at the next Sync.
func (t *Table) Want(name string, w Wants) {
	o := t.owners[name]
	if o == nil {
		o = &owner{name: name}
		t.owners[name] = o
		at, _ := slices.BinarySearchFunc(t.order, name, func(o *owner, name string) int { return strings.Compare(o.name, name) })
		t.order = slices.Insert(t.order, at, o)
	}
	t.concern(o)
	t.lower(o)
	t.list(o, -1)
	o.addrs, o.routes, o.rules = wantedAddresses(w), wantedRoutes(w), wantedRules(w)
	o.wants = w
	o.wants.Addresses, o.wants.Excluded, o.wants.Routes, o.wants.Rules = nil, nil, nil, nil // said above
	t.list(o, 1)
	t.find(o)
	t.raise(o)
	t.concern(o)
}

// Forget ends owner. What it holds and nobody else should have goes at the next Sync.
func (t *Table) Forget(name string) {
	o := t.owners[name]
	if o == nil {
		return
	}
	t.concern(o)
	t.lower(o)
	t.list(o, -1)
	delete(t.owners, name)
	t.order = slices.DeleteFunc(t.order, func(p *owner) bool { return p == o })
}

// concern makes the next Sync compare what o has.
func (t *Table) concern(o *owner) {
	t.look = t.look.or(look{
		links: true, settings: o.configures(), addresses: true,
		refusals: o.wants.NoAccept, routes: len(o.routes) > 0, rules: len(o.rules) > 0,
	})
}

// Adopt says what owner held when a predecessor of this process ended, as Held said it. On
// kernels without marks nothing else tells our addresses from others'.
func (t *Table) Adopt(name string, held []string) {
	o := t.owners[name]
	if o == nil {
		return
	}
	t.resolve()
	had := make(map[string]bool, len(held))
	for _, text := range held {
		had[text] = true
	}
	for i := range o.addrs {
		if w := &o.addrs[i]; w.place.index != 0 && had[w.text] {
			t.item(w).state = holds
		}
	}
	t.look.addresses = true
}

// list counts o's addresses in or out of those that matter.
func (t *Table) list(o *owner, n int) {
	for i := range o.addrs {
		a := o.addrs[i].place.prefix.Addr()
		if t.ips[a] += n; t.ips[a] == 0 {
			delete(t.ips, a)
		}
	}
}

// find gives o's objects their links.
func (t *Table) find(o *owner) {
	o.device = t.names[o.wants.Device]
	o.macvlan = t.macvlans[o.macvlanKey()]
	for i := range o.addrs {
		a := &o.addrs[i]
		a.place.index = t.names[a.device]
		if o.wants.VirtualMAC && a.device == o.wants.Device {
			a.place.index = o.macvlan
		}
	}
	for i := range o.routes {
		o.routes[i].find(t)
	}
}

// resolve follows links that came, went, were renamed or changed their state.
func (t *Table) resolve() {
	if !t.stale {
		return
	}
	t.stale = false
	for _, o := range t.order {
		t.lower(o)
	}
	for p := range t.addrs {
		if t.left[p.index] {
			delete(t.addrs, p) // the link took it along
		}
	}
	for index := range t.left {
		delete(t.promoted, index)
		delete(t.priors, index)
	}
	clear(t.left)
	for _, o := range t.order {
		t.find(o)
		t.raise(o)
	}
	t.look = t.look.or(look{links: true, addresses: true, routes: len(t.routes) > 0})
}

// raise counts an active owner in at its objects, and lower counts it out. They return the
// addresses that are refused from now on, or no longer.
func (t *Table) raise(o *owner) []netip.Addr {
	if !o.active {
		return nil
	}
	for i := range o.addrs {
		if w := &o.addrs[i]; w.place.index != 0 {
			t.item(w).refs++
		}
	}
	for i := range o.routes {
		raiseThing(t.routes, o.routes[i].key, o.routes[i].spec)
	}
	for i := range o.rules {
		raiseThing(t.rules, o.rules[i].spec, o.rules[i].spec)
	}
	return t.refuse(o, 1)
}

func (t *Table) lower(o *owner) []netip.Addr {
	if !o.active {
		return nil
	}
	for i := range o.addrs {
		if it := t.addrs[o.addrs[i].place]; it != nil {
			it.refs--
		}
	}
	for i := range o.routes {
		t.routes[o.routes[i].key].refs--
	}
	for i := range o.rules {
		t.rules[o.rules[i].spec].refs--
	}
	return t.refuse(o, -1)
}

// Dirty reports whether a Sync has something to do or to tell.
func (t *Table) Dirty() bool { return t.unlike() || t.report.Retry }

// unlike reports whether the host may not be as it should be.
func (t *Table) unlike() bool { return t.stale || t.look != look{} }

// Recheck makes the next Sync compare everything.
func (t *Table) Recheck() { t.look = everything }

// Routes reports whether changes of others' routes matter to it.
func (t *Table) Routes() bool {
	return slices.ContainsFunc(t.order, func(o *owner) bool { return len(o.routes) > 0 })
}

// Poll makes the next Sync compare those objects of whose changes the kernel does not
// tell: settings of links, and the filter. Where there are none it costs nothing.
func (t *Table) Poll() {
	t.look.settings = t.look.settings || t.configures()
	t.look.refusals = t.look.refusals || len(t.refusals) > 0
}

// Held are the addresses that owner holds now, in the order of its configuration. What is
// not on the router's interface names its own.
func (t *Table) Held(name string) []string {
	var out []string
	if o := t.owners[name]; o != nil && o.active {
		for i := range o.addrs {
			if it := t.addrs[o.addrs[i].place]; it != nil && it.state == holds {
				out = append(out, o.addrs[i].text)
			}
		}
	}
	return out
}

// Conflicts are the objects of owner that somebody else has on this host.
func (t *Table) Conflicts(name string) []string {
	if o := t.owners[name]; o != nil {
		return slices.Concat(o.conflicts[:]...)
	}
	return nil
}

func (t *Table) linkName(index int) string {
	if l, ok := t.links[index]; ok {
		return l.Name
	}
	return fmt.Sprintf("interface %d", index)
}
