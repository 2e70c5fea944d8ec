package checker

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/check/answer"
)

// receive reads what there is. ended is whether the other side is known to send no more.
func (l *loop) receive(c *conn, ended bool) {
	for {
		n, err := unix.Read(c.fd, l.buffer)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil:
			l.fail(c, fault{"read", err})
			return
		}
		if c.entry.Probe.manner == byTalking {
			if l.hear(c, l.buffer[:n]) {
				return
			}
		} else if l.read(c, l.buffer[:n]) {
			return
		}
		if n < len(l.buffer) && !ended {
			return // the next edge tells of more
		}
	}
}

// hear takes a piece of a plain text, and reports whether c was settled.
func (l *loop) hear(c *conn, b []byte) bool {
	p := c.entry.Probe
	found := p.text.Hear(&c.heard, b)
	if !found && len(b) > 0 && !c.heard.Full() {
		return false
	}
	out := p.text.Judge(&c.heard, nil)
	if out.Err != nil {
		l.broken(c, out.Err)
	} else {
		l.settle(c, p.sample(out, l.now-c.began))
	}
	return true
}

// read takes a piece of an HTTP answer, and reports whether c was settled or asks elsewhere.
func (l *loop) read(c *conn, b []byte) bool {
	p, r := c.entry.Probe, &c.reader
	var err error
	if len(b) == 0 {
		err = r.End()
	} else {
		err = r.Feed(b)
	}
	switch {
	case err != nil:
		l.broken(c, err)
	case r.Headed() && p.HTTP.Redirects > 0 && len(r.Location) > 0 && answer.Redirects(r.Status, string(r.Location)):
		l.follow(c)
	case r.Done():
		l.settle(c, p.judgeAnswer(r, l.now-c.began))
	default:
		return false
	}
	return true
}

// follow asks where a redirect points, in the time that is left.
func (l *loop) follow(c *conn) {
	p := c.entry.Probe
	if c.followed == p.HTTP.Redirects {
		l.broken(c, fmt.Errorf("more than %d redirects", c.followed))
		return
	}
	next, err := c.request.Follow(c.reader.Status, string(c.reader.Location))
	if err != nil {
		l.broken(c, err)
		return
	}
	_ = unix.Close(c.fd) // its answer was read
	fd, f := p.open()
	if f.err != nil {
		c.fd = -1
		l.fail(c, f)
		return
	}
	c.followed++
	c.request = next
	l.await(c, fd, next.Bytes())
}
