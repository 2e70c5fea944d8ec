package track

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/echo"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wait"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	defaultTimeout = 500 * time.Millisecond
	// reopenAfter is the wait before a socket that could not be opened is tried again.
	reopenAfter = time.Second
	// maxPings is how many targets may be asked at a time: one for each sequence number.
	maxPings = 1 << 16
)

// A pinged is a tracker of type ping.
type pinged struct {
	cfg    resource.VRRPTracker
	target netip.Addr // not valid if the tracker's is no unicast address
	device string
	teller
	streak  streak
	due     time.Duration // of the next request, which waits for the answer to the last
	asked   bool          // a request is out
	request echo.Message
	timeout time.Duration // of the request that is out
}

// pings sends echo requests over one socket for each family. One request at a time is out
// for a target, with a random token, so that only who saw the request can answer it.
type pings struct {
	*loop
	id       uint16
	seq      uint16
	trackers map[resource.TrackerKey]*pinged
	out      map[uint16]*pinged // requests that are out, by their sequence numbers
	sockets  [2]*echo.Socket    // of IPv4 and IPv6
	refused  [2]error           // why one could not be opened
	retry    [2]time.Duration   // when that is tried again
}

func newPings(l *loop) *pings {
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails
	return &pings{loop: l, id: binary.NativeEndian.Uint16(id[:]), out: map[uint16]*pinged{}}
}

func (p *pings) configure(cfgs []resource.VRRPTracker, now time.Duration) {
	old := p.trackers
	p.trackers = make(map[resource.TrackerKey]*pinged, len(cfgs))
	for _, c := range cfgs {
		x := old[c.Key()]
		switch {
		case x == nil:
			x = &pinged{teller: newTeller(c.Key(), p.report), due: now}
		case x.cfg.Device != c.Device || x.cfg.Source != c.Source:
			p.settled(x) // what is out went another way
			x.due = now
		}
		x.cfg = c
		x.target, x.device = target(c)
		x.due = min(x.due, now+interval(c))
		p.trackers[c.Key()] = x
		delete(old, c.Key())
	}
	for _, x := range old {
		p.settled(x)
	}
	for i, s := range p.sockets {
		if s != nil && !p.wants(i == 1) {
			s.Close()
			p.sockets[i] = nil
		}
	}
}

// target returns the address, and the device that it is asked through.
func target(c resource.VRRPTracker) (netip.Addr, string) {
	a, err := netip.ParseAddr(c.Target)
	if err != nil || a.IsMulticast() || a.IsUnspecified() {
		return netip.Addr{}, c.Device
	}
	if c.Device == "" {
		return a.WithZone("").Unmap(), a.Zone()
	}
	return a.WithZone("").Unmap(), c.Device
}

func (p *pings) wants(ipv6 bool) bool {
	for _, x := range p.trackers {
		if x.target.IsValid() && x.target.Is6() == ipv6 {
			return true
		}
	}
	return false
}

func (p *pings) timers(now time.Duration) time.Duration {
	next := wait.Never
	for _, x := range p.trackers {
		if x.asked && x.timeout <= now {
			p.settled(x)
			p.observe(x, false, fmt.Sprintf("no answer within %v", timeout(x.cfg)))
		}
		if !x.asked && x.due <= now {
			p.ask(x, now)
		}
		if x.asked {
			next = min(next, x.timeout)
		} else {
			next = min(next, x.due)
		}
	}
	return next
}

// ask sends a request. What the kernel cannot send because it is busy is no bad answer.
func (p *pings) ask(x *pinged, now time.Duration) {
	x.due = now + interval(x.cfg)
	switch err := p.send(x, now); {
	case err == nil:
		x.asked, x.timeout = true, now+timeout(x.cfg)
		p.out[x.request.Seq] = x
	case errors.Is(err, errUnmeasured):
		x.streak = streak{}
		x.tell(Unknown, 0, err.Error())
	case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
	default:
		p.observe(x, false, err.Error())
	}
}

// errUnmeasured is wrapped by errors that say nothing about the target.
var errUnmeasured = errors.New("cannot ask")

func (p *pings) send(x *pinged, now time.Duration) error {
	if !x.target.IsValid() || x.cfg.Source.IsValid() && x.cfg.Source.Is6() != x.target.Is6() {
		return fmt.Errorf("%w: no address of a host", errUnmeasured)
	}
	s, err := p.socket(x.target.Is6(), now)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnmeasured, err)
	}
	device := 0
	if x.device != "" {
		if device, err = s.IndexOf(x.device); err != nil {
			return err
		}
	}
	if len(p.out) >= maxPings {
		return unix.EAGAIN
	}
	for p.seq++; p.out[p.seq] != nil; p.seq++ {
	}
	x.request = echo.Message{ID: p.id, Seq: p.seq}
	_, _ = rand.Read(x.request.Token[:]) // never fails
	if err := s.Send(&x.request, x.target, x.cfg.Source.WithZone(""), device); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// socket returns a family's socket, which it opens on the first use.
func (p *pings) socket(ipv6 bool, now time.Duration) (*echo.Socket, error) {
	i := 0
	if ipv6 {
		i = 1
	}
	if p.sockets[i] == nil && p.retry[i] <= now {
		p.retry[i] = now + reopenAfter
		p.sockets[i], p.refused[i] = echo.Open(ipv6, p.id)
	}
	return p.sockets[i], p.refused[i]
}

// timeout is how long an answer may take. The next request waits for the end of it.
func timeout(c resource.VRRPTracker) time.Duration {
	if c.Timeout <= 0 {
		return defaultTimeout
	}
	return time.Duration(c.Timeout)
}

// settled says that the request that is out has got its answer, or is not waited for.
func (p *pings) settled(x *pinged) {
	if x.asked {
		x.asked = false
		delete(p.out, x.request.Seq)
	}
}

func (p *pings) observe(x *pinged, good bool, message string) {
	state := x.streak.observe(good, x.cfg.Rise, x.cfg.Fall)
	switch {
	case state == Up:
		message = ""
	case good:
		message = x.last.Message // it is down for the old reason still
	}
	x.tell(state, 0, message)
}

func (p *pings) drain(time.Duration) bool {
	all := true
	for _, s := range p.sockets {
		if s != nil && !s.Drain(p.answered) {
			all = false
		}
	}
	return all
}

// answered takes a reply: it must be from the target and repeat what was sent to it.
func (p *pings) answered(m echo.Message, from netip.Addr) {
	if x := p.out[m.Seq]; x != nil && x.request == m && x.target == from.Unmap() {
		p.settled(x)
		p.observe(x, true, "")
	}
}

func (p *pings) descriptors() (fds []int) {
	for _, s := range p.sockets {
		if s != nil {
			fds = append(fds, s.FD)
		}
	}
	return fds
}

func (p *pings) close() {
	for _, s := range p.sockets {
		if s != nil {
			s.Close()
		}
	}
}

var _ watch = (*pings)(nil)
