package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hareconcile/hareconcile/internal/spec"
	pluginv1 "github.com/hareconcile/hareconcile/plugins/proto/hareconcile/plugin/v1"
)

// What a plugin may push. Of what comes faster than pushGap the last one counts; who floods
// is only polled for a while.
const (
	pushGap    = 100 * time.Millisecond
	floodRate  = 100 // a second
	floodBurst = 500
)

var errFlood = errors.New("it pushes more results than anybody can use")

// A stream is what a plugin pushes about one instance.
type stream struct {
	id     string // the instance
	cancel context.CancelFunc

	mu     sync.Mutex
	heard  int     // results so far
	latest *Report // not yet delivered
}

// pushed returns how many results the plugin has pushed about a tracker, so that an answer to
// a question that was asked before one of them is known to be old.
func (s *session) pushed(tracker string) int {
	s.mu.Lock()
	st := s.streams[tracker]
	s.mu.Unlock()
	if st == nil {
		return 0
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.heard
}

// watch makes sure that there is one stream for a tracker's instance, if the plugin has any.
func (s *session) watch(t spec.Tracker, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.pushes || s.closing {
		return
	}
	old := s.streams[t.Name]
	if old != nil && old.id == id {
		return
	}
	if old != nil {
		old.cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	st := &stream{id: id, cancel: cancel}
	s.streams[t.Name] = st
	s.output.Go(func() { defer cancel(); s.follow(ctx, t, st) })
}

// unwatch ends the streams of trackers that keep does not name; s.mu is held.
func (s *session) unwatch(keep map[string]bool) {
	for name, st := range s.streams {
		if !keep[name] {
			st.cancel()
			delete(s.streams, name)
		}
	}
}

// follow listens to the plugin until ctx ends, again and again: between two streams, and
// beside them, it is polled.
func (s *session) follow(ctx context.Context, t spec.Tracker, st *stream) {
	back := s.timing.backoff()
	for ctx.Err() == nil {
		began := time.Now()
		err := s.listen(ctx, t, st)
		switch status.Code(err) {
		case codes.Unimplemented, codes.FailedPrecondition:
			return // it has to be asked
		case codes.NotFound: // the instance is gone; the next one may have the same name
			s.mu.Lock()
			if s.streams[t.Name] == st {
				delete(s.streams, t.Name)
			}
			s.mu.Unlock()
			return
		}
		wait := back.after(time.Since(began))
		s.host.log.Debug("plugin pushes nothing for now", "plugin", t.Plugin, "id", t.Name, "err", s.said(err), "retry_in", wait.String())
		pause(wait, ctx.Done())
	}
}

// listen is the life of one stream.
func (s *session) listen(ctx context.Context, t spec.Tracker, st *stream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := pluginv1.NewTrackClient(s.conn).Watch(ctx, &pluginv1.WatchRequest{Instance: st.id})
	if err != nil {
		return err
	}
	fresh := make(chan struct{}, 1) // one token says that latest is there
	var delivery sync.WaitGroup
	defer delivery.Wait()
	defer close(fresh)
	delivery.Go(func() {
		for range fresh {
			st.mu.Lock()
			r := st.latest
			st.latest = nil
			st.mu.Unlock()
			if r != nil {
				s.host.push(t, *r)
				pause(pushGap, ctx.Done())
			}
		}
	})
	budget := newBucket(floodRate, floodBurst)
	for {
		m, err := in.Recv()
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		r := reported(m, s.secrets)
		st.mu.Lock()
		st.heard++
		st.latest = &r
		st.mu.Unlock()
		select {
		case fresh <- struct{}{}:
		default:
		}
		if budget.take(1) > 0 {
			return errFlood
		}
	}
}
