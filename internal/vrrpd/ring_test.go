package vrrpd

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
)

// A stuckSink blocks until it is released, as a pipe that nobody reads.
type stuckSink struct {
	slog.Handler
	release chan struct{}
	lines   []string
}

func (s *stuckSink) Enabled(context.Context, slog.Level) bool { return true }

func (s *stuckSink) Handle(_ context.Context, r slog.Record) error {
	<-s.release
	s.lines = append(s.lines, r.Message)
	return nil
}

func TestLogNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &stuckSink{Handler: slog.DiscardHandler, release: make(chan struct{})}
		ring := newRing(sink)
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			ring.drain(stop)
			close(done)
		}()
		log := slog.New(ring)
		log.Info("first")
		synctest.Wait() // the drain is stuck with it
		for range ringSize + 7 {
			log.Info("more")
		}
		close(sink.release)
		close(stop)
		<-done
		if got := ring.shared.dropped.Load(); got != 0 {
			t.Errorf("%d dropped lines are not told", got)
		}
		if len(sink.lines) != 1+ringSize+1 || sink.lines[1] != "log lines were dropped" {
			t.Errorf("%d lines, the second %q, want %d and a word about dropped ones", len(sink.lines), sink.lines[1], 2+ringSize)
		}
	})
}
