package vrrpd

import (
	"log/slog"
	"math"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/announce"
	"github.com/hareconcile/hareconcile/internal/vrrpd/holding"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
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
	// awake is how long before a promotion the loop stops to sleep. Adverts come long before
	// that, so it costs nothing while there is a master.
	awake = 200 * time.Microsecond
	// pollEvery is how often what the kernel sends no events about is looked at.
	pollEvery = 5 * time.Second
)

// A loop owns all virtual routers. Nothing else touches its fields.
type loop struct {
	lan      lan
	kernel   holding.Kernel
	table    *holding.Table
	announce *announce.Schedule
	store    *store
	board    *board
	notify   *notifier
	upgrader *upgrader // nil in tests
	watchers watchers
	log      *slog.Logger

	t          time.Duration // this round's time
	passed     time.Duration // when a pause was last looked for; 0 before the first time
	routers    []*router     // by name
	queue      queue         // the routers by their timers
	shortest   time.Duration // of the master-down intervals; 0 while it is not known
	byKey      map[routerKey]*router
	byMachine  map[*vrrp.Machine]*router
	groups     map[string]*group
	links      map[string]rtnl.Link
	local      map[int]*locals      // by interface: the addresses that adverts may come from
	virtual    map[place]bool       // those that they may not come from: link-local addresses of virtual routers
	joined     map[wire.Port]string // why a port cannot be heard; "" if it can
	filters    map[wire.Port]string // what it lets through
	trackers   map[string]*tracker
	secrets    map[string]string
	present    int // connections of the agent
	repairs    uint64
	pauses     uint64
	overruns   uint64
	upgrades   uint64
	retryAt    time.Duration // for what the kernel refused
	alarmsEnd  time.Duration // when the next alarm may be over
	pollAt     time.Duration // when settings and filters, whose changes make no event, are looked at
	everyRoute bool          // others' routes are heard of
	changed    bool          // there is something new to publish and save
	told       time.Duration // when that was last done
	retell     bool          // a router has something else to announce
	stopped    bool
	in         input
	advert     vrrp.Advert
	doMachine  func(*vrrp.Machine, []vrrp.Action)
}

// A routerKey is how an advert finds its router.
type routerKey struct {
	port wire.Port
	vrid uint8
}

// newLoop returns a loop that runs nothing yet.
func newLoop(n lan, k holding.Kernel, s *store, b *board, sd *notifier, w watchers, log *slog.Logger) *loop {
	l := &loop{
		lan: n, kernel: k, table: holding.New(k, log), announce: announce.New(), store: s, board: b, notify: sd, watchers: w, log: log,
		byKey: map[routerKey]*router{}, byMachine: map[*vrrp.Machine]*router{}, groups: map[string]*group{},
		links: map[string]rtnl.Link{}, local: map[int]*locals{}, joined: map[wire.Port]string{}, filters: map[wire.Port]string{},
		trackers: map[string]*tracker{}, secrets: map[string]string{}, retryAt: never, alarmsEnd: never, everyRoute: true,
	}
	l.doMachine = func(m *vrrp.Machine, actions []vrrp.Action) { l.do(l.byMachine[m], actions) }
	return l
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
	l.pass() // since the last wait: it may have been stopped in the middle of the round
	until := l.until()
	edge := l.edge(until)
	if err := l.lan.wait(until - edge); err != nil {
		return err
	}
	l.pass()
	drained := l.drain()
	if edge > 0 && drained {
		drained = l.watch(until)
	}
	l.timers(drained)
	l.settle()
	return nil
}

// edge is how long before that time the loop stops to sleep: a while before a promotion,
// which does not wait for a processor to wake up then.
func (l *loop) edge(until time.Duration) time.Duration {
	if l.queue.next() != until || l.queue[0].m.State() != vrrp.Backup || until-l.t <= awake {
		return 0
	}
	return awake
}

// watch looks at what arrives without sleeping, until that time or until a promotion is
// off. It reports what the last drain did.
func (l *loop) watch(until time.Duration) bool {
	drained := true
	for drained && l.t < until && until-l.t <= awake && l.queue.next() == until {
		before := l.t
		if l.pass(); l.t == before {
			break // a clock that stands still
		}
		drained = l.drain()
	}
	return drained
}

// pass lets time pass, and looks whether too much has.
func (l *loop) pass() {
	l.t = l.lan.now()
	if l.passed > 0 {
		l.noticePause(l.t - l.passed)
	}
	l.passed = l.t
}

// drain handles what is queued; false if there is more than one round may read. It looks
// at the clock for every input: the process may be stopped in the middle of this, and what
// an advert puts off is counted from when it was read.
func (l *loop) drain() bool {
	before := l.t
	for l.lan.next(&l.in) {
		l.pass()
		l.handle(&l.in)
	}
	l.t = before
	return l.in.kind != inEnough
}

func (l *loop) handle(in *input) {
	switch in.kind {
	case inAdvert:
		l.received(in)
	case inEvent:
		l.heard(&in.event)
	case inWatch:
		l.watched(in.watch)
	case inCommand:
		l.command(in.command)
	}
}

// until is when the loop has to run again: when the first timer runs out, and not later
// than a quarter of the shortest master-down interval from now, so that a longer gap
// between two rounds can only be a pause.
func (l *loop) until() time.Duration {
	next := min(l.retryAt, l.alarmsEnd, l.pollAt, l.announce.Next(), l.queue.next(), l.t+l.notify.every, l.t+l.shortestDown()/4)
	if l.changed {
		next = min(next, l.told+publishPause)
	}
	for _, t := range l.trackers {
		next = min(next, t.next())
	}
	return next
}

// shortestDown is the shortest master-down interval of the routers.
func (l *loop) shortestDown() time.Duration {
	if l.shortest == 0 {
		l.shortest = 4 * idleWait
		for _, r := range l.routers {
			l.shortest = min(l.shortest, r.down)
		}
	}
	return l.shortest
}

// noticePause tells routers that the process did not run for a good part of what their
// peers take for death: they listen before they send or promote themselves.
func (l *loop) noticePause(gap time.Duration) {
	if gap <= l.shortestDown()/2 {
		return
	}
	long := false
	for _, r := range l.routers {
		down := r.down
		if gap > down/2 {
			l.step(r, vrrp.Woke{})
		}
		long = long || gap > down
	}
	if long {
		l.pauses++
		l.changed = true
		l.log.Warn("process was paused", "gap", gap)
	}
}

// timers acts on what ran out. Where more adverts are queued than could be read, no
// router may call that silence.
func (l *loop) timers(drained bool) {
	if l.queue.next() <= l.t {
		l.fireAll(drained)
	}
	if l.tick() {
		l.regate()
	}
	if l.retryAt <= l.t {
		l.retryAt = never
		l.refresh()
	}
	if l.pollAt <= l.t {
		l.pollAt = l.t + pollEvery
		l.table.Poll()
	}
	if l.alarmsEnd <= l.t {
		l.endAlarms()
	}
	if l.announce.Next() <= l.t {
		l.announce.Due(l.t, l.lan.frame)
	}
	l.notify.feed(l.t)
}

// fireAll acts on the timers of routers.
func (l *loop) fireAll(drained bool) {
	for n := 2 * len(l.routers); drained && n > 0 && l.queue.next() <= l.t; n-- {
		l.attend(l.queue[0], true)
	}
	if !drained {
		for _, r := range l.routers {
			l.attend(r, r.m.State() == vrrp.Master)
		}
	}
}

// attend acts on what ran out of one router's timers, if they may fire.
func (l *loop) attend(r *router, may bool) {
	if r.startAt <= l.t {
		r.startAt = never
		l.step(r, vrrp.Start{})
	}
	for t, at := range r.timers {
		if at <= l.t && may {
			l.fire(r, vrrp.Timer(t))
		}
	}
	l.queue.fix(r)
}

// fire steps a router whose timer ran out. Adverts keep their rhythm: a late one does not
// put the next one off.
func (l *loop) fire(r *router, t vrrp.Timer) {
	late := l.t - r.timers[t]
	r.timers[t] = never
	l.changed = l.changed || t == vrrp.HoldTimer
	l.step(r, vrrp.TimerFired{Timer: t})
	if r.m.State() == vrrp.Master && t == vrrp.Deadline && r.timers[t] != never && late < time.Duration(r.cfg.Interval)/4 {
		r.timers[t] -= late
	}
}

// settle finishes a round: addresses are compared if something touched them, and what
// changed is published and saved, not too often.
func (l *loop) settle() {
	if l.table.Dirty() {
		l.syncTable()
	}
	if l.retell {
		l.reannounce()
	}
	if l.changed && (l.stopped || l.t-l.told >= publishPause) {
		l.changed, l.told = false, l.t
		l.board.publish(l.status())
		l.store.save(l.saved())
	}
}

// syncTable makes what the kernel has be what the routers' states call for.
func (l *loop) syncTable() {
	report := l.table.Sync()
	if report.Retry || report.Err != nil {
		l.retryAt = min(l.retryAt, l.t+retryAfter)
	}
	for _, name := range report.Fresh {
		if r := l.router(name); r != nil {
			r.retell, l.retell = true, true
		}
	}
	l.repairs += uint64(report.Repairs)
	l.changed = l.changed || report.Changed
}

// reannounce lets MASTERs announce what they have now, in place of what they had.
func (l *loop) reannounce() {
	for _, r := range l.routers {
		if r.retell && r.m.State() == vrrp.Master {
			l.announce.Start(r.name, l.table.Targets(r.name), policy(r.cfg.Announce), l.t)
		}
		r.retell = false
	}
	l.retell = false
	l.announce.Due(l.t, l.lan.frame)
}

// router finds one by name.
func (l *loop) router(name string) *router {
	for _, r := range l.routers {
		if r.name == name {
			return r
		}
	}
	return nil
}
