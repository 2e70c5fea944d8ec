package track

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/wait"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	// maxEnds is how many processes are watched for their end; that of others is seen at
	// the next look.
	maxEnds = 1024
	// leisure is how many times longer than a look the time between two is at least.
	leisure = 20
)

// A counted is a tracker of type process.
type counted struct {
	cfg resource.VRRPTracker
	teller
}

// processes counts processes by name: at every interval, and when one ends. A name is not
// a proof: every user may start a process of any name.
type processes struct {
	*loop
	dir      string
	trackers map[resource.TrackerKey]*counted
	known    map[int]match // by pid
	epoll    int           // of pidfds; -1 if there are none
	pidfds   map[int]int   // by pid
	read     bool          // known is what a look found, since the trackers were set
	looking  bool
	since    time.Duration // of the look under way
	due      time.Duration
}

func newProcesses(l *loop) *processes {
	return &processes{loop: l, dir: procDir, epoll: -1, pidfds: map[int]int{}, due: wait.Never}
}

func (p *processes) configure(cfgs []resource.VRRPTracker, now time.Duration) {
	old := p.trackers
	p.trackers = make(map[resource.TrackerKey]*counted, len(cfgs))
	fresh := false
	for _, c := range cfgs {
		x := old[c.Key()]
		if x == nil {
			x = &counted{teller: newTeller(c.Key(), p.report)}
			fresh = true
		}
		x.cfg = c
		p.trackers[c.Key()] = x
	}
	switch {
	case len(cfgs) == 0:
		p.due, p.read = wait.Never, false
		p.merge(nil)
	case fresh:
		p.due = now
	default:
		p.due = min(p.due, now+p.interval())
		p.judge()
	}
}

// interval is the shortest of all: one look serves every tracker.
func (p *processes) interval() time.Duration {
	d := time.Hour
	for _, x := range p.trackers {
		d = min(d, interval(x.cfg))
	}
	return d
}

func (p *processes) timers(now time.Duration) time.Duration {
	if p.due <= now && !p.looking {
		p.look(now)
	}
	if p.looking {
		if now-p.since < patience {
			return p.since + patience
		}
		p.read = false
		for _, x := range p.trackers {
			x.tell(Unknown, 0, "reading "+p.dir+" takes too long")
		}
		return wait.Never
	}
	return p.due
}

// look starts a scan. Reading a process's arguments may hang with that process.
func (p *processes) look(now time.Duration) {
	var names []string
	for _, x := range p.trackers {
		names = append(names, x.cfg.Target)
	}
	p.looking, p.since = true, now
	p.start(func() func(time.Duration) {
		found, err := scan(p.dir, names)
		return func(now time.Duration) { p.looked(found, names, err, now) }
	})
}

func (p *processes) looked(found map[int]match, names []string, err error, now time.Duration) {
	p.looking = false
	p.due = max(p.since+p.interval(), now+leisure*(now-p.since))
	if err != nil {
		p.read = false
		for _, x := range p.trackers {
			x.tell(Unknown, 0, err.Error())
		}
		return
	}
	if len(p.trackers) == 0 {
		p.due = wait.Never
		return
	}
	for _, x := range p.trackers {
		if !slices.Contains(names, x.cfg.Target) { // set while the look was under way
			p.due = now
			return
		}
	}
	p.merge(found)
	p.read = true
	p.judge()
}

// merge takes over what a look found. Those that are new are looked at once more after
// their end is watched, so that none that ended in between is counted.
func (p *processes) merge(found map[int]match) {
	for pid, old := range p.known {
		if found[pid].start != old.start {
			p.forget(pid)
		}
	}
	buf := make([]byte, procRead)
	for pid, f := range found {
		if _, watched := p.pidfds[pid]; watched {
			continue
		}
		p.watchEnd(pid)
		if again, ok := look(p.dir, pid, buf); !ok || again.start != f.start {
			delete(found, pid)
			p.forget(pid)
		}
	}
	p.known = found
}

// watchEnd watches a process by a pidfd. Without one, its end is seen at the next look.
func (p *processes) watchEnd(pid int) {
	if len(p.pidfds) >= maxEnds || p.dir != procDir {
		return
	}
	if p.epoll < 0 {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return
		}
		p.epoll = fd
	}
	fd, err := unix.PidfdOpen(pid, 0) // close-on-exec by itself
	if err != nil {
		return
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(pid)}
	if unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &event) != nil {
		_ = unix.Close(fd)
		return
	}
	p.pidfds[pid] = fd
}

func (p *processes) forget(pid int) {
	if fd, ok := p.pidfds[pid]; ok {
		_ = unix.Close(fd) // which takes it out of the epoll set
		delete(p.pidfds, pid)
	}
	delete(p.known, pid)
}

// drain takes out the processes that have ended.
func (p *processes) drain(time.Duration) bool {
	if p.epoll < 0 {
		return true
	}
	var events [64]unix.EpollEvent
	n, err := unix.EpollWait(p.epoll, events[:], 0)
	if err != nil || n <= 0 {
		return true
	}
	for _, e := range events[:n] {
		p.forget(int(e.Fd))
	}
	p.judge()
	return n < len(events)
}

// judge tells how many run of each.
func (p *processes) judge() {
	if !p.read {
		return
	}
	for _, x := range p.trackers {
		n := 0
		for _, k := range p.known {
			if slices.Contains(k.names, x.cfg.Target) {
				n++
			}
		}
		least := x.cfg.Min
		if x.cfg.Min <= 0 && x.cfg.Max <= 0 {
			least = 1
		}
		switch {
		case n < least:
			x.tell(Down, 0, fmt.Sprintf("%d of at least %d run", n, least))
		case x.cfg.Max > 0 && n > x.cfg.Max:
			x.tell(Down, 0, fmt.Sprintf("%d of at most %d run", n, x.cfg.Max))
		default:
			x.tell(Up, 0, "")
		}
	}
}

func (p *processes) descriptors() []int { return []int{p.epoll} }

func (p *processes) close() {
	for pid := range p.pidfds {
		p.forget(pid)
	}
	if p.epoll >= 0 {
		_ = unix.Close(p.epoll)
	}
}
