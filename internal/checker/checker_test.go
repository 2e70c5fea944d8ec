package checker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/check/probe"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// servers are fake servers by address: what a probe of each check type answers.
type servers map[string]*atomic.Pointer[error]

func (s servers) prober(c spec.Check, t probe.Target, _ probe.Options) (probe.Prober, error) {
	return func(context.Context) probe.Outcome {
		if err := s[c.Type+" "+t.Address.String()].Load(); *err != nil {
			return probe.Outcome{Err: *err}
		}
		return probe.Outcome{Message: "fine"}
	}, nil
}

func (s servers) set(key string, err error) {
	if s[key] == nil {
		s[key] = &atomic.Pointer[error]{}
	}
	s[key].Store(&err)
}

func start(t *testing.T, e *Engine) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
}

func read(e *Engine) (got []string) {
	for {
		synctest.Wait()
		select {
		case r := <-e.Results():
			got = append(got, fmt.Sprintf("%s %q %s", r.Ref, r.Verdict, r.Message))
		default:
			return got
		}
	}
}

func pass(d time.Duration) { <-time.After(d) }

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func job(ref, addr string, initial reconcile.Verdict, types ...string) Job {
	j := Job{Ref: reconcile.ServerRef(ref), Address: netip.MustParseAddrPort(addr), Initial: initial}
	for _, kind := range types {
		j.Checks = append(j.Checks, spec.Check{
			Type: kind, Interval: time.Second, Timeout: time.Second / 2, Rise: 2, Fall: 2, HTTP: &spec.HTTPCheck{},
		})
	}
	return j
}

// TestAPauseOfOursIsNoFailureOfTheirs has probes that fail long after their deadline, as
// those do that were under way when this process was stopped.
func TestAPauseOfOursIsNoFailureOfTheirs(t *testing.T) {
	for after, down := range map[time.Duration]bool{time.Second / 2: true, 30 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			e := New(slog.New(slog.DiscardHandler))
			e.prober = func(spec.Check, probe.Target, probe.Options) (probe.Prober, error) {
				return func(ctx context.Context) probe.Outcome {
					timer := time.NewTimer(after)
					defer timer.Stop()
					select {
					case <-ctx.Done():
						return probe.Outcome{Err: ctx.Err()}
					case <-timer.C:
						return probe.Outcome{Err: context.DeadlineExceeded}
					}
				}, nil
			}
			e.Set([]Job{job("web/rs1", "192.0.2.1:80", reconcile.Up, "tcp")})
			start(t, e)
			pass(90 * time.Second)
			if got := read(e); (len(got) > 0) != down {
				t.Errorf("probes that failed after %v gave %q, want down = %v", after, got, down)
			}
		})
	}
}

func TestVerdictsChangeByRiseAndFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := servers{}
		s.set("http 192.0.2.1:80", nil)
		s.set("tcp 192.0.2.1:80", nil)
		e := New(slog.New(slog.DiscardHandler))
		e.prober = s.prober
		e.Set([]Job{job("web/rs1", "192.0.2.1:80", reconcile.Unknown, "http", "tcp")})
		start(t, e)
		pass(time.Second)
		want(t, read(e))
		pass(time.Second)
		want(t, read(e), `web/rs1 "up" http: fine`)
		s.set("http 192.0.2.1:80", errors.New("status 503, want 200"))
		pass(time.Second)
		want(t, read(e))
		pass(time.Second)
		want(t, read(e), `web/rs1 "down" http: status 503, want 200`)
		s.set("http 192.0.2.1:80", nil)
		pass(2 * time.Second)
		want(t, read(e), `web/rs1 "up" http: fine`)
	})
}

func TestInitialVerdictCountsUntilSamplesSayOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := servers{}
		s.set("tcp 192.0.2.1:80", errors.New("connect: connection refused"))
		s.set("tcp 192.0.2.2:80", errors.New("connect: connection refused"))
		e := New(slog.New(slog.DiscardHandler))
		e.prober = s.prober
		jobs := []Job{
			job("web/rs1", "192.0.2.1:80", reconcile.Up, "tcp"),
			job("web/rs2", "192.0.2.2:80", reconcile.Unknown, "tcp"),
		}
		e.Set(jobs[:1])
		start(t, e)
		pass(2 * time.Second)
		want(t, read(e), `web/rs1 "down" tcp: connect: connection refused`)
		jobs[0].Checks[0].Origin = spec.Origin{File: "moved.hcl", Line: 7} // no change of the job
		e.Set(jobs)
		pass(2 * time.Second)
		want(t, read(e), `web/rs2 "down" tcp: connect: connection refused`)
	})
}

func TestUnknownCheckTypeIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(slog.New(slog.DiscardHandler))
		e.Set([]Job{job("web/rs1", "192.0.2.1:80", reconcile.Unknown, "gopher")})
		start(t, e)
		pass(2 * time.Second)
		want(t, read(e), `web/rs1 "down" gopher: check of unknown type "gopher"`)
	})
}

func TestRealServers(t *testing.T) {
	var healthy atomic.Bool
	healthy.Store(true)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer web.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()

	up := job("web/up", web.Listener.Addr().String(), reconcile.Unknown, "tcp", "http")
	down := job("web/down", closed, reconcile.Up, "tcp")
	for _, j := range []Job{up, down} {
		for i := range j.Checks {
			j.Checks[i].Interval = 20 * time.Millisecond
			j.Checks[i].Timeout = 5 * time.Second
		}
	}
	e := New(slog.New(slog.DiscardHandler))
	e.Set([]Job{up, down})
	start(t, e)
	await := func(want ...Result) {
		t.Helper()
		deadline := time.After(10 * time.Second)
		got := map[reconcile.ServerRef]Result{}
		for _, w := range want {
			for got[w.Ref].Verdict != w.Verdict {
				select {
				case r := <-e.Results():
					got[r.Ref] = r
				case <-deadline:
					t.Fatalf("no verdict %q of %s in 10 s", w.Verdict, w.Ref)
				}
			}
			if m := got[w.Ref].Message; w.Message != "" && m != w.Message {
				t.Errorf("message of %s = %q, want %q", w.Ref, m, w.Message)
			}
		}
	}
	await(Result{Ref: "web/up", Verdict: reconcile.Up},
		Result{Ref: "web/down", Verdict: reconcile.Down, Message: "tcp: connect: connection refused"})
	healthy.Store(false)
	await(Result{Ref: "web/up", Verdict: reconcile.Down, Message: "http: status 503, want 2xx"})
}
