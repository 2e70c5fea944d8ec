package pluginhost

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// A supervisor keeps one plugin running.
type supervisor struct {
	name    string
	host    *Host
	spawner *spawner
	stop    context.CancelFunc
	sink    *sink // over all sessions, so that restarts do not add to what may be logged

	look   chan struct{} // one token asks to look at the binary
	failed attempt       // of run's goroutine

	mu      sync.Mutex
	session *session // nil while there is none
	reason  string   // why there is none
	note    string   // what is wrong although there is one
}

// run starts the plugin, and again whenever it ended, until ctx ends. Every start is a new
// session: a go-plugin client that has died reports success with its old address.
func (s *supervisor) run(ctx context.Context) {
	log := s.host.log.With("plugin", s.name)
	back := s.host.timing.backoff()
	for {
		lived, err := s.live(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := back.after(lived)
		s.set(nil, clip(err.Error()))
		log.Warn("plugin is not running", "err", clip(err.Error()), "retry_in", wait.String())
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// live is the life of one session: how long it was, from a start that worked, and how it ended.
func (s *supervisor) live(ctx context.Context) (time.Duration, error) {
	ses, err := s.start(ctx)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = s.serve(ctx, ses)
	return time.Since(began), err
}

// serve goes on with ses, and with what takes its place, until that ends.
func (s *supervisor) serve(ctx context.Context, ses *session) error {
	defer func() { ses.close() }()
	s.host.log.Info("plugin started", "plugin", s.name, "version", ses.version, "pid", ses.process.pid())
	s.set(ses, "")
	s.setNote("")
	defer s.set(nil, "is stopping")
	tick := time.NewTicker(s.host.timing.look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ses.process.exited:
			return errors.New("has ended: " + ses.process.how())
		case <-ses.hung:
			return errors.New("did not answer any more and was killed")
		case <-tick.C:
		case <-s.look:
		}
		ses = s.renew(ctx, ses)
	}
}

func (s *supervisor) set(ses *session, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session, s.reason = ses, reason
}

func (s *supervisor) current() (ses *session, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session, s.reason
}

// check makes one check of each of ts and says what came of each. Whatever goes wrong on the
// way to the plugin's verdict is unknown.
func (s *supervisor) check(ctx context.Context, ts []spec.Tracker, say func(map[int]Report)) {
	s.mu.Lock()
	ses, reason, note := s.session, s.reason, s.note
	if ses != nil {
		ses.using.Add(1)
	}
	s.mu.Unlock()
	if ses == nil {
		say(alike(len(ts), silent("plugin "+s.name+" "+reason)))
		return
	}
	defer ses.using.Done()
	ses.checkAll(ctx, ts, func(rs map[int]Report) {
		for place, r := range rs {
			r.Note = note
			rs[place] = r
			if id := ses.configured(ts[place].Name); id != "" {
				ses.watch(ts[place], id)
			}
		}
		say(rs)
	})
}

// alike are n times the same report, by place.
func alike(n int, r Report) map[int]Report {
	out := make(map[int]Report, n)
	for place := range n {
		out[place] = r
	}
	return out
}

// forgetOthers ends the instances of trackers that are not in ts.
func (s *supervisor) forgetOthers(ctx context.Context, ts []spec.Tracker) {
	if ses, _ := s.current(); ses != nil {
		ses.forgetOthers(ctx, ts)
	}
}
