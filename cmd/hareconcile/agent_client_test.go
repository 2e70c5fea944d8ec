package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// fakeAgent is node rs1's agent without a host: it has a plan and carries it out once.
type fakeAgent struct {
	mu       sync.Mutex
	changes  []reconcile.Change
	findings []reconcile.Finding
	refusal  error
	problems []reconcile.Problem
	drained  []control.DrainRequest
	ordered  []control.Order
	history  []journal.Record
	work     func() // what Apply does first, if anything
	status   control.Status
	events   *event.Log
	changed  chan struct{}
	fetch    func(asked time.Time, s *control.Status) // what FetchNow makes of the status
}

func (a *fakeAgent) Status() control.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

func (a *fakeAgent) Events() *event.Log { return a.events }

func (a *fakeAgent) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// setPhase publishes a status with that phase.
func (a *fakeAgent) setPhase(p control.Phase) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.Phase = p
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *fakeAgent) Plan(context.Context) (planfile.File, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := planfile.New(planfile.Meta{
		Version: "test", Node: "rs1", BootID: "boot", Digest: "sha256:0", Created: time.Unix(0, 0), FactsKnown: true,
		Revision: planfile.Revision{Ref: "main", Commit: "8f3c2d1000", Subject: "web: add web4"},
	}, reconcile.Plan{Changes: a.changes}, 5, a.findings)
	f.Errors = planfile.Problems(a.problems)
	return f, nil
}

func (a *fakeAgent) Apply(ctx context.Context, r control.ApplyRequest) (control.ApplyResult, error) {
	now, err := a.Plan(ctx)
	if a.work != nil {
		a.work()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil || a.refusal != nil:
		return control.ApplyResult{}, errors.Join(err, a.refusal)
	case now.Fingerprint() != r.Plan.Fingerprint():
		return control.ApplyResult{}, &control.APIError{Code: "stale", Message: "the plan is stale: plan again"}
	}
	var res control.ApplyResult
	for _, c := range a.changes {
		if c.After == broken {
			res.Failed = append(res.Failed, c.ID.String()+": no such file")
			continue
		}
		res.Applied = append(res.Applied, c.Action.String()+" "+c.ID.String())
	}
	a.changes = nil
	return res, nil
}

func (a *fakeAgent) FetchNow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fetch == nil {
		return
	}
	a.fetch(time.Now(), &a.status)
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *fakeAgent) Snapshot(context.Context) (control.Snapshot, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	return control.NewSnapshot("rs1", time.Unix(0, 0).UTC(), live, &reconcile.Facts{})
}

func (a *fakeAgent) Drain(_ context.Context, r control.DrainRequest) (control.DrainResult, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drained = append(a.drained, r)
	if a.refusal != nil {
		return control.DrainResult{}, a.refusal
	}
	return control.DrainResult{Drains: a.status.Drains}, nil
}

var broken = resource.Sysctl{Key: "net/broken", Value: "1"}

// update1 is a change of one sysctl.
func update1() reconcile.Change {
	after := resource.Sysctl{Key: "net/ipv4/conf/lo/arp_ignore", Value: "1"}
	before := after
	before.Value = "0"
	return reconcile.Change{Action: reconcile.Update, ID: after.ID(), Before: before, After: after}
}

// startAgent serves a for the test and returns the flag that names its host's agent.hcl.
func startAgent(t *testing.T, a *fakeAgent) (config string) {
	t.Helper()
	a.changed = make(chan struct{})
	dir := t.TempDir()
	text := fmt.Sprintf("node_name = \"rs1\"\ndata_dir = %q\nsocket = %q\nvrrp_socket = %q\n"+
		"source \"git\" \"primary\" {\n  url = \"ssh://git@git.example.com/edge.git\"\n  ref = { branch = \"main\" }\n}\n",
		dir, filepath.Join(dir, "agent.sock"), filepath.Join(dir, "vrrpd.sock"))
	path := filepath.Join(dir, "agent.hcl")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	lock, err := control.TakeLock(filepath.Join(dir, "agent.lock"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := lock.Listen(filepath.Join(dir, "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, l, a, slog.New(slog.NewTextHandler(io.Discard, nil))) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, lock.Release()); err != nil {
			t.Error(err)
		}
	})
	return "-config=" + path
}

func (a *fakeAgent) Order(_ context.Context, o control.Order) (control.OrderResult, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ordered = append(a.ordered, o)
	return control.OrderResult{Message: "it will be so"}, a.refusal
}

func (a *fakeAgent) History(context.Context) (control.HistoryResult, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return control.HistoryResult{Records: a.history}, nil
}
