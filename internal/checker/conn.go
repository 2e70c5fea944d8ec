package checker

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/check/due"
	"github.com/hareconcile/hareconcile/internal/check/http1"
	"github.com/hareconcile/hareconcile/internal/check/watch"
)

// A stage is what a connection waits for.
type stage uint8

const (
	connecting stage = iota
	sending
	receiving
)

// A conn is a connection of one sample, and the memory for the next one's.
type conn struct {
	slot       int32
	generation int32 // tells events of this sample from those of earlier ones
	fd         int   // -1 while it is free
	entry      *entry
	stage      stage
	stalled    bool // the loop stood still meanwhile
	began      time.Duration
	deadline   due.Mark[*conn]
	out        []byte // what is still to be sent
	request    answer.Request
	followed   int // redirects
	reader     http1.Reader
	heard      answer.Heard
}

// flying is how many connections are under way.
func (l *loop) flying() int { return l.own.flying }

// connect begins the sample of an entry.
func (l *loop) connect(e *entry) {
	p := e.Probe
	fd, f := p.open()
	if f.err != nil {
		l.finish(e, p.faulty(f))
		return
	}
	c := l.seat()
	c.entry, c.began, c.stalled, c.followed, c.request = e, l.now, false, 0, p.request
	p.conn = c
	l.own.enter(p)
	l.engine.stats.flying.Store(int64(l.flying()))
	l.deadlines.Add(&c.deadline, l.now+p.Timeout)
	l.await(c, fd, p.bytes)
}

// seat returns a free conn.
func (l *loop) seat() *conn {
	if n := len(l.free); n > 0 {
		c := l.free[n-1]
		l.free = l.free[:n-1]
		return c
	}
	c := &conn{slot: int32(len(l.conns)), fd: -1}
	c.deadline.Value = c
	l.conns = append(l.conns, c)
	return c
}

// await lets c wait until fd is connected, to send out.
func (l *loop) await(c *conn, fd int, out []byte) {
	p := c.entry.Probe
	c.fd, c.stage, c.out = fd, connecting, out
	c.generation++
	switch p.manner {
	case byHTTP:
		want := p.want
		want.Head = c.request.Method == "HEAD"
		c.reader.Reset(want)
	case byTalking:
		c.heard.Reset()
	}
	// Edges: what is ready already is told at once, and nothing twice.
	if err := l.poll.add(fd, unix.EPOLLOUT|unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET, c.slot, c.generation); err != nil {
		l.fail(c, fault{"watch socket", err})
	}
}

// release closes c.
func (l *loop) release(c *conn) {
	_ = unix.Close(c.fd) // nothing was written that could be lost
	l.deadlines.Remove(&c.deadline)
	c.entry.Probe.conn = nil
	l.own.leave(c.entry.Probe)
	c.fd, c.entry, c.out = -1, nil, nil
	c.generation++
	l.free = append(l.free, c)
	l.engine.stats.flying.Store(int64(l.flying()))
}

// settle ends c with its sample.
func (l *loop) settle(c *conn, s watch.Sample) {
	e := c.entry
	l.release(c)
	e.Probe.hung = false
	l.finish(e, s)
}

// listen waits for events and handles all there are.
func (l *loop) listen(limit time.Duration) error {
	for {
		until := l.now + limit
		events, err := l.poll.wait(limit)
		if err != nil {
			return err
		}
		l.now = l.time.look()
		if still := l.now - until; still > late {
			l.stall(still)
		}
		for i := range events {
			if events[i].Fd == bellSlot {
				l.poll.hush()
				continue
			}
			c := l.conns[events[i].Fd]
			if c.fd >= 0 && c.generation == events[i].Pad {
				l.advance(c, events[i].Events)
			}
		}
		if len(events) < len(l.poll.events) {
			return nil
		}
		limit = 0
		l.now = l.time.glance()
	}
}

// stall marks what was under way while the loop stood still.
func (l *loop) stall(still time.Duration) {
	l.paused = still
	for _, c := range l.conns {
		c.stalled = c.fd >= 0
	}
}

// expire ends samples whose deadline was not after now.
func (l *loop) expire(now time.Duration) {
	for d := l.deadlines.First(); d != nil && d.At <= now; d = l.deadlines.First() {
		c := d.Value
		p := c.entry.Probe
		switch over := now - d.At; {
		case l.heard(c):
		case c.stalled:
			l.settle(c, p.stood(l.paused))
		case over > late:
			l.settle(c, p.stood(over))
		default:
			message := p.say("timed out", 0, func() string { return fmt.Sprintf("timed out after %v", p.Timeout) })
			l.settle(c, watch.Sample{State: check.Down, Message: message})
		}
		p.hung = true
	}
}

// heard ends c if what is expected of a plain text has come unnoticed: Hear does not search
// for a pattern at each drip.
func (l *loop) heard(c *conn) bool {
	p := c.entry.Probe
	if p.manner != byTalking || c.stage != receiving {
		return false
	}
	out := p.text.Judge(&c.heard, answer.ErrNothing)
	if out.Err == nil {
		l.settle(c, p.sample(out, l.now-c.began))
	}
	return out.Err == nil
}

// fail ends c with a system call that failed.
func (l *loop) fail(c *conn, f fault) {
	s := c.entry.Probe.faulty(f)
	if c.stalled && c.stage != connecting && s.State == check.Down {
		s = c.entry.Probe.stood(l.paused) // the server may have been tired of waiting
	}
	l.settle(c, s)
}

// broken ends c with an error of the server.
func (l *loop) broken(c *conn, err error) {
	s := c.entry.Probe.sample(answer.Outcome{Err: err}, 0)
	if c.stalled {
		s = c.entry.Probe.stood(l.paused)
	}
	l.settle(c, s)
}

// advance does what events allow.
func (l *loop) advance(c *conn, events uint32) {
	if c.stage == connecting {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			if errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno != 0 {
				l.fail(c, fault{"connect", unix.Errno(errno)})
				return
			}
		}
		if events&unix.EPOLLOUT == 0 {
			return
		}
		if c.entry.Probe.manner == byConnecting {
			l.connected(c)
			return
		}
		c.stage = sending
	}
	if c.stage == sending && !l.send(c) {
		return
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.receive(c, events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0)
	}
}

// connected ends c: connecting was all that was asked.
func (l *loop) connected(c *conn) {
	p := c.entry.Probe
	s := watch.Sample{State: check.Up, Message: p.say("connected", 0, func() string { return "connected" })}
	l.settle(c, p.timed(s, l.now-c.began))
}

// send sends the rest, and reports whether c goes on with receiving.
func (l *loop) send(c *conn) bool {
	for len(c.out) > 0 {
		n, err := unix.Write(c.fd, c.out)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false
		case errors.Is(err, unix.EINTR):
		case err != nil:
			l.fail(c, fault{"write", err})
			return false
		}
		c.out = c.out[max(n, 0):]
	}
	c.stage = receiving
	if p := c.entry.Probe; p.manner == byTalking && !p.text.Listens() {
		l.connected(c)
		return false
	}
	return true
}
