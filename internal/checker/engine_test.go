package checker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/probe"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// swarm returns n servers that listen, and whose accept queues nobody serves: a plain TCP
// check never gets that far.
func swarm(t testing.TB, n int) []netip.AddrPort {
	t.Helper()
	var out []netip.AddrPort
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		out = append(out, netip.MustParseAddrPort(l.Addr().String()))
	}
	return out
}

func jobs(addrs []netip.AddrPort, checks ...spec.Check) []Job {
	var out []Job
	for i, a := range addrs {
		out = append(out, Job{Ref: reconcile.NewServerRef("web", fmt.Sprint("rs", i)), Address: a, Checks: checks})
	}
	return out
}

// TestSteadyStateDoesNotAllocate: what a check needs, the one before it has left.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	web := rawServer(t)
	for name, tt := range map[string]struct {
		check spec.Check
		addrs []netip.AddrPort
	}{
		"tcp":     {spec.Check{Type: "tcp"}, swarm(t, 20)},
		"refused": {spec.Check{Type: "tcp"}, slices.Repeat([]netip.AddrPort{refusing(t)}, 10)},
		"http":    {spec.Check{Type: "http"}, slices.Repeat([]netip.AddrPort{web}, 10)},
	} {
		c := once(tt.check)
		c.Interval = 5 * time.Millisecond
		e := quiet()
		e.Set(jobs(tt.addrs, c))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- e.Run(ctx) }()
		for range tt.addrs {
			next(t, e)
		}
		await(t, e, func(s Stats) bool { return s.Checks > 200 })
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		first := e.Stats().Checks
		awaitQuietly(e, first+2000)
		made := e.Stats().Checks - first
		runtime.ReadMemStats(&after)
		per := float64(after.Mallocs-before.Mallocs) / float64(made)
		t.Logf("%s: %.3f allocations a check", name, per)
		if per > 0.05 {
			t.Errorf("%s: %d checks make %.3f allocations each, want none", name, made, per)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// rawServer answers HTTP without allocating: this process's allocations are counted.
func rawServer(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	fd := int(f.Fd()) // which makes it a blocking one
	served := make(chan struct{})
	go func() {
		defer close(served)
		page, buf := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), make([]byte, 1024)
		for {
			c, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
			if errno != 0 {
				return
			}
			_, _ = unix.Read(int(c), buf)
			_, _ = unix.Write(int(c), page)
			_ = unix.Close(int(c))
		}
	}()
	t.Cleanup(func() {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		<-served
		f.Close()
		l.Close()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// awaitQuietly waits for so many checks without allocating.
func awaitQuietly(e *Engine, checks uint64) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 30_000 {
		if e.stats.checks.Load() >= checks {
			return
		}
		<-tick.C
	}
}

// descriptors is how many this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestNothingLeaks cancels samples in every state, again and again.
func TestNothingLeaks(t *testing.T) {
	addrs := append(swarm(t, 20), refusing(t), serve(t, hang), serve(t, abort), serve(t, reply("HTTP/1.1 200 OK\r\n\r\nok")))
	tcp, web := once(spec.Check{Type: "tcp"}), once(spec.Check{Type: "http", Timeout: 50 * time.Millisecond})
	slow := once(spec.Check{Type: "slow"})
	tcp.Interval, web.Interval, slow.Interval = time.Millisecond, 10*time.Millisecond, 5*time.Millisecond
	baseFDs, baseRoutines := descriptors(t), runtime.NumGoroutine()
	e := quiet()
	e.prober = func(spec.Check, probe.Target, probe.Options) (probe.Prober, error) {
		return func(ctx context.Context) probe.Outcome {
			select {
			case <-ctx.Done():
				return probe.Outcome{Err: ctx.Err(), Unmeasured: true}
			case <-time.After(3 * time.Millisecond):
				return probe.Outcome{Message: "fine"}
			}
		}, nil
	}
	all, some := jobs(addrs, tcp, web, slow), jobs(addrs[:3], tcp)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	for i := uint64(0); e.Stats().Checks < 10_000; i++ {
		e.Set(all)
		seen := e.Stats().Checks
		awaitQuietly(e, seen+200)
		e.Set(some)
		awaitQuietly(e, e.Stats().Checks+20)
	}
	e.Set(nil)
	await(t, e, func(s Stats) bool { return s.Targets == 0 && s.InFlight == 0 && s.Probes == 0 })
	e.Set(all)
	await(t, e, func(s Stats) bool { return s.InFlight > 0 })
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond) // the servers' goroutines see their ends
	defer tick.Stop()
	for n := 0; descriptors(t) > baseFDs || runtime.NumGoroutine() > baseRoutines; n++ {
		if n > 2000 {
			t.Fatalf("%d descriptors and %d goroutines, want %d and %d", descriptors(t), runtime.NumGoroutine(), baseFDs, baseRoutines)
		}
		<-tick.C
	}
}

func TestSocketsInFlightAreBounded(t *testing.T) {
	addr := serve(t, hang)
	addrs := make([]netip.AddrPort, 100)
	for i := range addrs {
		addrs[i] = addr
	}
	c := once(spec.Check{Type: "http", Timeout: 20 * time.Millisecond})
	e := quiet()
	e.MaxSockets = 8
	e.Set(jobs(addrs, c))
	start(t, e)
	seen := map[reconcile.ServerRef]bool{}
	for len(seen) < len(addrs) {
		r := next(t, e)
		want(t, r, reconcile.Down, "http: timed out after 20ms")
		seen[r.Ref] = true
		if n := e.Stats().InFlight; n > 6 { // a quarter is for probes
			t.Fatalf("%d connections under way, want at most 6", n)
		}
	}
}

func TestProbesAreBoundedAndTell(t *testing.T) {
	var now, most atomic.Int64
	e := quiet()
	e.MaxSockets = 20
	e.prober = func(_ spec.Check, server probe.Target, _ probe.Options) (probe.Prober, error) {
		if server.Server == "rs0" {
			return nil, errors.New("mistake")
		}
		return func(context.Context) probe.Outcome {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-time.After(5 * time.Millisecond)
			switch server.Server {
			case "rs1":
				return probe.Outcome{Err: errors.New("broken")}
			case "rs2":
				return probe.Outcome{Message: "fine", Degraded: true, Weight: 9, HasWeight: true}
			case "rs3":
				return probe.Outcome{Err: errors.New("no socket"), Unmeasured: true}
			}
			return probe.Outcome{Message: "fine"}
		}, nil
	}
	e.Set(jobs(make([]netip.AddrPort, 50), once(spec.Check{Type: "slow"})))
	start(t, e)
	got := map[reconcile.ServerRef]Result{}
	for len(got) < 49 {
		r := next(t, e)
		got[r.Ref] = r
	}
	want(t, got["web/rs0"], reconcile.Down, "slow: mistake")
	want(t, got["web/rs1"], reconcile.Down, "slow: broken")
	want(t, got["web/rs2"], reconcile.Degraded, "slow: fine")
	want(t, got["web/rs4"], reconcile.Up, "slow: fine")
	if r := got["web/rs2"]; r.Weight != 9 || !r.HasWeight {
		t.Errorf("weight %d, %v, want 9", r.Weight, r.HasWeight)
	}
	if n := most.Load(); n != 5 {
		t.Errorf("at most %d probes at a time, want a quarter of 20", n)
	}
}

func TestOthersTell(t *testing.T) {
	e := quiet()
	c := spec.Check{Type: "bfd", Rise: 3, Fall: 3}
	e.Set([]Job{{Ref: "web/rs1", Checks: []spec.Check{c}}})
	e.Report("web/rs1", 0, check.Up, "session up")
	start(t, e)
	want(t, next(t, e), reconcile.Up, "bfd: session up")
	e.Report("web/rs1", 0, check.Down, "session down")
	want(t, next(t, e), reconcile.Down, "bfd: session down")
}

func TestReaderThatIsLateSeesTheLastVerdict(t *testing.T) {
	var healthy atomic.Bool
	e := quiet()
	e.prober = func(spec.Check, probe.Target, probe.Options) (probe.Prober, error) {
		return func(context.Context) probe.Outcome {
			if healthy.Load() {
				return probe.Outcome{Message: "fine"}
			}
			return probe.Outcome{Err: errors.New("broken")}
		}, nil
	}
	c := once(spec.Check{Type: "slow"})
	c.Interval = time.Millisecond
	e.Set([]Job{{Ref: "web/rs1", Checks: []spec.Check{c}}})
	start(t, e)
	for i := range 5 {
		healthy.Store(i%2 == 0)
		await(t, e, func(s Stats) bool { return s.Checks >= uint64(20*(i+1)) })
	}
	want(t, next(t, e), reconcile.Up, "slow: fine")
	e.Set(nil)
	await(t, e, func(s Stats) bool { return s.Targets == 0 })
	select {
	case r := <-e.Results():
		t.Errorf("a second verdict: %+v", r)
	default:
	}
}

func TestServersComeAndGo(t *testing.T) {
	var healthy atomic.Bool
	healthy.Store(true)
	addr := serve(t, func(c net.Conn) {
		if healthy.Load() {
			reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(c)
		} else {
			reply("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")(c)
		}
	})
	c := once(spec.Check{Type: "http"})
	c.Rise, c.Fall, c.Interval = 2, 3, 10*time.Millisecond
	e := quiet()
	job := Job{Ref: "web/rs1", Address: addr, Checks: []spec.Check{c}, Initial: reconcile.Down}
	e.Set([]Job{job})
	start(t, e)
	want(t, next(t, e), reconcile.Up, "http: status 200")
	healthy.Store(false)
	want(t, next(t, e), reconcile.Down, "http: status 503, want 2xx")
	job.Checks = []spec.Check{c}
	job.Checks[0].Origin = spec.Origin{File: "moved.hcl", Line: 7} // no change of the job
	e.Set([]Job{job})
	healthy.Store(true)
	want(t, next(t, e), reconcile.Up, "http: status 200")
	job.Address = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), refusing(t).Port())
	e.Set([]Job{job})
	want(t, next(t, e), reconcile.Unknown, "not checked yet")
	want(t, next(t, e), reconcile.Down, "http: connect: connection refused")
}

// TestAnotherPortKeepsTheVerdict has a service get another port, and so all servers that have
// none of their own: a push takes nobody out of service.
func TestAnotherPortKeepsTheVerdict(t *testing.T) {
	c := once(spec.Check{Type: "tcp"})
	e := quiet()
	job := Job{Ref: "web/rs1", Address: refusing(t), Checks: []spec.Check{c}, Initial: reconcile.Up}
	e.Set([]Job{job})
	start(t, e)
	want(t, next(t, e), reconcile.Down, "tcp: connect: connection refused")
	job.Address = swarm(t, 1)[0]
	e.Set([]Job{job})
	want(t, next(t, e), reconcile.Up, "tcp: connected")
	job.Address = swarm(t, 1)[0]
	e.Set([]Job{job})
	want(t, next(t, e), reconcile.Up, "tcp: connected") // it was measured anew
}

func TestHistogram(t *testing.T) {
	for d := time.Duration(0); d < 90*time.Second; d += d/7 + time.Microsecond {
		i := bucket(d)
		if i < buckets-1 && (d >= bound(i) || i > 0 && d < bound(i-1)) {
			t.Errorf("%v is in bucket %d, from %v to %v", d, i, bound(i-1), bound(i))
		}
	}
	var c counters
	for i := range 1000 {
		c.began(time.Duration(i) * time.Millisecond)
	}
	e := Engine{}
	e.stats.lateness[bucket(time.Second)].Store(3)
	h := e.Stats().Lateness
	if h.Count() != 3 || h.Quantile(0.99) < time.Second || h.Quantile(0.99) > 1250*time.Millisecond {
		t.Errorf("%d counted, p99 %v", h.Count(), h.Quantile(0.99))
	}
	if c.late.Load() != 899 || c.most.Load() != int64(999*time.Millisecond) {
		t.Errorf("%d late, the most %v", c.late.Load(), time.Duration(c.most.Load()))
	}
}

// TestAProbeOfAServerThatIsGoneEnds at once, and not when its time is over.
func TestAProbeOfAServerThatIsGoneEnds(t *testing.T) {
	e := quiet()
	began, ended := make(chan struct{}), make(chan struct{})
	e.prober = func(spec.Check, probe.Target, probe.Options) (probe.Prober, error) {
		return func(ctx context.Context) probe.Outcome {
			close(began)
			<-ctx.Done()
			close(ended)
			return probe.Outcome{Err: ctx.Err(), Unmeasured: true}
		}, nil
	}
	e.Set(jobs([]netip.AddrPort{refusing(t)}, once(spec.Check{Type: "smtp", Timeout: time.Hour})))
	start(t, e)
	<-began
	e.Set(nil)
	<-ended
	await(t, e, func(s Stats) bool { return s.Probes == 0 && s.Targets == 0 })
}
