package interop

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A match is who meets whom, and how they speak.
type match struct {
	peer    string
	version int
	family  string
	unicast bool
}

func (m match) String() string {
	return fmt.Sprintf("%s v%d %s %s", m.peer, m.version, m.family, m.cast())
}

func (m match) cast() string {
	if m.unicast {
		return "unicast"
	}
	return "multicast"
}

// The peers.
const (
	withKeepalived = "keepalived"
	withFRR        = "FRR"
	amongOurselves = "hareconcile"
)

// interval is the shortest that v2 knows, or one whose down interval is longer than most
// waits for a processor: who was away for longer listens first.
func (m match) interval() time.Duration {
	if m.version == 2 {
		return time.Second
	}
	return 200 * time.Millisecond
}

// plan is what a host runs if nothing is special.
func (m match) plan(host int, priority uint8) plan {
	return plan{
		version: m.version, family: m.family, unicast: m.unicast, interval: m.interval(), priority: priority,
		routers: []virtual{usual(m.family)}, host: host,
	}
}

// source is where a host's adverts come from.
func (m match) source(host int) netip.Addr {
	switch {
	case m.family == resource.IPv4:
		return netip.AddrFrom4([4]byte{10, 9, 0, byte(host)})
	case m.peer == withFRR && host == theirHost:
		return linkLocal(0x10 + host) // of its macvlan
	}
	return linkLocal(host)
}

func linkLocal(host int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fe80::9:%x", host)) }

// The hosts' numbers: our address is the lower one if a case does not make us higherHost.
const (
	ourHost    = 1
	theirHost  = 2
	higherHost = 0x30
)

// A seat is a program on the segment.
type seat struct {
	program
	name string // "we" or "they"
	plan plan
	ns   *nstest.NS
	port int
}

// A segment is a link layer with one of our programs and one of theirs. A second segment
// between the same hosts is for groups.
type segment struct {
	t       testing.TB
	match   match
	us      *seat
	them    *seat
	bridges []*nstest.NS
	wire    *wire // of the first bridge
	ours    *ours
}

// meet seats both; edit changes their plans before the programs see them.
func meet(t testing.TB, m match, ours, theirs uint8, edit func(ours, theirs *plan)) *segment {
	t.Helper()
	s := &segment{t: t, match: m}
	s.us = &seat{name: "we", plan: m.plan(ourHost, ours), port: 0}
	s.them = &seat{name: "they", plan: m.plan(theirHost, theirs), port: 1}
	if edit != nil {
		edit(&s.us.plan, &s.them.plan)
	}
	s.us.plan.own, s.them.plan.own = m.source(s.us.plan.host), m.source(s.them.plan.host)
	s.us.plan.peers, s.them.plan.peers = []netip.Addr{s.them.plan.own}, []netip.Addr{s.us.plan.own}
	node := vrrpdtest.NewNode(t, s.us.plan.own.String())
	second := vrrpdtest.NewNode(t, s.them.plan.own.String())
	s.us.ns, s.them.ns = node.NS, second.NS
	devices := 1
	for _, v := range s.us.plan.routers {
		if v.device == "eth1" {
			devices = 2
		}
	}
	for _, ns := range []*nstest.NS{s.us.ns, s.them.ns} {
		quietIPv6(t, ns)
	}
	for d := range devices {
		s.bridges = append(s.bridges, nstest.Bridge(t, host(s.us.ns, d, s.us.plan.host), host(s.them.ns, d, s.them.plan.host)))
	}
	s.wire = listen(t, s.bridges[0], 2)
	s.ours = newOurs(node, s.us.plan)
	s.us.program = s.ours
	switch m.peer {
	case withFRR:
		s.them.program = newFRR(t, s.them.ns, s.them.plan)
	case withKeepalived:
		s.them.program = newKeepalived(t, s.them.ns, s.them.plan)
	case amongOurselves:
		s.them.program = newOurs(second, s.them.plan)
	}
	return s
}

// host joins a host to the d-th bridge.
func host(ns *nstest.NS, d, n int) nstest.Host {
	return nstest.Host{NS: ns, Device: fmt.Sprintf("eth%d", d), Addresses: []string{
		fmt.Sprintf("10.9.%d.%d/24", d, n), fmt.Sprintf("%v/64", linkLocal(n)),
	}}
}

// quietIPv6 leaves a host's devices with the addresses that the test gives them, at once.
func quietIPv6(t testing.TB, ns *nstest.NS) {
	t.Helper()
	ns.Do(func() {
		for name, value := range map[string]string{"accept_dad": "0", "addr_gen_mode": "1", "accept_ra": "0"} {
			for _, device := range []string{"all", "default"} {
				if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+device+"/"+name, []byte(value), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// cut takes a host's link away, or brings it back.
func (s *segment) cut(seat *seat, state string) {
	s.t.Helper()
	s.bridges[0].Run("ip", "link", "set", fmt.Sprintf("p%d", seat.port), state)
}

// part keeps the hosts from hearing each other, while their links stay up.
func (s *segment) part(state string) {
	s.t.Helper()
	for _, seat := range []*seat{s.us, s.them} {
		s.bridges[0].Run("bridge", "link", "set", "dev", fmt.Sprintf("p%d", seat.port), "isolated", state)
	}
}

// wait waits until a program says that state of all its routers, and the kernel agrees,
// and until a master was heard.
func (s *segment) wait(seat *seat, state string) {
	s.t.Helper()
	since := time.Now()
	within := 4*seat.plan.down() + 10*time.Second
	eventually(s.t, fmt.Sprintf("%s to be %s", seat.name, state), within, func() bool {
		if state == "MASTER" && len(s.wire.adverts(seat.port, seat.plan.routers[0].vrid, since)) == 0 {
			return false
		}
		return is(seat, state)
	})
}

// is reports whether all routers are in a state, and the host has their addresses if it is
// MASTER, and none of them if it is not.
func is(seat *seat, state string) bool {
	states := seat.states()
	for _, v := range seat.plan.routers {
		if states[v.vrid] != state {
			return false
		}
	}
	held := seat.held()
	return !slices.ContainsFunc(seat.plan.addresses(), func(a netip.Addr) bool { return held[a] != (state == "MASTER") })
}
