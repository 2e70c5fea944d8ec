package interop

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// signature is the length of the trailer of draft-cassen-vrrp-auth-hmac.
const signature = 28

const rolloutStory = "HMAC from none through receive-only and permissive to enforce: no transition, and no advert lost"

// rollout takes three of our nodes from unsigned adverts to nothing but signed ones, one
// node at a time. Nobody changes state, and no advert is lost on anybody.
func rollout(t testing.TB, m match) {
	all := []netip.Addr{m.source(1), m.source(2), m.source(3)}
	var nodes []*ours
	var hosts []nstest.Host
	for i, own := range all {
		p := m.plan(i+1, uint8(200-50*i))
		p.own, p.peers = own, slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return a == own })
		node := vrrpdtest.NewNode(t, own.String())
		quietIPv6(t, node.NS)
		p.auth = resource.AuthEnforce // for the key
		o := newOurs(node, p)
		o.plan.auth = ""
		nodes = append(nodes, o)
		hosts = append(hosts, host(node.NS, 0, i+1))
	}
	s := &segment{t: t, match: m, bridges: []*nstest.NS{nstest.Bridge(t, hosts...)}}
	s.wire = listen(t, s.bridges[0], len(hosts))
	for _, n := range nodes {
		n.start()
	}
	nodes[0].WaitState("MASTER")
	for _, n := range nodes[1:] {
		n.WaitState("BACKUP")
	}
	s.received(nodes, 5)
	sent, states := nodes[0].router().Adverts["sent"], standing(nodes)
	began := time.Now()
	for _, mode := range []string{resource.AuthReceiveOnly, resource.AuthPermissive, resource.AuthEnforce} {
		for _, n := range nodes {
			n.plan.auth = mode
			n.Apply(n.plan.instances()...)
			s.received(nodes, 3)
		}
	}
	if got := standing(nodes); !slices.Equal(got, states) {
		t.Errorf("the nodes came to %v, want %v as before", got, states)
	}
	for _, n := range nodes {
		for reason, count := range n.router().Adverts {
			if reason != "sent" && reason != "received" && count > 0 {
				t.Errorf("%s counted %d adverts as %s", n.Addr, count, reason)
			}
		}
	}
	s.regular(began, sent, nodes[0])
	last := s.wire.adverts(0, vrid, began)
	if first, last := last[0], last[len(last)-1]; first.trailer != 0 || last.trailer != signature {
		t.Errorf("trailers of the first and the last advert = %d and %d bytes, want 0 and %d", first.trailer, last.trailer, signature)
	}
}

// standing is each node's state and how often it changed.
func standing(nodes []*ours) (out []any) {
	for _, n := range nodes {
		r := n.router()
		out = append(out, r.State, r.Transitions)
	}
	return out
}

// received waits until each backup has accepted some more adverts.
func (s *segment) received(nodes []*ours, more uint64) {
	s.t.Helper()
	for _, n := range nodes[1:] {
		before := n.router().Adverts["received"]
		eventually(s.t, "adverts that "+n.Addr+" accepts", 10*time.Second, func() bool {
			return n.router().Adverts["received"] >= before+more
		})
	}
}

// regular wants the master's adverts on the wire, never too late for a backup, and no one
// else's.
func (s *segment) regular(since time.Time, sent uint64, master *ours) {
	s.t.Helper()
	heard := s.wire.adverts(0, vrid, since)
	for i := 1; i < len(heard); i++ {
		if pause := heard[i].at.Sub(heard[i-1].at); pause > master.plan.down() {
			s.t.Errorf("the master was silent for %v", pause)
		}
	}
	for port := 1; port <= 2; port++ {
		if others := s.wire.adverts(port, vrid, since); len(others) > 0 {
			s.t.Errorf("a backup sent %+v", others[0])
		}
	}
	if now := master.router().Adverts["sent"]; now-sent < uint64(len(heard)) {
		s.t.Errorf("%d adverts were heard and %d sent", len(heard), now-sent)
	}
}
