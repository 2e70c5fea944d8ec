package interop

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

const replaceStory = "a running pair is replaced, the backup first: the address is gone for no longer than a clean stop takes"

// replace puts our program in the place of a running pair's backup, and then of its
// master, while a client watches the address.
func replace(t testing.TB, m match, password string) {
	plans := [2]plan{m.plan(ourHost, 200), m.plan(theirHost, 100)}
	var nodes [2]*vrrpdtest.Node
	var hosts []nstest.Host
	for i := range plans {
		plans[i].password = password
		plans[i].own, plans[i].peers = m.source(ourHost+i), []netip.Addr{m.source(theirHost - i)}
		nodes[i] = vrrpdtest.NewNode(t, plans[i].own.String())
		hosts = append(hosts, host(nodes[i].NS, 0, plans[i].host))
	}
	neighbour := nstest.New(t)
	hosts = append(hosts, host(neighbour, 0, higherHost))
	s := &segment{t: t, match: m, bridges: []*nstest.NS{nstest.Bridge(t, hosts...)}}
	s.wire = listen(t, s.bridges[0], len(hosts))
	before, after := [2]*seat{}, [2]*seat{}
	for i, name := range []string{"the first", "the second"} {
		before[i] = &seat{program: newKeepalived(t, nodes[i].NS, plans[i]), name: name + " keepalived", plan: plans[i], port: i}
		after[i] = &seat{program: newOurs(nodes[i], plans[i]), name: name + " of ours", plan: plans[i], port: i}
	}

	s.begin(before[0], before[1])
	c := newClient(t, neighbour, m.source(higherHost), plans[0].addresses()[0])
	eventually(t, "an answer", 5*time.Second, func() bool { return len(c.answered()) > 0 })

	at := time.Now()
	before[1].stop()
	after[1].start()
	s.wait(after[1], "BACKUP")
	s.lost(c, at, "the backup was replaced", 0)

	at = time.Now()
	before[0].stop()
	first, last := s.takeover(after[1], before[0], at)
	s.within("takeover after priority 0", after[1], first.at.Sub(last.at), plans[1].skew())
	s.wait(after[1], "MASTER")
	s.lost(c, at, "the master was stopped", plans[1].skew())

	at = time.Now()
	after[0].start()
	s.wait(after[0], "MASTER")
	s.wait(after[1], "BACKUP")
	s.lost(c, at, "the master was replaced", 0)
	for i, want := range []uint64{2, 3} { // BACKUP and MASTER; and BACKUP again
		if got := after[i].program.(*ours).router().Transitions; got != want {
			t.Errorf("%s made %d transitions, want %d", after[i].name, got, want)
		}
	}
}

// lost holds the time for which nobody answered for the address to the protocol's.
func (s *segment) lost(c *client, since time.Time, when string, want time.Duration) {
	s.t.Helper()
	got := c.gap(since)
	s.t.Logf("when %s the address was gone for %v, the protocol says %v", when, got.Round(time.Millisecond), want.Round(time.Millisecond))
	if got > want+late {
		s.t.Errorf("when %s the address was gone for %v, want %v", when, got, want)
	}
}
