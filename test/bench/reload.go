package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/test/bench/rawipvs"
)

// reloadLimit is how long keepalived gets for one reload: with thousands of services it may
// take minutes.
const reloadLimit = 90 * time.Second

// What one changed weight takes.
const (
	quickCPU  = "a fact, quick pass: CPU"
	quickWall = "a fact, quick pass: shown"
	keptCPU   = "a revision, kept table: CPU"
	keptWall  = "a revision, kept table: shown"
	fullCPU   = "whole pass, table read: CPU"
	fullWall  = "whole pass, table read: shown"
)

// A reloaded is what a process says of one change: quick is a fact about one server and kept
// another definition, both against the live state that the agent keeps; full looks at the
// kernel's table, too. keepalived has one way only.
type reloaded struct {
	Quick spent `json:"quick"`
	Kept  spent `json:"kept"`
	Full  spent `json:"full"`
	// Unfinished is set if the limit came first.
	Unfinished bool `json:"unfinished,omitempty"`
}

// reload returns the part that changes one weight of large tables: keepalived by a signal,
// the core by a pass.
func reload(sizes, theirRounds []int, ourRounds int) part {
	return func(ctx context.Context, b *bench) error {
		sizes, ourRounds := sizes, ourRounds
		if b.quick {
			sizes, ourRounds = sizes[:1], 2
		}
		for i, n := range sizes {
			t := newTable(fmt.Sprintf("one weight of %d services with %d servers changes, %d rounds of ours, %d of keepalived's: ms, median (least to most)",
				n, serversEach, ourRounds, theirRounds[i]))
			t.goals = map[string]float64{quickCPU: 0.01, fullCPU: 0.01}
			unfinished := false
			for way, rounds := range []int{ourRounds, theirRounds[i]} {
				var all []reloaded
				if err := b.apart(ctx, &all, "reload", strconv.Itoa(way), strconv.Itoa(n), strconv.Itoa(rounds)); err != nil {
					return err
				}
				for _, r := range all {
					t.add("", quickCPU, programs[way], milliseconds(r.Quick.CPU))
					t.add("", quickWall, programs[way], milliseconds(r.Quick.Wall))
					t.add("", keptCPU, programs[way], milliseconds(r.Kept.CPU))
					t.add("", keptWall, programs[way], milliseconds(r.Kept.Wall))
					t.add("", fullCPU, programs[way], milliseconds(r.Full.CPU))
					t.add("", fullWall, programs[way], milliseconds(r.Full.Wall))
					unfinished = unfinished || r.Unfinished
				}
				progress("%d services: reloaded by %s", n, programs[way])
			}
			t.print(b.out)
			if unfinished {
				fmt.Fprintf(b.out, "  keepalived did not finish within %v\n", reloadLimit)
			}
		}
		return nil
	}
}

// runReload is the process of one program.
func runReload(args []string) error {
	way, err := strconv.Atoi(args[0])
	n, err2 := strconv.Atoi(args[1])
	rounds, err3 := strconv.Atoi(args[2])
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	ctx, dir := context.Background(), args[3]
	c := catalogue{n, firstWeight}
	f := []func(context.Context, catalogue, int, string) ([]reloaded, error){reloadCore, reloadKeepalived}[way]
	out, err := f(ctx, c, rounds, dir)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// reloadKeepalived has a keepalived read its file anew.
func reloadKeepalived(ctx context.Context, c catalogue, rounds int, dir string) (out []reloaded, err error) {
	d, err := checkers(dir, c.keepalived())
	if err != nil {
		return nil, err
	}
	defer d.log.Close()
	table, err := rawipvs.Dial()
	if err != nil {
		return nil, err
	}
	defer table.Close()
	if err := d.run(ctx); err != nil {
		return nil, err
	}
	defer d.reap()
	defer func() { _ = d.kill() }() // it may have ended by itself, which await says
	if err := await(ctx, table, c, 2*reloadLimit); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	if _, err := d.settled(ctx, time.Now().Add(reloadLimit)); err != nil {
		return nil, err
	}
	for range rounds {
		c.weight++
		r, err := reloadOnce(ctx, d, table, c)
		if err != nil {
			return nil, err
		}
		if out = append(out, r); r.Unfinished {
			break
		}
	}
	return out, nil
}

func reloadOnce(ctx context.Context, d *daemon, table *rawipvs.Conn, c catalogue) (r reloaded, err error) {
	if err := os.WriteFile(filepath.Join(d.dir, "conf"), []byte(c.keepalived()), 0o600); err != nil {
		return r, err
	}
	before, err := d.cpu()
	if err != nil {
		return r, err
	}
	start := time.Now()
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return r, err
	}
	err = await(ctx, table, c, reloadLimit)
	wall := time.Since(start)
	if r.Unfinished = errors.Is(err, errQuiet); err != nil && !r.Unfinished {
		return r, err
	}
	after, err := d.settled(ctx, start.Add(reloadLimit))
	if errors.Is(err, errQuiet) {
		r.Unfinished, err = true, nil
	}
	r.Quick = spent{wall, after - before}
	r.Kept, r.Full = r.Quick, r.Quick
	return r, err
}

// settled waits until the daemon has nothing more to do, and returns the processor time
// that it has used until then.
func (d *daemon) settled(ctx context.Context, end time.Time) (time.Duration, error) {
	const look, idle = 250 * time.Millisecond, 2 * time.Millisecond
	last, err := d.cpu()
	for quiet := 0; quiet < 3 && err == nil; {
		if err = sleep(ctx, look); err != nil {
			break
		}
		var now time.Duration
		if now, err = d.cpu(); now-last < idle {
			quiet++
		} else {
			quiet = 0
		}
		last = now
		if err == nil && time.Now().After(end) {
			return last, errQuiet
		}
	}
	return last, err
}

// reloadCore does what the agent does with a new revision or a new fact.
func reloadCore(ctx context.Context, c catalogue, rounds int, dir string) (out []reloaded, err error) {
	hs, err := tableHandlers(dir)
	if err != nil {
		return nil, err
	}
	live, err := pass(ctx, hs, nil, c.cluster())
	if err != nil {
		return nil, err
	}
	for range rounds {
		var r reloaded
		// The definition stays as it was when the table was read, and a dynamic weight comes.
		x, err := reconcile.NewIndex(c.cluster(), director)
		if err != nil {
			return nil, err
		}
		c.weight++
		facts := &reconcile.Facts{Weights: map[reconcile.ServerRef]int{reconcile.NewServerRef("own", "s0"): c.weight}}
		if r.Quick, err = spend(func() error { return quick(ctx, hs, live, x.Part(facts, "own")) }); err != nil {
			return nil, err
		}
		c.weight++
		next := c.cluster()
		if r.Kept, err = spend(func() error { _, err := pass(ctx, hs, &live, next); return err }); err != nil {
			return nil, err
		}
		c.weight++
		next = c.cluster()
		if r.Full, err = spend(func() error { live, err = pass(ctx, hs, nil, next); return err }); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, complete(c)
}

// pass brings the table to what a cluster wants: from live, or from what it finds.
func pass(ctx context.Context, hs []reconcile.Handler, live *reconcile.Live, c *spec.Cluster) (reconcile.Live, error) {
	t, err := target(c)
	if err != nil {
		return reconcile.Live{}, err
	}
	if live == nil {
		found, err := reconcile.Observe(ctx, hs)
		if err != nil {
			return found, err
		}
		live = &found
	}
	return *live, quick(ctx, hs, *live, t)
}

// quick brings the table from what it was at the last look to what t wants.
func quick(ctx context.Context, hs []reconcile.Handler, live reconcile.Live, t reconcile.Target) error {
	return reconcile.Diff(live, t).Apply(ctx, hs, func(c reconcile.Change) { live.Owned[c.ID] = c.After })
}
