package track

import (
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/wait"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// maxReads is how many files are read at a time: as many may hang before others wait.
const maxReads = 8

// A followed is a tracker of type file.
type followed struct {
	cfg resource.VRRPTracker
	teller
	due     time.Duration
	reading bool
	since   time.Duration // of the read under way
	again   bool          // it changed meanwhile
	gone    bool          // the tracker, while its file is read
	wd      int           // of its folder; negative if that cannot be watched
}

// files reads integers from files: at every interval, and when a file is closed after a
// write, moved, or removed.
type files struct {
	*loop
	trackers map[resource.TrackerKey]*followed
	inotify  int // -1 if there is none
	reads    int // under way
	buf      []byte
}

func newFiles(l *loop) *files {
	return &files{loop: l, inotify: -1, buf: make([]byte, 16<<10)}
}

func (f *files) configure(cfgs []resource.VRRPTracker, now time.Duration) {
	if len(cfgs) > 0 && f.inotify < 0 {
		fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
		if err != nil {
			f.log.Warn("files are only looked at now and then", "err", err)
			fd = -1
		}
		f.inotify = fd
	}
	old := f.trackers
	f.trackers = make(map[resource.TrackerKey]*followed, len(cfgs))
	for _, c := range cfgs {
		x := old[c.Key()]
		if x == nil {
			x = &followed{teller: newTeller(c.Key(), f.report), due: now, wd: -1}
		}
		x.cfg = c
		x.due = min(x.due, now+interval(c))
		f.trackers[c.Key()] = x
		delete(old, c.Key())
	}
	for _, x := range old {
		x.gone = true
		f.unwatch(x.wd)
	}
}

// unwatch stops to watch a folder that no tracker has a file in.
func (f *files) unwatch(wd int) {
	for _, x := range f.trackers {
		if x.wd == wd {
			return
		}
	}
	if wd >= 0 {
		_, _ = unix.InotifyRmWatch(f.inotify, uint32(wd))
	}
}

func (f *files) timers(now time.Duration) time.Duration {
	next := wait.Never
	for _, x := range f.trackers {
		switch {
		case x.reading && now-x.since >= patience:
			x.tell(Unknown, 0, "reading the file takes too long")
		case x.reading:
			next = min(next, x.since+patience)
		case x.due > now:
			next = min(next, x.due)
		case f.reads < maxReads:
			f.read(x, now)
			next = min(next, now+patience)
		case now-x.due >= patience: // it has to wait for others, and is read when one of those is
			x.tell(Unknown, 0, "reading other files takes too long")
		default:
			next = min(next, x.due+patience)
		}
	}
	return next
}

// read starts to read a file, after its folder is watched, so that no change is missed.
func (f *files) read(x *followed, now time.Duration) {
	f.reads++
	x.reading, x.since, x.again = true, now, false
	path, inotify := x.cfg.Target, f.inotify
	f.start(func() func(time.Duration) {
		wd := watchFolder(inotify, path)
		value, err := readInteger(path)
		return func(now time.Duration) { f.done(x, wd, value, err, now) }
	})
}

func (f *files) done(x *followed, wd, value int, err error, now time.Duration) {
	f.reads--
	x.reading = false
	if x.gone {
		f.unwatch(wd)
		return
	}
	if old := x.wd; old != wd { // the folder was replaced by another
		x.wd = wd
		f.unwatch(old)
	}
	if x.due = x.since + interval(x.cfg); x.again {
		x.due = now
	}
	switch {
	case err != nil:
		x.tell(Unknown, 0, err.Error())
	case value != 0:
		x.tell(Down, value, "")
	default:
		x.tell(Up, 0, "")
	}
}

// drain makes the files due whose folders say that they changed.
func (f *files) drain(now time.Duration) bool {
	if f.inotify < 0 {
		return true
	}
	n, err := unix.Read(f.inotify, f.buf)
	if err != nil || n <= 0 {
		return true
	}
	changes(f.buf[:n], func(wd int, name string) {
		for _, x := range f.trackers {
			if wd < 0 || x.wd == wd && (name == "" || name == filepath.Base(x.cfg.Target)) {
				x.due, x.again = now, true
			}
		}
	})
	return true // what is left is read in the next round, and at the interval anyway
}

func (f *files) descriptors() []int { return []int{f.inotify} }

func (f *files) close() {
	if f.inotify >= 0 && f.reads == 0 { // who reads may still use it
		_ = unix.Close(f.inotify)
	}
}
