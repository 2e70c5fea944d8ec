// Command load makes HTTP requests at a steady rate, each over a connection of its own, and
// prints what became of them as one JSON document. It runs on a host of a lab.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.SetOutput(stderr)
	l := load{bodies: map[string]int{}}
	fs.StringVar(&l.address, "address", "", "`host:port` to ask")
	fs.Float64Var(&l.rate, "rate", 20, "requests per second")
	fs.IntVar(&l.count, "count", 0, "stop after this many requests; 0 means no limit but -for")
	fs.DurationVar(&l.length, "for", time.Minute, "stop after this long; SIGTERM and SIGINT stop earlier")
	fs.DurationVar(&l.timeout, "timeout", 2*time.Second, "time for one request")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if l.address == "" || l.rate <= 0 || l.rate > 1000 || l.length <= 0 || l.length > time.Hour {
		fmt.Fprintln(stderr, "load: -address is missing, -rate is not in 0 to 1000, or -for not in 0 to 1h")
		return 2
	}
	l.run(ctx)
	if err := json.NewEncoder(stdout).Encode(l.report()); err != nil {
		fmt.Fprintln(stderr, "load:", err)
		return 1
	}
	return 0
}

// A Report is what load prints. Durations are in milliseconds.
type Report struct {
	Requests int            `json:"requests"`
	OK       int            `json:"ok"`
	Bodies   map[string]int `json:"bodies"` // answers by body, without the line break at its end
	Failed   int            `json:"failed"`
	Failures []Failure      `json:"failures"` // the first hundred
	// LongestGap is the longest time between two answers, and GapAt when it began, counted
	// from the first request.
	LongestGap float64 `json:"longest_gap_ms"`
	GapAt      float64 `json:"gap_at_ms"`
	Slowest    float64 `json:"slowest_ms"`
	Length     float64 `json:"length_ms"`
}

// A Failure is a request without an answer.
type Failure struct {
	At    float64 `json:"at_ms"` // when it was sent
	Error string  `json:"error"`
}

type load struct {
	address string
	rate    float64
	count   int
	length  time.Duration
	timeout time.Duration
	start   time.Time

	mu       sync.Mutex
	requests int
	bodies   map[string]int
	failed   int
	failures []Failure
	last     time.Time // of the last answer
	gap      time.Duration
	gapAt    time.Time
	slowest  time.Duration
}

// run sends requests until one of the bounds or the end of ctx.
func (l *load) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.length)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	l.start = time.Now()
	l.last = l.start
	t := time.NewTicker(time.Duration(float64(time.Second) / l.rate))
	defer t.Stop()
	for n := 0; l.count == 0 || n < l.count; n++ {
		wg.Go(l.once)
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// once makes one request. It is not cut short by the end of the load: it counts.
func (l *load) once() {
	sent := time.Now()
	body, err := fetch(l.address, sent.Add(l.timeout))
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	if err != nil {
		l.failed++
		if len(l.failures) < 100 {
			l.failures = append(l.failures, Failure{ms(sent.Sub(l.start)), err.Error()})
		}
		return
	}
	l.bodies[body]++
	l.slowest = max(l.slowest, now.Sub(sent))
	if gap := now.Sub(l.last); gap > l.gap {
		l.gap, l.gapAt = gap, l.last
	}
	l.last = now
}

func (l *load) report() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	if gap := time.Since(l.last); gap > l.gap {
		l.gap, l.gapAt = gap, l.last
	}
	r := Report{
		Requests: l.requests, OK: l.requests - l.failed, Bodies: l.bodies,
		Failed: l.failed, Failures: append([]Failure{}, l.failures...),
		LongestGap: ms(l.gap), Slowest: ms(l.slowest), Length: ms(time.Since(l.start)),
	}
	if !l.gapAt.IsZero() {
		r.GapAt = ms(l.gapAt.Sub(l.start))
	}
	return r
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// maxAnswer bounds one answer.
const maxAnswer = 64 << 10

// fetch asks for / and returns the body of a 200. It is written out, without net/http,
// because it shares one slow CPU with what it measures.
func fetch(address string, deadline time.Time) (string, error) {
	c, err := net.DialTimeout("tcp", address, time.Until(deadline))
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", address); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(c, maxAnswer))
	if err != nil {
		return "", err
	}
	head, body, ok := strings.Cut(string(b), "\r\n\r\n")
	status, _, _ := strings.Cut(head, "\r\n")
	if !ok || !strings.Contains(status, " 200 ") {
		return "", fmt.Errorf("answer %q", status)
	}
	return strings.TrimRight(body, "\n"), nil
}
