package checker

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/due"
	"github.com/hareconcile/hareconcile/internal/check/watch"
)

type entry = watch.Entry[*plan]

// Bounds of the loop.
const (
	maxSockets = 1024
	maxProbes  = 256 // each costs a goroutine and up to a socket
	// burst is how many connections begin before it looks for answers again.
	burst = 64
	// idle is how long it waits when there is nothing to do.
	idle = time.Hour
	// late is how far beyond its time a sample may end, or the loop wake, until it counts as
	// having stood still: stopped (SIGSTOP), suspended, or starved. What then fails may have
	// failed for that.
	late = 500 * time.Millisecond
)

// A loop makes the samples. One goroutine owns it.
type loop struct {
	engine *Engine
	poll   *poller
	list   *watch.List[*plan]
	news   news
	time   timepiece
	now    time.Duration // when it last looked or glanced at its timepiece

	own       lane    // of connections
	conns     []*conn // by slot
	free      []*conn // of those, closed
	deadlines due.Queue[*conn]
	buffer    []byte
	paused    time.Duration // how long it stood still last
	started   bool          // something since the last yield

	complained time.Time // when the log said last that a sample could not measure

	probes  lane
	probing sync.WaitGroup
	life    context.Context // of probes; it ends with the loop
}

func newLoop(e *Engine) (*loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &loop{engine: e, poll: p, list: watch.New[*plan](), buffer: make([]byte, 64<<10)}
	l.now = l.time.look()
	l.own.places, l.probes.places, err = places(e.MaxSockets)
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// places shares what descriptors may be used among the loop's own connections and probes.
func places(most int) (own, probes int, err error) {
	if most <= 0 {
		most = maxSockets
	}
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, 0, fmt.Errorf("read the limit of descriptors: %w", err)
	}
	if half := r.Cur / 2; uint64(most) > half {
		most = int(half)
	}
	probes = max(1, min(maxProbes, most/4))
	return max(1, most-probes), probes, nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		if c.fd >= 0 {
			_ = unix.Close(c.fd)
		}
	}
	l.poll.close()
}

// run makes samples until ctx ends and waits for probes under way.
func (l *loop) run(ctx context.Context) error {
	var cancel context.CancelFunc
	l.life, cancel = context.WithCancel(ctx)
	defer l.probing.Wait()
	defer cancel()
	for {
		l.take()
		if ctx.Err() != nil {
			return nil
		}
		if err := l.turn(); err != nil {
			return err
		}
	}
}

// turn begins what is due, waits, and ends what can be ended. Answers count before deadlines:
// all that has come by a deadline is read before it has passed.
func (l *loop) turn() error {
	l.now = l.time.glance()
	wait := time.Duration(0)
	if !l.begin() {
		wait = l.list.Wait(l.now, idle)
		if d := l.deadlines.First(); d != nil {
			wait = min(wait, max(d.At-l.now, 0))
		}
		l.yield(wait)
	}
	if err := l.listen(wait); err != nil {
		return err
	}
	if d := l.deadlines.First(); d == nil || d.At > l.now {
		return nil
	}
	before := l.now
	if err := l.listen(0); err != nil {
		return err
	}
	l.expire(before)
	return nil
}

// hogging is for how long a goroutine may keep a processor: forcePreemptNS of Go's runtime.
const hogging = 10 * time.Millisecond

// yield lets the runtime see after each slot that the loop keeps no processor for itself.
// While it does, the runtime's monitor sends it a signal and takes its processor away in the
// midst of a system call, each time it looks. Before a longer wait the processor is lost
// anyway.
func (l *loop) yield(wait time.Duration) {
	if l.started && wait <= hogging {
		runtime.Gosched()
	}
	l.started = false
}

// take does what others want.
func (l *loop) take() {
	l.engine.inbox.take(&l.news)
	for _, f := range l.news.finished {
		p := f.entry.Probe
		l.probes.leave(p)
		l.engine.stats.probes.Store(int64(l.probes.flying))
		p.cancel, p.hung = nil, f.hung
		l.finish(f.entry, f.sample)
	}
	clear(l.news.finished)
	if l.news.set {
		l.set(l.news.targets)
		l.news.targets = nil
	}
	for t, s := range l.news.reports {
		if p, ok := l.list.Probe(t.key, t.place); ok {
			s.Message = p.Type + ": " + s.Message
		}
		if r, ok := l.list.Report(t.key, t.place, s, time.Now()); ok {
			l.engine.outbox.put(r)
		}
	}
}

// set replaces the targets. Samples under way that nobody wants are given up.
func (l *loop) set(ts []watch.Target[*plan]) {
	gone, news := l.list.Set(ts, l.time.glance(), time.Now())
	for _, e := range gone {
		if !l.list.Has(e.Key()) {
			l.engine.outbox.forget(e.Key())
		}
		if p := e.Probe; p.conn != nil {
			l.release(p.conn)
		} else if p.cancel != nil {
			p.cancel()
		}
	}
	for _, r := range news {
		l.engine.outbox.put(r)
	}
	l.engine.stats.targets.Store(int64(l.list.Len()))
}

// begin starts samples that are due, and reports whether more could be started at once.
func (l *loop) begin() (more bool) {
	for e := l.list.Next(l.now); e != nil; e = l.list.Next(l.now) {
		if e.Probe.manner == byProbe {
			l.probes.push(e)
		} else {
			l.own.push(e)
		}
	}
	for _, lane := range []*lane{&l.probes, &l.own} {
		started := 0
		for e := lane.next(); e != nil; e = lane.next() {
			l.start(e)
			if started++; started == burst {
				more = true
				break
			}
		}
	}
	s := &l.engine.stats
	s.waiting.Store(int64(l.own.waiting() + l.probes.waiting()))
	s.skipped.Store(l.list.Skipped())
	return more
}

// start makes one sample.
func (l *loop) start(e *entry) {
	l.now, l.started = l.time.glance(), true
	l.engine.stats.began(l.now - e.Due)
	p := e.Probe
	if !p.ready {
		p.prepare(l.engine)
	}
	switch {
	case p.failure != nil:
		l.finish(e, watch.Sample{State: check.Down, Message: p.Type + ": " + p.failure.Error()})
	case p.manner == byProbe:
		l.launch(e)
	default:
		l.connect(e)
	}
}

// finish takes the sample of an entry that was started.
func (l *loop) finish(e *entry, s watch.Sample) {
	c := &l.engine.stats
	c.checks.Add(1)
	if s.State == check.Unknown {
		c.unmeasured.Add(1)
		l.complain(Complaint{e.Key(), s.Message, time.Now()})
	}
	if r, ok := l.list.Finish(e, s, l.now, l.time.wall(l.now)); ok {
		l.engine.outbox.put(r)
	}
}

// quietly is how long the log says nothing of more samples that could not measure.
const quietly = time.Minute

// complain tells of a sample that could not measure: no verdict ever will.
func (l *loop) complain(c Complaint) {
	l.engine.stats.complaint.Store(&c)
	if l.complained.IsZero() || c.At.Sub(l.complained) >= quietly {
		l.complained = c.At
		l.engine.log.Warn("check could not measure; the last verdict counts", "id", c.Key, "err", c.Message)
	}
}
