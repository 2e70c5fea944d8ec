// Command bench measures failover beside keepalived, in one run: each program has its own
// pair of hosts on its own segment, and they take turns. It needs root; everything happens
// in network namespaces that it makes and removes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "observe" {
		if err := observe(os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench observe:", err)
			os.Exit(1)
		}
		return
	}
	slow := flag.Int("rounds-1s", 4, "rounds with adverts every second (about 25 s each)")
	fast := flag.Int("rounds-100ms", 12, "rounds with adverts every 100 ms (about 4 s each)")
	vrrpd := flag.String("vrrpd", "", "the hareconcile-vrrpd to measure; built if not given")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *vrrpd, map[time.Duration]int{time.Second: *slow, 100 * time.Millisecond: *fast}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// events are what happens to a master, in the order of the table.
var events = []struct {
	name string
	do   func(context.Context, *pair) error
	undo func(context.Context, *pair) error
}{
	{"kill -9 of every process", func(_ context.Context, p *pair) error { return p.hosts[0].daemon.kill() }, startMaster},
	{"clean stop", func(_ context.Context, p *pair) error { return p.hosts[0].daemon.stop() }, startMaster},
	{
		"link cut",
		func(ctx context.Context, p *pair) error { return p.segment.cut(ctx, true) },
		func(ctx context.Context, p *pair) error { return p.segment.cut(ctx, false) },
	},
}

func run(ctx context.Context, vrrpd string, rounds map[time.Duration]int) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("needs root: it makes network namespaces")
	}
	dir, err := os.MkdirTemp("", "hareconcile-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if vrrpd == "" {
		vrrpd = filepath.Join(dir, "hareconcile-vrrpd")
		if err := command(ctx, "go", "build", "-o", vrrpd, "./cmd/hareconcile-vrrpd"); err != nil {
			return err
		}
	}
	fmt.Println("failover: the backup's first gratuitous ARP, from the event, which comes at evenly")
	fmt.Println("spread times between two adverts; overshoot: its first advert, from the master's last one, less what the RFC has it wait (3 x interval + skew, or the skew after a clean stop)")
	for _, interval := range []time.Duration{time.Second, 100 * time.Millisecond} {
		if rounds[interval] == 0 {
			continue
		}
		t, err := compare(ctx, dir, vrrpd, interval, rounds[interval])
		if err != nil {
			return err
		}
		t.print(os.Stdout)
	}
	return nil
}

// compare runs one pair of each program and lets things happen to their masters in turn.
func compare(ctx context.Context, dir, vrrpd string, interval time.Duration, rounds int) (t *table, err error) {
	t = newTable(interval, rounds)
	var pairs []*pair
	defer func() {
		for _, p := range pairs {
			err = errors.Join(err, p.close())
		}
	}()
	for _, program := range programs {
		p, err := newPair(ctx, dir, program, vrrpd, interval)
		if p != nil {
			pairs = append(pairs, p)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", program, err)
		}
	}
	for n := range rounds {
		// Both programs meet each event at the same distance from the master's last advert.
		phase := time.Duration(n) * interval / time.Duration(rounds)
		fmt.Fprintf(os.Stderr, "adverts every %v: round %d of %d\n", interval, n+1, rounds)
		for _, e := range events {
			for _, p := range pairs {
				if err := p.ready(ctx); err != nil {
					return nil, fmt.Errorf("%s before %s: %w", p.program, e.name, err)
				}
				r, err := p.measure(ctx, phase, e.do, e.name == "clean stop")
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", p.program, e.name, err)
				}
				t.add(e.name, p.program, r)
				if err := e.undo(ctx, p); err != nil {
					return nil, fmt.Errorf("%s after %s: %w", p.program, e.name, err)
				}
			}
		}
	}
	return t, nil
}
