package bfdd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/bfdd"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const ms = time.Millisecond

// slack is what a loaded machine may add to a detection time.
const slack = 250 * ms

// childEnv makes the test binary be a daemon with that order, which it has as JSON.
const childEnv = "HARECONCILE_TEST_BFDD"

// An order is what a daemon in a process of its own does.
type order struct {
	Tracker resource.VRRPTracker
	Resume  []bfdd.Saved
}

// A word is what it says to the test.
type word struct {
	Result bfdd.Result
	Saved  []bfdd.Saved
}

func TestMain(m *testing.M) {
	text := os.Getenv(childEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := child(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	out := json.NewEncoder(os.Stdout)
	var d *bfdd.Daemon
	d = bfdd.New(func(r bfdd.Result) { _ = out.Encode(word{r, d.Saved()}) }, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	d.Resume(o.Resume)
	d.Set([]resource.VRRPTracker{o.Tracker})
	return d.Run(ctx)
}

// A ledger is what was reported of sessions.
type ledger struct {
	t    *testing.T
	mu   sync.Mutex
	all  []bfdd.Result
	last []bfdd.Saved // of a daemon in a process of its own
	news chan struct{}
}

func newLedger(t *testing.T) *ledger { return &ledger{t: t, news: make(chan struct{}, 1)} }

func (l *ledger) report(r bfdd.Result) {
	l.mu.Lock()
	l.all = append(l.all, r)
	l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// of returns what was reported of one session.
func (l *ledger) of(key string) (out []bfdd.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.all {
		if r.Key == key {
			out = append(out, r)
		}
	}
	return out
}

// wait waits until a session's last report is of that state.
func (l *ledger) wait(key, state string) time.Duration {
	l.t.Helper()
	start := time.Now()
	limit := time.After(20 * time.Second)
	for {
		if all := l.of(key); len(all) > 0 && all[len(all)-1].State == state {
			return time.Since(start)
		}
		select {
		case <-l.news:
		case <-limit:
			l.t.Fatalf("%s is not %q: %v", key, state, l.of(key))
		}
	}
}

// A daemon runs in a namespace of the test's own process.
type daemon struct {
	*bfdd.Daemon
	*ledger
	stop func()
}

func run(t *testing.T, ns *nstest.NS) *daemon {
	t.Helper()
	d := &daemon{ledger: newLedger(t)}
	d.Daemon = bfdd.New(d.report, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go ns.Do(func() { ended <- d.Run(ctx) })
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil after cancellation", err)
		}
	})
	t.Cleanup(d.stop)
	return d
}

// fork runs a daemon with one session in a process of its own.
func fork(t *testing.T, ns *nstest.NS, o order) (*ledger, *os.Process) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := ns.Cmd(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	l := newLedger(t)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			var w word
			if err := json.Unmarshal(s.Bytes(), &w); err != nil {
				t.Errorf("the daemon wrote %q", s.Bytes())
			}
			l.mu.Lock()
			l.last = w.Saved
			l.mu.Unlock()
			l.report(w.Result)
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	return l, cmd.Process
}

// segment is hosts 1, 2, ... on one link, with both families; port p0 is host 1's.
func segment(t *testing.T, n int) (hosts []*nstest.NS, bridge *nstest.NS) {
	t.Helper()
	nstest.Need(t, "root", "netns", "nsenter", "ip", "sysctl")
	var ends []nstest.Host
	for i := range n {
		ns := nstest.New(t)
		ns.Run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0") // at once
		hosts = append(hosts, ns)
		ends = append(ends, nstest.Host{NS: ns, Device: "eth0", Addresses: []string{
			fmt.Sprintf("10.9.0.%d/24", i+1), fmt.Sprintf("fd09::%d/64", i+1), fmt.Sprintf("fe80::%d/64", i+1),
		}})
	}
	return hosts, nstest.Bridge(t, ends...)
}

func tracker(target, device string) resource.VRRPTracker {
	return resource.VRRPTracker{Type: resource.TrackBFD, Target: target, Device: device}
}

// detected checks how long it took to notice a failure at the default 100ms x 3.
func detected(t *testing.T, what string, took time.Duration) {
	t.Helper()
	t.Logf("%s: down after %v", what, took)
	if took < 50*ms || took > 300*ms+slack {
		t.Errorf("%s: down after %v, want about 300ms", what, took)
	}
}
