package rtnl

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// inNamespace runs f in a namespace with the veth pair v0 and v1, both up.
func inNamespace(t testing.TB, f func(ns *nstest.NS, c *Conn, e *Events)) {
	t.Helper()
	ns := nstest.New(t)
	ns.Run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
	ns.Run("ip", "link", "set", "v1", "up")
	ns.Run("ip", "link", "set", "v0", "up")
	ns.Do(func() {
		c, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		e, err := Listen(c)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		f(ns, c, e)
	})
}

func linkNamed(t testing.TB, c *Conn, name string) Link {
	t.Helper()
	links, err := c.Links()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("no link %s in %+v", name, links)
	return Link{}
}

// heard reads events until one is as wanted.
func heard(t testing.TB, e *Events, want func(*Event) bool) Event {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var ev Event
	for range 2000 {
		for e.Next(&ev) {
			if want(&ev) {
				return ev
			}
		}
		<-tick.C
	}
	t.Fatal("the event never came")
	return ev
}

func do(t testing.TB, c *Conn, reqs ...Request) []error {
	t.Helper()
	errs := make([]error, len(reqs))
	if err := c.Do(reqs, errs); err != nil {
		t.Fatal(err)
	}
	return errs
}

func TestAddressesOfTheKernel(t *testing.T) {
	inNamespace(t, func(ns *nstest.NS, c *Conn, e *Events) {
		v0 := linkNamed(t, c, "v0")
		if !v0.Up || !v0.ARP || !v0.Conf.IPv4 || !v0.Conf.IPv6 {
			t.Errorf("v0 = %+v", v0)
		}
		v4 := Address{Index: v0.Index, Prefix: netip.MustParsePrefix("10.0.0.1/24"), Label: "v0:x", Scope: unix.RT_SCOPE_LINK, NoPrefixRoute: true}
		v6 := Address{Index: v0.Index, Prefix: netip.MustParsePrefix("fd00::1/128"), Deprecated: true}
		plain := Address{Index: v0.Index, Prefix: netip.MustParsePrefix("fd00::2/64")}
		for i, err := range do(t, c, Request{Op: AddAddress, Address: v4}, Request{Op: AddAddress, Address: v6}, Request{Op: AddAddress, Address: plain}) {
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
		}
		errs := do(t, c, Request{Op: AddAddress, Address: v4}, Request{Op: AddAddress, Address: v6}, Request{Op: ReplaceAddress, Address: v4}, Request{Op: ReplaceAddress, Address: v6})
		if !errors.Is(errs[0], unix.EEXIST) || !errors.Is(errs[1], unix.EEXIST) || errs[2] != nil || errs[3] != nil {
			t.Errorf("again: %v", errs)
		}
		have, err := c.Addresses()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []Address{v4, v6, plain} {
			want.Marked, want.Forever = c.Marks(), true
			found := false
			for _, a := range have {
				if a.Prefix == want.Prefix {
					if found = true; a != want {
						t.Errorf("address %+v, want %+v", a, want)
					}
				}
			}
			if !found {
				t.Errorf("%v is not in %+v", want.Prefix, have)
			}
		}
		heard(t, e, func(ev *Event) bool { return ev.Kind == AddressEvent && ev.Address.Prefix == v6.Prefix })
		for _, a := range []Address{v4, v6, plain} {
			if err := do(t, c, Request{Op: DeleteAddress, Address: a}, Request{Op: DeleteAddress, Address: a}); err[0] != nil || err[1] != nil {
				t.Errorf("delete: %v", err)
			}
		}
		if ev := heard(t, e, func(ev *Event) bool { return ev.Kind == AddressEvent && ev.Gone && ev.Address.Prefix == v4.Prefix }); !ev.Own {
			t.Errorf("event %+v, want our own", ev)
		}
		ns.Run("ip", "addr", "add", "10.0.0.9/24", "dev", "v0")
		nine := netip.MustParsePrefix("10.0.0.9/24")
		if ev := heard(t, e, func(ev *Event) bool { return ev.Kind == AddressEvent && ev.Address.Prefix == nine }); ev.Own || ev.Address.Marked {
			t.Errorf("event %+v, want another's", ev)
		}
	})
}

func TestReplacementTakesTheMarkAndTheLifetime(t *testing.T) {
	inNamespace(t, func(ns *nstest.NS, c *Conn, _ *Events) {
		v0 := linkNamed(t, c, "v0")
		for _, s := range []string{"10.0.0.1/24", "fd00::1/64"} {
			ns.Run("ip", "addr", "add", s, "dev", "v0", "valid_lft", "1000", "preferred_lft", "1000")
			a := Address{Index: v0.Index, Prefix: netip.MustParsePrefix(s)}
			if err := do(t, c, Request{Op: ReplaceAddress, Address: a}); err[0] != nil {
				t.Fatal(err)
			}
			have, err := c.Addresses()
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range have {
				if h.Prefix == a.Prefix && (!h.Forever || h.Marked != c.Marks()) {
					t.Errorf("after the replacement: %+v", h)
				}
			}
		}
	})
}

func TestManyRequestsInOneGo(t *testing.T) {
	const n = 5000
	inNamespace(t, func(_ *nstest.NS, c *Conn, e *Events) {
		v0 := linkNamed(t, c, "v0")
		var reqs []Request
		for i := range n {
			a := Address{Index: v0.Index, Prefix: netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/16", i/250, i%250+1))}
			reqs = append(reqs, Request{Op: AddAddress, Address: a})
		}
		start := time.Now()
		for _, err := range do(t, c, reqs...) {
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d addresses added in %v", n, time.Since(start))
		for _, err := range do(t, c, reqs...) {
			if !errors.Is(err, unix.EEXIST) {
				t.Fatalf("again: %v, want EEXIST", err)
			}
		}
		var ev Event
		added := 0
		for e.Next(&ev) {
			if ev.Kind == Lost || ev.Kind == RouteEvent && ev.Route.Table == unix.RT_TABLE_LOCAL {
				t.Fatalf("event %+v, want none lost and none of table local", ev)
			}
			if ev.Kind == AddressEvent && !ev.Gone && ev.Own {
				added++
			}
		}
		if added != n {
			t.Errorf("heard of %d additions, want %d", added, n)
		}
		start = time.Now()
		have, err := c.Addresses()
		if err != nil || len(have) < n {
			t.Fatalf("%d addresses, %v", len(have), err)
		}
		t.Logf("listed in %v", time.Since(start))
		for i := range reqs {
			reqs[i].Op = DeleteAddress
		}
		start = time.Now()
		for i := len(reqs) - 1; i >= 0; i -= 1000 {
			part := reqs[i-999 : i+1]
			for l, r := 0, len(part)-1; l < r; l, r = l+1, r-1 {
				part[l], part[r] = part[r], part[l]
			}
			do(t, c, part...)
		}
		t.Logf("deleted in %v", time.Since(start))
		gone := 0
		for e.Next(&ev) {
			if ev.Kind == Lost {
				t.Fatal("events were lost")
			}
			if ev.Kind == AddressEvent && ev.Gone {
				gone++
			}
		}
		if gone != n {
			t.Errorf("heard of %d deletions, want %d", gone, n)
		}
	})
}

func TestRoutesAndRulesOfTheKernel(t *testing.T) {
	inNamespace(t, func(ns *nstest.NS, c *Conn, e *Events) {
		v0 := linkNamed(t, c, "v0").Index
		ns.Run("ip", "addr", "add", "10.0.0.1/24", "dev", "v0")
		p, a := netip.MustParsePrefix, netip.MustParseAddr
		routes := []Route{
			{Prefix: p("10.9.0.0/16"), Type: unix.RTN_UNICAST, Table: 254, Metric: 5, Via: a("10.0.0.2"), Index: v0, Source: a("10.0.0.1"), MTU: 1400},
			{Prefix: p("10.8.0.0/16"), Type: unix.RTN_BLACKHOLE, Table: 100000},
			{Prefix: p("10.7.0.0/16"), Type: unix.RTN_UNICAST, Table: 254, Index: v0, Scope: unix.RT_SCOPE_LINK},
			{Prefix: p("10.6.0.0/16"), Type: unix.RTN_UNICAST, Table: 254, Via: a("172.16.0.1"), Index: v0, OnLink: true},
			{Prefix: p("10.5.0.0/16"), Type: unix.RTN_UNICAST, Table: 254, Via: a("fe80::2"), Index: v0},
			{Prefix: p("fd09::/64"), Type: unix.RTN_UNICAST, Table: 254, Metric: 1024, Via: a("fe80::2"), Index: v0},
			{Prefix: p("fd08::/64"), Type: unix.RTN_UNREACHABLE, Table: 1000, Metric: 7},
		}
		rules := []Rule{
			{Priority: 100, From: p("10.0.0.0/24"), Table: 1000, Action: ActionTable, Mark: 1, Mask: 0xff, Input: "v0"},
			{Priority: 100, IPv6: true, To: p("fd00::/16"), Action: ActionProhibit, Output: "v0"},
		}
		var add, del []Request
		for _, r := range routes {
			add, del = append(add, Request{Op: AddRoute, Route: r}), append(del, Request{Op: DeleteRoute, Route: r})
		}
		for _, r := range rules {
			add, del = append(add, Request{Op: AddRule, Rule: r}), append(del, Request{Op: DeleteRule, Rule: r})
		}
		for i, err := range do(t, c, add...) {
			if err != nil {
				t.Errorf("add %d: %v", i, err)
			}
		}
		if ev := heard(t, e, func(ev *Event) bool { return ev.Kind == RouteEvent && ev.Route.Prefix == routes[6].Prefix }); !ev.Own || ev.Gone {
			t.Errorf("event %+v", ev)
		}
		if ev := heard(t, e, func(ev *Event) bool { return ev.Kind == RuleEvent }); !ev.Own || ev.Gone {
			t.Errorf("event %+v", ev)
		}
		for i, err := range do(t, c, add...) {
			if !errors.Is(err, unix.EEXIST) {
				t.Errorf("add %d again: %v, want EEXIST", i, err)
			}
		}
		listed := map[netip.Prefix]Route{}
		err := c.Routes(RouteFilter{Protocol: Mark}, func() { clear(listed) }, func(r Route) { listed[r.Prefix] = r })
		if err != nil || len(listed) != len(routes) {
			t.Fatalf("%d routes, %v: %+v", len(listed), err, listed)
		}
		for _, want := range routes {
			want.Protocol = Mark
			got := listed[want.Prefix]
			if want.Type != unix.RTN_UNICAST {
				got.Index = 0 // IPv6 has them on lo
			}
			if got != want {
				t.Errorf("route %+v, want %+v", got, want)
			}
		}
		have, err := c.Rules()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range rules {
			want.Protocol = Mark
			if !slices.Contains(have, want) {
				t.Errorf("%+v is not in %+v", want, have)
			}
		}
		for i, err := range do(t, c, append(del, del...)...) {
			if err != nil {
				t.Errorf("delete %d: %v", i, err)
			}
		}
		ns.Run("ip", "route", "add", "10.9.0.0/16", "via", "10.0.0.2", "metric", "5")
		ns.Run("ip", "rule", "add", "priority", "100", "from", "10.0.0.0/24", "fwmark", "1/0xff", "iif", "v0", "table", "1000")
		do(t, c, del...)
		if ns.Run("ip", "route", "show", "10.9.0.0/16") == "" || ns.Run("ip", "rule", "show", "priority", "100") == "" {
			t.Error("a deletion took what somebody else made")
		}
	})
}

func TestMacvlanOfTheKernel(t *testing.T) {
	inNamespace(t, func(_ *nstest.NS, c *Conn, _ *Events) {
		v0 := linkNamed(t, c, "v0").Index
		mac := [6]byte{0, 0, 0x5e, 0, 1, 7}
		if errs := do(t, c, Request{Op: AddLink, Link: LinkChange{Name: "m0", Parent: v0, MAC: mac, Group: 77}}); errs[0] != nil {
			t.Fatal(errs)
		}
		m := linkNamed(t, c, "m0")
		if m.MAC != mac || m.Kind != "macvlan" || m.Parent != v0 || m.Up || m.Group != 77 {
			t.Errorf("macvlan %+v", m)
		}
		errs := do(t, c, Request{Op: SetLink, Link: LinkChange{
			Index: m.Index, Alias: "x y", Up: true, Manual: true,
			Conf: []Setting{{ConfARPIgnore, 1}, {ConfRPFilter, 2}, {ConfAcceptLocal, 1}, {ConfPromote, 1}, {ConfARPAnnounce, 2}, {ConfARPFilter, 1}, {ConfForwarding, 1}},
		}})
		if errs[0] != nil {
			t.Fatal(errs)
		}
		m = linkNamed(t, c, "m0")
		want := Conf{IPv4: true, IPv6: true, Forwarding: 1, RPFilter: 2, ARPFilter: 1, ARPAnnounce: 2, ARPIgnore: 1, Promote: 1, AcceptLocal: 1, AcceptRA: 1, AddrGenMode: 1}
		if m.Conf != want || m.Alias != "x y" || !m.Up || !m.Conf.Manual() {
			t.Errorf("macvlan %+v, want settings %+v", m, want)
		}
		if errs := do(t, c, Request{Op: SetLink, Link: LinkChange{Index: m.Index, Down: true}}); errs[0] != nil || linkNamed(t, c, "m0").Up {
			t.Errorf("down: %v", errs)
		}
		del := Request{Op: DeleteLink, Link: LinkChange{Index: m.Index}}
		if errs := do(t, c, del, del); errs[0] != nil || errs[1] != nil {
			t.Errorf("delete: %v", errs)
		}
	})
}

func TestOverrunIsTold(t *testing.T) {
	inNamespace(t, func(ns *nstest.NS, c *Conn, e *Events) {
		if err := unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 2048); err != nil {
			t.Fatal(err)
		}
		v0 := linkNamed(t, c, "v0").Index
		for i := range 100 {
			a := Address{Index: v0, Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 24)}
			do(t, c, Request{Op: AddAddress, Address: a}, Request{Op: DeleteAddress, Address: a})
		}
		heard(t, e, func(ev *Event) bool { return ev.Kind == Lost })
		ns.Run("ip", "addr", "add", "10.0.0.9/24", "dev", "v0")
		heard(t, e, func(ev *Event) bool { return ev.Kind == AddressEvent && !ev.Gone })
	})
}

func TestForwardingIsHeard(t *testing.T) {
	inNamespace(t, func(_ *nstest.NS, c *Conn, e *Events) {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/v0/forwarding", []byte("1"), 0o600); err != nil {
			t.Fatal(err)
		}
		ev := heard(t, e, func(ev *Event) bool { return ev.Kind == ForwardEvent })
		if v0 := linkNamed(t, c, "v0"); ev.Index != v0.Index || !ev.IPv6 || !ev.Forwarding || v0.Conf.Forwarding6 != 1 {
			t.Errorf("event %+v, link %+v", ev, v0)
		}
	})
}

func TestOnlyOurRoutesAreHeardIfOthersDoNotMatter(t *testing.T) {
	inNamespace(t, func(ns *nstest.NS, c *Conn, e *Events) {
		ours := Request{Op: AddRoute, Route: Route{Prefix: netip.MustParsePrefix("10.8.0.0/16"), Type: unix.RTN_BLACKHOLE, Table: 254}}
		for _, every := range []bool{false, true} {
			if err := e.EveryRoute(every); err != nil {
				t.Fatal(err)
			}
			ns.Run("ip", "route", "add", "blackhole", "10.9.0.0/16")
			do(t, c, ours)
			first := heard(t, e, func(ev *Event) bool { return ev.Kind == RouteEvent && ev.Route.Prefix.Addr().Is4() && !ev.Gone })
			if marked := first.Route.Protocol == Mark; marked == every {
				t.Errorf("every route %v: first heard of %v", every, first.Route)
			}
			ns.Run("ip", "route", "del", "blackhole", "10.9.0.0/16")
			do(t, c, Request{Op: DeleteRoute, Route: ours.Route})
			heard(t, e, func(ev *Event) bool { return ev.Kind == RouteEvent && ev.Gone && ev.Route.Protocol == Mark })
			if !every { // lets through what matters besides
				ns.Run("ip", "addr", "add", "10.0.0.9/24", "dev", "v0")
				heard(t, e, func(ev *Event) bool { return ev.Kind == AddressEvent && ev.Address.Prefix.Addr().Is4() })
			}
		}
	})
}
