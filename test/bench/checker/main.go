// Command checker runs the checker alone against a list of servers, for the bench: it prints
// one JSON object that says what the checks cost and how late they were.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/checker"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

func main() {
	var o options
	flag.StringVar(&o.servers, "servers", "", "a `file` with the address and port of a server on each line")
	flag.StringVar(&o.kind, "type", "tcp", "tcp or http")
	flag.StringVar(&o.path, "path", "/", "what http asks for")
	flag.DurationVar(&o.interval, "interval", time.Second, "between the checks of a server")
	flag.DurationVar(&o.timeout, "timeout", 5*time.Second, "of a check")
	flag.IntVar(&o.fall, "fall", 1, "failures in a row until a server is down")
	flag.DurationVar(&o.duration, "duration", 30*time.Second, "how long to measure")
	flag.DurationVar(&o.warmup, "warmup", 0, "how long to run before that; two intervals if 0")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "checker:", err)
		os.Exit(1)
	}
}

type options struct {
	servers, kind, path                 string
	interval, timeout, duration, warmup time.Duration
	fall                                int
}

// A report is what is printed. Times are in microseconds where the name says so.
type report struct {
	Servers     int     `json:"servers"`
	Seconds     float64 `json:"seconds"`
	Checks      uint64  `json:"checks"`
	Unmeasured  uint64  `json:"unmeasured"`
	Late        uint64  `json:"late"`    // began more than 100 ms late
	Skipped     uint64  `json:"skipped"` // passed over, after a standstill
	CPUSeconds  float64 `json:"cpu_seconds"`
	CPUPerCheck float64 `json:"cpu_us_per_check"`
	RSS         int64   `json:"rss_kib"`
	PeakRSS     int64   `json:"peak_rss_kib"`
	P50         float64 `json:"lateness_p50_us"`
	P90         float64 `json:"lateness_p90_us"`
	P99         float64 `json:"lateness_p99_us"`
	P999        float64 `json:"lateness_p999_us"`
	Max         float64 `json:"lateness_max_us"` // since the start
	// Up and Down are the verdicts at the end; Changes those after each server's first.
	Up      int      `json:"up"`
	Down    int      `json:"down"`
	Changes []change `json:"changes"`
}

// A change is a verdict, and when it was there (Unix time in nanoseconds).
type change struct {
	Server  string `json:"server"`
	Verdict string `json:"verdict"`
	At      int64  `json:"at"`
}

func run(ctx context.Context, o options) error {
	jobs, err := read(o)
	if err != nil {
		return err
	}
	e := checker.New(slog.New(slog.DiscardHandler))
	e.Set(jobs)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1) // room for the result of the one goroutine
	go func() { ended <- e.Run(ctx) }()

	warmup := o.warmup
	if warmup == 0 {
		warmup = 2 * o.interval
	}
	out := report{Servers: len(jobs)}
	verdicts := map[reconcile.ServerRef]reconcile.Verdict{}
	watch(ctx, e, warmup, &out, verdicts)
	begin, used, before := time.Now(), processorTime(), e.Stats()
	watch(ctx, e, o.duration, &out, verdicts)
	after := e.Stats()
	out.CPUSeconds = (processorTime() - used).Seconds()
	out.Seconds = time.Since(begin).Seconds()
	out.count(before, after)
	for _, v := range verdicts {
		if v == reconcile.Down {
			out.Down++
		} else {
			out.Up++
		}
	}
	cancel()
	if err := <-ended; err != nil {
		return err
	}
	if out.RSS, out.PeakRSS, err = memory(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func read(o options) ([]checker.Job, error) {
	f, err := os.Open(o.servers)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	check := spec.Check{Type: o.kind, Interval: o.interval, Timeout: o.timeout, Rise: 1, Fall: o.fall}
	switch o.kind {
	case "http":
		check.HTTP = &spec.HTTPCheck{Method: "GET", Path: o.path}
	case "tcp":
	default:
		return nil, fmt.Errorf("type %q: want tcp or http", o.kind)
	}
	checks := []spec.Check{check} // of all servers, as those of a pool
	var jobs []checker.Job
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		addr, err := netip.ParseAddrPort(text)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", o.servers, err)
		}
		jobs = append(jobs, checker.Job{Ref: reconcile.NewServerRef("bench", text), Address: addr, Checks: checks})
	}
	return jobs, lines.Err()
}

// watch takes verdicts for so long.
func watch(ctx context.Context, e *checker.Engine, d time.Duration, out *report, verdicts map[reconcile.ServerRef]reconcile.Verdict) {
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case r := <-e.Results():
			if _, seen := verdicts[r.Ref]; seen {
				_, server, _ := strings.Cut(string(r.Ref), "/")
				out.Changes = append(out.Changes, change{server, string(r.Verdict), r.At.UnixNano()})
			}
			verdicts[r.Ref] = r.Verdict
		}
	}
}

func (r *report) count(before, after checker.Stats) {
	r.Checks = after.Checks - before.Checks
	r.Unmeasured = after.Unmeasured - before.Unmeasured
	r.Late = after.Late - before.Late
	r.Skipped = after.Skipped - before.Skipped
	if r.Checks > 0 {
		r.CPUPerCheck = r.CPUSeconds * 1e6 / float64(r.Checks)
	}
	h := after.Lateness.Sub(before.Lateness)
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	r.P50, r.P90, r.P99, r.P999 = us(h.Quantile(0.5)), us(h.Quantile(0.9)), us(h.Quantile(0.99)), us(h.Quantile(0.999))
	r.Max = us(after.MaxLateness)
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot fail for this process
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory is this process's resident set, now and at most, in KiB.
func memory() (now, peak int64, err error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d", &now)
		_, _ = fmt.Sscanf(line, "VmHWM: %d", &peak)
	}
	return now, peak, nil
}
