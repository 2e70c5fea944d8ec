package checker

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/check/watch"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// TestServersThatHangLeavePlaces: with far more servers that hang than places, others are
// still looked at in time.
func TestServersThatHangLeavePlaces(t *testing.T) {
	bad := slices.Repeat([]netip.AddrPort{serve(t, hang)}, 60)
	var asked atomic.Int64
	good := Job{Ref: "web/good", Address: serve(t, func(c net.Conn) {
		asked.Add(1)
		reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(c)
	})}
	c := once(spec.Check{Type: "http", Timeout: 200 * time.Millisecond})
	good.Checks = []spec.Check{c}
	e := quiet()
	e.MaxSockets = 12 // 9 of its own
	e.Set(append(jobs(bad, c), good))
	start(t, e)
	down, up := 0, 0
	for down < len(bad) || up == 0 {
		if r := next(t, e); r.Verdict == reconcile.Down {
			down++
		} else {
			up++
		}
	}
	// One round of those that hang would take all of the 9 places 1.3 s.
	before, began := asked.Load(), time.Now()
	await(t, e, func(Stats) bool { return asked.Load() >= before+10 })
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("10 looks at the good server took %v, its interval is %v", took, c.Interval)
	}
}

// TestALaneKeepsHalfForOthers fills a lane with entries that hung, and then frees it.
func TestALaneKeepsHalfForOthers(t *testing.T) {
	list := watch.New[*plan]()
	var ts []watch.Target[*plan]
	for i := range 12 {
		c := watch.Check[*plan]{Fingerprint: "a", Interval: time.Second, Probe: &plan{hung: i < 8}}
		ts = append(ts, watch.Target[*plan]{Key: fmt.Sprintf("web/rs%02d", i), Checks: []watch.Check[*plan]{c}})
	}
	list.Set(ts, 0, time.Unix(0, 0))
	l := lane{places: 6}
	var ready []*entry
	for now := time.Duration(0); now <= time.Second; now += 100 * time.Millisecond {
		for e := list.Next(now); e != nil; e = list.Next(now) {
			if e.Probe.hung {
				l.push(e)
			} else {
				ready = append(ready, e)
			}
		}
	}
	start := func() (started []*entry) {
		for e := l.next(); e != nil; e = l.next() {
			l.enter(e.Probe)
			started = append(started, e)
		}
		return started
	}
	hanging := start()
	if len(hanging) != 3 {
		t.Fatalf("%d of those that hang have places, want 3 of 6", len(hanging))
	}
	for _, e := range ready {
		l.push(e)
	}
	if got := start(); len(got) != 3 || got[0].Probe.hung || l.waiting() != 6 {
		t.Fatalf("%d others have places and %d wait, want 3 and 6", len(got), l.waiting())
	}
	for _, e := range hanging { // which answer now
		l.leave(e.Probe)
		e.Probe.hung = false
		l.enter(e.Probe)
		l.leave(e.Probe)
	}
	if got := start(); l.hanging != 2 || len(got) != 3 || got[0].Probe.hung {
		t.Errorf("%d started, %d of them of those that hang, want the last of the others and 2", len(got), l.hanging)
	}
}
