package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
)

const (
	trackCPU     = "processor time, ms each second"
	trackDetects = "kill to resignation, ms"
	trackWindow  = 10 * time.Second
	// trackGoal is the most that it may take to see that haproxy was killed.
	trackGoal = 10 * time.Millisecond
)

// tracks returns the part that watches a haproxy so many times a second, and kills it.
// keepalived runs a script for each; we ask haproxy through one plugin, which says more.
func tracks(count, rounds int) part {
	return func(ctx context.Context, b *bench) (err error) {
		rounds := rounds
		if b.quick {
			rounds = 1
		}
		w, err := newTracked(ctx)
		if w != nil {
			defer func() { err = errors.Join(err, w.close()) }()
		}
		if err != nil {
			return err
		}
		pairs, err := b.pairs(ctx, b.vrrpd, single(time.Second))
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if err := p.watch(ctx, false); err != nil {
				return err
			}
		}
		t := newTable(fmt.Sprintf("%d tracks every %v, fall %d, %d rounds, ours is vrrpd, plugin host and haproxy plugin, median (least to most)", count, trackInterval, trackFall, rounds))
		t.goals = map[string]float64{trackCPU: 0.2}
		scripts := []struct{ name, program string }{{"fork and exec alone", "/bin/true"}, {"sh, kill -0", w.script()}}
		for n := range rounds {
			for k, s := range scripts {
				for i := range pairs {
					p := pairs[(n+i)%2]
					kills := k == len(scripts)-1 // true does not mind that haproxy is gone
					if err := w.measure(ctx, t, p, s.name, s.program, count, kills); err != nil {
						return fmt.Errorf("%s, %s: %w", s.name, p.program, err)
					}
				}
			}
			progress("tracks: round %d of %d", n+1, rounds)
		}
		t.print(b.out)
		took, _ := t.median(cell{scripts[1].name, trackDetects, programs[0]})
		fmt.Fprintf(b.out, "  seen by us in %.3g ms%s\n", took, verdict(took, milliseconds(trackGoal)))
		return nil
	}
}

// measure runs one program on the first host of its pair: for a while with a haproxy that
// runs, and then until it has seen its end.
func (w *tracked) measure(ctx context.Context, t *table, p *pair, event, program string, count int, kills bool) (err error) {
	if err := w.start(ctx, p.segment.hosts[0]); err != nil {
		return err
	}
	defer w.kill()
	d, own := p.daemons[0], []int{}
	if !d.ours {
		d.start = theirs(d.dir, p.segment.hosts[0], w.keepalived(p.layout, program, count))
	}
	if err := d.run(ctx); err != nil {
		return err
	}
	defer func() { _ = d.kill(); d.reap() }()
	if d.ours {
		cfg := w.config(p.layout, count)
		if _, err := ask(ctx, d.dir, channel.Request{Config: &cfg}); err != nil {
			return err
		}
		host, err := w.host(ctx, d, count)
		if err != nil {
			return err
		}
		defer func() { _ = host.Process.Kill(); _ = host.Wait() }()
		own = append(own, host.Process.Pid)
	}
	if _, err := p.advert(ctx, time.Now(), false); err != nil {
		log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
		return fmt.Errorf("never became master: %w: %s", err, log[:min(len(log), 2000)])
	}
	own = append(own, d.pids()...)
	before := familyTime(own)
	if err := sleep(ctx, trackWindow); err != nil {
		return err
	}
	t.add(event, trackCPU, p.program, milliseconds(familyTime(own)-before)/trackWindow.Seconds())
	if !kills {
		return nil
	}
	at := w.kill()
	resigned, err := p.advert(ctx, at, true)
	if err != nil {
		return fmt.Errorf("the end of haproxy was not seen: %w", err)
	}
	t.add(event, trackDetects, p.program, milliseconds(resigned.Sub(at)))
	return nil
}

// host starts the plugin host beside our vrrpd.
func (w *tracked) host(ctx context.Context, d *daemon, count int) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "tracked", w.dir, socketOf(d.dir), strconv.Itoa(count))
	cmd.Stdout, cmd.Stderr = d.log, d.log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start plugin host: %w", err)
	}
	return cmd, nil
}

// advert waits for the first host's next advert after a time: one that resigns, or one that
// does not.
func (p *pair) advert(ctx context.Context, after time.Time, resigns bool) (time.Time, error) {
	deadline := time.After(30 * time.Second)
	for {
		s, err := p.next(ctx, deadline)
		if err != nil {
			return time.Time{}, err
		}
		_, host, ok := p.routerOf(s)
		if s.What == sawAdvert && ok && host == 0 && s.At.After(after) && (s.Priority == 0) == resigns {
			return s.At, nil
		}
	}
}

// familyTime is the processor time of processes, of those they started, and of all that these
// have reaped (proc(5)). The kernel counts in ticks and scales to what was really used.
func familyTime(pids []int) time.Duration {
	const tick = time.Second / 100 // USER_HZ
	var sum time.Duration
	seen := map[int]bool{}
	for len(pids) > 0 {
		pid := pids[0]
		pids = pids[1:]
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || seen[pid] {
			continue
		}
		seen[pid] = true
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		for _, f := range fields[11:15] { // utime, stime, cutime and cstime
			n, _ := strconv.Atoi(f)
			sum += time.Duration(n) * tick
		}
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, t := range threads {
			b, _ := os.ReadFile(t) // a thread may have ended
			for _, word := range strings.Fields(string(b)) {
				child, _ := strconv.Atoi(word)
				pids = append(pids, child)
			}
		}
	}
	return sum
}
