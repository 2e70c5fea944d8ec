package vrrpd

import (
	"log/slog"
	"math"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

const (
	never = time.Duration(math.MaxInt64)
	// idleWait is how long the loop may sleep without any virtual router.
	idleWait = 10 * time.Second
	// publishPause is the least time between two publications: when every router of a host
	// moves, the routers come first.
	publishPause = 10 * time.Millisecond
	// retryAfter is the wait before something that the kernel refused is tried again.
	retryAfter = time.Second
)

// A loop owns all virtual routers. Nothing else touches its fields.
type loop struct {
	wire     wire
	host     host
	store    *store
	board    *board
	notify   *notifier
	log      *slog.Logger
	t        time.Duration // this round's time
	routers  []*router     // by name
	byKey    map[routerKey]*router
	links    map[string]link
	joined   map[int]string // why an interface cannot be heard; "" if it can
	trackers map[string]*tracker
	present  int // connections of the agent
	repairs  uint64
	pauses   uint64
	dirty    bool          // addresses must be compared with the kernel's
	retryAt  time.Duration // for what the kernel refused
	changed  bool          // there is something new to publish and save
	told     time.Duration // when that was last done
	stopped  bool
	in       input
	advert   vrrp.Advert
}

// A routerKey is how an advert finds its router.
type routerKey struct {
	ifindex int
	vrid    uint8
}

func newLoop(w wire, h host, s *store, b *board, n *notifier, log *slog.Logger) *loop {
	return &loop{
		wire: w, host: h, store: s, board: b, notify: n, log: log,
		byKey: map[routerKey]*router{}, links: map[string]link{}, joined: map[int]string{},
		trackers: map[string]*tracker{}, retryAt: never,
	}
}

// run loops until a stop command.
func (l *loop) run() error {
	for !l.stopped {
		if err := l.round(); err != nil {
			return err
		}
	}
	return nil
}

// round waits once, drains everything that is queued, and only then looks at timers:
// adverts that queued while the process did not run are not silence. Timers are judged by
// the time from before the drain: whatever arrived until then has been read, even if the
// process is stopped between the last read and the timers.
func (l *loop) round() error {
	last := l.t
	l.t = l.wire.now()
	if err := l.wire.wait(min(l.nextTimer()-l.t, l.nap())); err != nil {
		return err
	}
	l.t = l.wire.now()
	l.noticePause(l.t - last)
	l.timers(l.drain())
	l.settle()
	return nil
}

// drain handles what is queued; false if there is more than one round may read.
func (l *loop) drain() bool {
	for l.wire.next(&l.in) {
		l.handle(&l.in)
	}
	return l.in.kind != inEnough
}

func (l *loop) handle(in *input) {
	switch in.kind {
	case inAdvert:
		l.received(in)
	case inLink:
		l.linkChanged(in.link, in.gone)
	case inAddress:
		l.addressChanged(in)
	case inLost:
		l.log.Warn("kernel dropped events")
		l.refresh()
	case inCommand:
		l.command(in.command)
	}
}

// nap bounds the wait to a quarter of the shortest master-down interval, so that a longer
// gap between two rounds can only be a pause.
func (l *loop) nap() time.Duration {
	d := idleWait
	for _, r := range l.routers {
		d = min(d, r.m.DownInterval()/4)
	}
	return min(d, l.notify.every)
}

// noticePause tells routers that the process did not run for a good part of what their
// peers take for death: they listen before they send or promote themselves.
func (l *loop) noticePause(gap time.Duration) {
	long := false
	for _, r := range l.routers {
		down := r.m.DownInterval()
		if gap > down/2 {
			l.do(r, r.m.Step(vrrp.Woke{}))
		}
		long = long || gap > down
	}
	if long {
		l.pauses++
		l.changed = true
		l.log.Warn("process was paused", "gap", gap)
	}
}

// nextTimer is when the first timer runs out.
func (l *loop) nextTimer() time.Duration {
	next := l.retryAt
	if l.changed {
		next = min(next, l.told+publishPause)
	}
	for _, r := range l.routers {
		next = min(next, r.deadline, r.announceAt)
	}
	for _, t := range l.trackers {
		next = min(next, t.expires())
	}
	return next
}

// timers acts on what ran out. Where more adverts are queued than could be read, no
// router may call that silence.
func (l *loop) timers(drained bool) {
	for _, r := range l.routers {
		if r.deadline <= l.t && (drained || r.m.State() == vrrp.Master) {
			l.fire(r)
		}
		if r.announceAt <= l.t {
			r.announceAt = never
			l.burst(r)
		}
	}
	for _, t := range l.trackers {
		if t.expires() <= l.t {
			t.expired = true
			l.regate()
		}
	}
	if l.retryAt <= l.t {
		l.retryAt = never
		l.refresh()
	}
	l.notify.feed(l.t)
}

// fire steps a router whose timer ran out. Adverts keep their rhythm: a late one does not
// put the next one off.
func (l *loop) fire(r *router) {
	late := l.t - r.deadline
	actions := r.m.Step(vrrp.TimerFired{})
	r.deadline = never
	l.do(r, actions)
	if r.deadline != never && late < time.Duration(r.cfg.Interval)/4 {
		r.deadline -= late
	}
}

// settle finishes a round: addresses are compared if something touched them, and what
// changed is published and saved, not too often.
func (l *loop) settle() {
	if l.dirty {
		l.dirty = false
		l.syncAddresses()
	}
	if l.changed && (l.stopped || l.t-l.told >= publishPause) {
		l.changed, l.told = false, l.t
		l.board.publish(l.status())
		l.store.save(l.saved())
	}
}

// refresh compares everything with the kernel: at the start, after lost events, and to
// try again what failed.
func (l *loop) refresh() {
	links, err := l.host.links()
	if err != nil {
		l.log.Error("cannot list links", "err", err)
		l.retryAt = l.t + retryAfter
		return
	}
	gone := map[string]link{}
	for name, k := range l.links {
		gone[name] = k
	}
	for _, k := range links {
		delete(gone, k.name)
		l.linkChanged(k, false)
	}
	for _, k := range gone {
		l.linkChanged(k, true)
	}
	l.dirty = true
}
