package checker

import (
	"net"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// flight is a loop, run by hand, with one connection whose request was sent.
func flight(t *testing.T, handle func(net.Conn)) *loop {
	t.Helper()
	e := quiet()
	l, err := newLoop(e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	c := once(spec.Check{Type: "http", Timeout: timeout})
	c.Interval = 5 * time.Second
	l.set(targets([]Job{{Ref: "web/rs1", Address: serve(t, handle), Checks: []spec.Check{c}}}))
	l.start(l.list.Next(l.now + l.list.Wait(l.now, idle)))
	for l.flying() > 0 && l.conns[0].stage != receiving {
		if err := l.listen(time.Second); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// TestAStandstillIsNobodysFailure ends samples in every way, while the loop runs and after it
// stood still.
func TestAStandstillIsNobodysFailure(t *testing.T) {
	const still = 5 * time.Second
	over := func(d time.Duration) func(*loop) { return func(l *loop) { l.expire(l.conns[0].deadline.At + d) } }
	stalled := func(end func(*loop)) func(*loop) { return func(l *loop) { l.stall(still); end(l) } }
	hear := func(l *loop) {
		for l.flying() > 0 {
			if err := l.listen(time.Second); err != nil {
				return
			}
		}
	}
	for _, tt := range []struct {
		name   string
		handle func(net.Conn)
		end    func(*loop)
		want   check.State
	}{
		{"a timeout is down", hang, over(0), check.Down},
		{"one that was seen far too late is unknown", hang, over(2 * late), check.Unknown},
		{"so is one after a standstill", hang, stalled(over(0)), check.Unknown},
		{"a reset is down", abort, hear, check.Down},
		{"one after a standstill may be of impatience", abort, stalled(hear), check.Unknown},
		{"an end is down", reply(""), hear, check.Down},
		{"one after a standstill is unknown", reply(""), stalled(hear), check.Unknown},
		{"another status stays one", reply("HTTP/1.1 503 No\r\n\r\n"), stalled(hear), check.Down},
		{"an answer stays one", reply("HTTP/1.1 200 OK\r\n\r\n"), stalled(hear), check.Up},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ready := make(chan struct{})
			l := flight(t, func(c net.Conn) { <-ready; tt.handle(c) })
			close(ready)
			tt.end(l)
			if got := l.list.Verdict("web/rs1"); got != tt.want || l.flying() != 0 {
				t.Errorf("verdict %q, want %q; %d connections", got, tt.want, l.flying())
			}
		})
	}
}

// TestAnswersCountBeforeDeadlines: what had come in time is read before the time is over.
func TestAnswersCountBeforeDeadlines(t *testing.T) {
	answered := make(chan struct{})
	l := flight(t, func(c net.Conn) {
		reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(c)
		c.Close()
		close(answered)
	})
	if l.flying() > 0 {
		<-answered
		<-time.After(timeout + 50*time.Millisecond)
		if err := l.turn(); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.list.Verdict("web/rs1"); got != check.Up {
		t.Errorf("verdict %q, want up", got)
	}
}

// TestPollerWithoutPwait2 is what kernels before 5.11 have.
func TestPollerWithoutPwait2(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for _, coarse := range []bool{false, true} {
		p.coarse = coarse
		for _, d := range []time.Duration{0, 100 * time.Microsecond, 30 * time.Millisecond} {
			began := clock()
			events, err := p.wait(d)
			if took := clock() - began; err != nil || len(events) != 0 || took < d-d/slack || took > d+time.Second {
				t.Errorf("coarse %v: a wait of %v took %v: %v, %v", coarse, d, took, events, err)
			}
		}
		ring(p.bell)
		if events, err := p.wait(10 * time.Second); err != nil || len(events) != 1 || events[0].Fd != bellSlot {
			t.Errorf("coarse %v: the bell gives %v, %v", coarse, events, err)
		}
		p.hush()
	}
}
