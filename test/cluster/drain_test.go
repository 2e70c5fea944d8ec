package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// draining takes rs1 out of both directors by command under load, restarts an agent
// meanwhile, and puts it back: no request is lost, and no plan has anything to say.
func draining(t *testing.T, s *story) {
	load := s.Load(t.Context(), "client", "-address", vip+":80", "-rate", "20", "-count", "4000")
	for _, n := range directors {
		if _, err := s.Output(t.Context(), n, "hareconcile", "drain", "-wait", "-deadline", "1m", "web/rs1"); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(ctx context.Context) error {
		return onAll(directors, func(n string) error {
			table, err := s.Table(ctx, n)
			if err != nil {
				return err
			}
			if w, there := table.Weight(service, rs1); there {
				return fmt.Errorf("rs1 is in the table of %s with weight %d after drain -wait", n, w)
			}
			return nil
		})
	}
	if err := gone(t.Context()); err != nil {
		t.Error(err)
	}
	s.noChanges(t, directors...)
	s.withoutAgents(t, func() {}, "ka1")
	until(t, 60*time.Second, "an agent again", func(ctx context.Context) error { return s.converged(ctx, "ka1") })
	if err := gone(t.Context()); err != nil {
		t.Errorf("after the agent started anew: %v", err)
	}
	for _, n := range directors {
		if _, err := s.Output(t.Context(), n, "hareconcile", "undrain", "web/rs1"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, 60*time.Second, "rs1 back in service", func(ctx context.Context) error { return s.weights(ctx, 2, 1) })
	r, err := load.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed > 0 {
		t.Errorf("%d of %d requests failed while rs1 was drained and put back: %v", r.Failed, r.Requests, r.Failures)
	}
	t.Logf("%d requests, %d failed", r.Requests, r.Failed)
}
