package track

import (
	"log/slog"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/echo"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wait"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestAnswersThatWaitedForUsCount: after a pause, what is queued is read before a timeout
// is judged.
func TestAnswersThatWaitedForUsCount(t *testing.T) {
	ns := nstest.New(t)
	c := resource.VRRPTracker{Type: resource.TrackPing, Target: "127.0.0.1", Timeout: 1, Interval: resource.Duration(time.Hour)}
	var got []Result
	w := New(func(r Result) { got = append(got, r) }, slog.New(slog.DiscardHandler))
	l, err := newLoop(w)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	p := newPings(l)
	defer p.close()
	watches := map[string]watch{resource.TrackPing: p}
	w.Set([]resource.VRRPTracker{c})
	ns.Do(func() { w.round(l, watches) })
	if len(p.out) != 1 {
		t.Fatalf("%d requests are out, want 1: %v", len(p.out), got)
	}
	if err := l.waits.Until(wait.Now() + 5*time.Second); err != nil { // the answer
		t.Fatal(err)
	}
	moment := wait.Now() + 10*time.Millisecond // the pause, much longer than the timeout
	l.waits.Watch()
	if err := l.waits.Until(moment); err != nil {
		t.Fatal(err)
	}
	ns.Do(func() { w.round(l, watches) })
	if len(got) != 1 || got[0].State != Up {
		t.Errorf("reported %v, want up", got)
	}
}

// TestAnswerThatWentAnotherWayDoesNotCount: it says nothing about the device or source
// that is asked from now on.
func TestAnswerThatWentAnotherWayDoesNotCount(t *testing.T) {
	var got []Result
	l, err := newLoop(New(func(r Result) { got = append(got, r) }, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	p := newPings(l)
	defer p.close()
	c := resource.VRRPTracker{Type: resource.TrackPing, Target: "192.0.2.1", Interval: resource.Duration(time.Minute)}
	p.configure([]resource.VRRPTracker{c}, time.Hour)
	x := p.trackers[c.Key()]
	x.asked, x.request, x.due = true, echo.Message{ID: p.id, Seq: 7}, time.Hour+time.Minute
	p.out[7] = x
	c.Device = "eth1"
	p.configure([]resource.VRRPTracker{c}, time.Hour+time.Second)
	p.answered(x.request, x.target)
	if len(got) != 0 || x.asked || x.due != time.Hour+time.Second {
		t.Errorf("reported %v, asked %v, due at %v, want nothing, and to ask at once", got, x.asked, x.due)
	}
}
