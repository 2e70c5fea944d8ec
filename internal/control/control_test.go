package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// backend is an agent without a loop: a status that tests set, and a plan that must match.
type backend struct {
	events  *event.Log
	mu      sync.Mutex
	status  Status
	changed chan struct{}
	applied chan ApplyRequest
	fetched int // calls of FetchNow
	ordered []Order
	history []journal.Record
	refusal error // of an order
}

func newBackend() *backend {
	return &backend{changed: make(chan struct{}), applied: make(chan ApplyRequest, 1), status: Status{Node: "ka1"}}
}

func (b *backend) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

func (b *backend) Events() *event.Log { return b.events }

func (b *backend) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *backend) FetchNow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fetched++
}

func (b *backend) set(p Phase) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.Phase = p
	close(b.changed)
	b.changed = make(chan struct{})
}

func plan() planfile.File {
	a := resource.Sysctl{Key: "net/ipv4/conf/lo/arp_ignore", Value: "0"}
	w := a
	w.Value = "1"
	return planfile.New(planfile.Meta{Version: "test", Node: "ka1", BootID: "b", FactsKnown: true,
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		reconcile.Plan{Changes: []reconcile.Change{{Action: reconcile.Update, ID: a.ID(), Before: a, After: w}}}, 3, nil)
}

func (b *backend) Plan(context.Context) (planfile.File, error) { return plan(), nil }

func (b *backend) Apply(_ context.Context, r ApplyRequest) (ApplyResult, error) {
	if r.Plan.Fingerprint() != plan().Fingerprint() {
		return ApplyResult{}, &APIError{"stale", "the host has changed since"}
	}
	b.applied <- r
	return ApplyResult{Applied: []string{"update sysctl/net/ipv4/conf/lo/arp_ignore"}}, nil
}

func (b *backend) Snapshot(context.Context) (Snapshot, error) {
	return Snapshot{}, errors.New("observe ipvs_service: no such module")
}

func (b *backend) Drain(_ context.Context, r DrainRequest) (DrainResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pool, err := JudgeDrain(r, Scene{twoServers, twoServers.VirtualServers, b.status.Drains, func(spec.Pool, spec.Server) int { return 1 }})
	if err != nil {
		return DrainResult{}, err
	}
	b.status.Drains = nil
	if !r.Cancel {
		b.status.Drains = []Drain{{Server: r.Server, State: Draining, Connections: 3, Since: noon, Until: noon.Add(r.Patience(pool))}}
	}
	close(b.changed)
	b.changed = make(chan struct{})
	return DrainResult{b.status.Drains}, nil
}

// serve starts the API in a folder of its own and returns the socket's path.
func serve(t *testing.T, b Backend, log io.Writer) string {
	t.Helper()
	dir := t.TempDir()
	lock, err := TakeLock(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := lock.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, b, slog.New(slog.NewTextHandler(log, nil))) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
		lock.Release()
	})
	return path
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAPlanSurvivesTheTripAndIsAppliedAsApproved(t *testing.T) {
	b := newBackend()
	var log bytes.Buffer
	c := dial(t, serve(t, b, &log))
	f, err := c.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(plan(), f); d != "" {
		t.Errorf("plan (-want +got):\n%s", d)
	}
	res, err := c.Apply(t.Context(), ApplyRequest{Plan: f})
	if err != nil || len(res.Applied) != 1 {
		t.Fatalf("Apply = %v, %v", res, err)
	}
	if d := cmp.Diff(plan(), (<-b.applied).Plan); d != "" {
		t.Errorf("applied plan (-want +got):\n%s", d)
	}

	f.Changes[0].After = resource.Sysctl{Key: "net/ipv4/conf/lo/arp_ignore", Value: "2"}
	_, err = c.Apply(t.Context(), ApplyRequest{Plan: f})
	var api *APIError
	if !errors.As(err, &api) || api.Code != "stale" {
		t.Errorf("Apply of another plan = %v, want code stale", err)
	}
}

func TestAnErrorOfTheAgentReachesTheClientInWords(t *testing.T) {
	c := dial(t, serve(t, newBackend(), io.Discard))
	_, err := c.Snapshot(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no such module") {
		t.Errorf("Snapshot = %v", err)
	}
}

func TestWatchShowsTheStatusNowAndAfterEveryChange(t *testing.T) {
	b := newBackend()
	c := dial(t, serve(t, b, io.Discard))
	enough := errors.New("enough")
	var got []Phase
	err := c.Watch(t.Context(), func(s Status) error {
		got = append(got, s.Phase)
		switch len(got) {
		case 1:
			b.set(Applying)
		case 2:
			b.set(Converged)
		case 3:
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("Watch = %v, want %v", err, enough)
	}
	if d := cmp.Diff([]Phase{"", Applying, Converged}, got); d != "" {
		t.Errorf("phases (-want +got):\n%s", d)
	}
}

func TestWatchersLeaveRoomForOthers(t *testing.T) {
	path := serve(t, newBackend(), io.Discard)
	c := dial(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	ready := make(chan struct{}, maxStreams)
	for range maxStreams {
		wg.Go(func() {
			if err := c.Watch(ctx, func(Status) error { ready <- struct{}{}; return nil }); err != nil {
				t.Errorf("Watch = %v, want nil", err)
			}
		})
	}
	for range maxStreams {
		<-ready
	}
	err := c.Watch(ctx, func(Status) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "follow the events already") {
		t.Errorf("one watcher too many: %v", err)
	}
	if s, err := c.Status(t.Context()); err != nil || s.Node != "ka1" {
		t.Errorf("Status = %v, %v", s, err)
	}
	cancel()
	wg.Wait()
}

func TestRequestsThatAreNoneAreRefused(t *testing.T) {
	path := serve(t, newBackend(), io.Discard)
	for _, tt := range []struct{ name, request, want, text string }{
		{"no such path", "GET /v2/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404", "GET /v2/status"},
		{"no such method", "DELETE /v1/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404", "DELETE"},
		{"no JSON", "POST /v1/apply HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nplan", "400", "read the request"},
		{"no plan", "POST /v1/apply HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", "400", "plan"},
		{"too long", "POST /v1/apply HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"4200000\r\n\"" + strings.Repeat("x", 0x41fffff) + "\r\n0\r\n\r\n", "400", "too large"},
		{"no HTTP", "hello\r\n\r\n", "400", ""},
		{"a header without end", "GET /v1/status HTTP/1.1\r\nX: " + strings.Repeat("x", 1<<16) + "\r\n\r\n", "431", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go io.WriteString(conn, tt.request) // the server may hang up before it has read all
			answer, err := io.ReadAll(io.LimitReader(conn, 500))
			line, rest, _ := strings.Cut(string(answer), "\n")
			if !strings.Contains(line, tt.want) || !strings.Contains(rest, tt.text) {
				t.Errorf("answer %q (%v), want status %s and %q", answer, err, tt.want, tt.text)
			}
		})
	}
}

func TestReconcileTellsWhenItAsked(t *testing.T) {
	b := newBackend()
	c := dial(t, serve(t, b, io.Discard))
	before := time.Now()
	asked, err := c.Reconcile(t.Context())
	if err != nil || asked.Before(before.Add(-time.Millisecond)) || asked.After(time.Now()) || b.fetched != 1 {
		t.Errorf("Reconcile() = %v, %v after %d calls, want the time of one", asked, err, b.fetched)
	}
}

func TestApplyIsAudited(t *testing.T) {
	r, w := io.Pipe()
	c := dial(t, serve(t, newBackend(), w))
	got := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(r).ReadString('\n')
		got <- line
		io.Copy(io.Discard, r)
	}()
	if _, err := c.Apply(t.Context(), ApplyRequest{Plan: plan()}); err != nil {
		t.Fatal(err)
	}
	line := <-got
	for _, want := range []string{"apply requested", "uid=", "pid=", "changes=1"} {
		if !strings.Contains(line, want) || strings.Contains(line, "uid=-1") {
			t.Errorf("audit line %q lacks %s", line, want)
		}
	}
}

func (b *backend) Order(_ context.Context, o Order) (OrderResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ordered = append(b.ordered, o)
	return OrderResult{Message: "it will be so"}, b.refusal
}

func (b *backend) History(context.Context) (HistoryResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return HistoryResult{Records: b.history}, nil
}
