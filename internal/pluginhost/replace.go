package pluginhost

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/plugins/proto"
)

// A want is what a plugin's process should be made of: the file at its path, and what the lock
// file says of it.
type want struct {
	id   identity
	lock string
}

func lockText(p spec.LockedPlugin, ok bool) string {
	if !ok {
		return ""
	}
	return fmt.Sprint(p.Version, " ", p.Hashes[Platform], " ", p.AutoMTLS)
}

// wanted looks at the path. A file that is not there is another one, too.
func (s *supervisor) wanted() want {
	w := want{lock: lockText(s.host.locked(s.name))}
	if info, err := os.Lstat(filepath.Join(s.host.cfg.Dir, proto.BinaryPrefix+s.name)); err == nil {
		w.id = identityOf(info)
	}
	return w
}

// An attempt is the last replacement that failed.
type attempt struct {
	want want
	at   time.Time
}

// renew returns the session that goes on: ses, or one of a new process if the binary or its
// entry in the lock file has changed. The new one has answered for every tracker before it
// takes over, so no verdict changes with it. If it does not, the old one goes on.
func (s *supervisor) renew(ctx context.Context, ses *session) *session {
	w := s.wanted()
	if w == ses.want {
		s.setNote("")
		return ses
	}
	if w == s.failed.want && time.Since(s.failed.at) < s.host.timing.againLimit {
		return ses
	}
	next, err := s.start(ctx)
	if err == nil {
		if err = s.rehearse(ctx, next); err != nil {
			next.close()
		}
	}
	log := s.host.log.With("plugin", s.name)
	if err != nil {
		s.failed = attempt{w, time.Now()}
		s.setNote("the plugin was changed and the new one is refused: " + clip(err.Error()) + "; the old one goes on")
		log.Warn("plugin is not replaced", "err", clip(err.Error()), "version", ses.version, "pid", ses.process.pid())
		return ses
	}
	s.set(next, "")
	s.setNote("")
	log.Info("plugin replaced", "from", ses.version, "version", next.version, "pid", next.process.pid())
	ses.using.Wait() // each check has a time limit
	ses.close()
	s.forgetOthers(ctx, s.host.trackersOf(s.name))
	return next
}

// rehearse configures every instance in a new process and makes one check of each. One that
// cannot measure what was measured before is worse than the old one.
func (s *supervisor) rehearse(ctx context.Context, next *session) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	places := make(chan struct{}, 8) // checks at a time
	for _, t := range s.host.trackersOf(s.name) {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			limited, cancel := context.WithTimeout(ctx, t.Timeout)
			defer cancel()
			r := next.check(limited, t)
			before := s.host.report(t.Name).Status
			if r.Status != "unknown" || r.Code != CodePlugin && before != "pass" && before != "warn" && before != "fail" {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			failed = fmt.Errorf("tracker %s: %s", t.Name, r.Detail)
		})
	}
	all.Wait()
	return failed
}

func (s *supervisor) setNote(note string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note = note
}
