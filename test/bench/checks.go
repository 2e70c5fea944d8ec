package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// What checks are judged by.
const (
	cpuPerCheck = "processor time of 1,000, ms"
	lateMedian  = "off the beat, median, ms"
	lateMost    = "off the beat, 99 of 100, ms"
	checkMemory = "RSS, MiB"
)

// A load is so many servers of one kind.
type load struct {
	kind    string
	servers int
}

// A contest is how checks are compared: in which way both programs are started.
type contest struct {
	field  *field
	table  bool // the kernel has IPVS: ours is the whole agent, and the victim is one of the servers
	engine string
	fake   string // stands in for IPVS
}

const (
	checkWindow = 10 * time.Second
	checkWarmUp = 4 * time.Second
)

// checks returns the part that checks servers in another namespace, once a second.
func checks(loads []load, rounds int, table bool) part {
	return func(ctx context.Context, b *bench) (err error) {
		loads, rounds := loads, rounds
		if b.quick {
			loads, rounds = loads[:1], 1
		}
		c := contest{table: table}
		if !table {
			if err := c.build(ctx, b.dir); err != nil {
				return err
			}
		}
		c.field, err = newField(ctx)
		defer func() { err = errors.Join(err, c.field.close()) }()
		if err != nil {
			return err
		}
		ours := "the checker alone"
		if table {
			ours = "the whole agent"
		}
		t := newTable(fmt.Sprintf("checks every %v, %d rounds of %v, ours is %s, median (least to most)", checkInterval, rounds, checkWindow, ours))
		t.goals = map[string]float64{cpuPerCheck: 1, lateMost: 1}
		for _, l := range loads {
			for n := range rounds {
				for i := range programs {
					which := (n + i) % 2
					if err := c.measure(ctx, t, b.dir, l, which); err != nil {
						return fmt.Errorf("%s, %d servers, %s: %w", l.kind, l.servers, programs[which], err)
					}
				}
				progress("%s checks of %d servers: round %d of %d", l.kind, l.servers, n+1, rounds)
			}
		}
		t.print(b.out)
		if !table {
			return nil
		}
		return c.removals(ctx, b, loads)
	}
}

// build makes what the host needs: our checker, and what stands in for IPVS.
func (c *contest) build(ctx context.Context, dir string) (err error) {
	c.engine = filepath.Join(dir, "checker")
	if err := static(ctx, "./test/bench/checker", c.engine); err != nil {
		return err
	}
	c.fake, err = fakeIPVS(ctx, dir)
	return err
}

// start starts a program in a fresh folder, and with a table in which the other has left nothing.
func (c *contest) start(ctx context.Context, dir string, l load, which int) (d *daemon, err error) {
	if c.table {
		if out, err := inside(ctx, c.field.checkers, "ipvsadm", "-C").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("empty the table: %w: %s", err, out)
		}
	}
	own, err := os.MkdirTemp(dir, "checks")
	if err != nil {
		return nil, err
	}
	switch {
	case programs[which] != programs[0]:
		d, err = c.field.keepalived(own, l.kind, l.servers, c.table, c.fake)
	case c.table:
		d, err = c.field.agent(own, l.kind, l.servers)
	default:
		d, err = c.field.engine(own, c.engine, l.kind, l.servers)
	}
	if err != nil {
		return nil, err
	}
	return d, d.run(ctx)
}

// end ends a daemon for good.
func (d *daemon) end() error {
	_ = d.kill() // it may have ended by itself
	d.reap()
	return d.log.Close()
}

// measure lets one program check for a while.
func (c *contest) measure(ctx context.Context, t *table, dir string, l load, which int) (err error) {
	d, err := c.start(ctx, dir, l, which)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.end()) }()
	if err := sleep(ctx, checkWarmUp); err != nil {
		return err
	}
	var a arrivals
	if err := c.field.arrivals.ask("", &a); err != nil {
		return err
	}
	before, err := d.cpu()
	if err != nil {
		return err
	}
	if err := sleep(ctx, checkWindow); err != nil {
		return err
	}
	after, err := d.cpu()
	if err != nil {
		return err
	}
	if err := c.field.arrivals.ask("", &a); err != nil {
		return err
	}
	if a.Servers != l.servers {
		log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
		return fmt.Errorf("%d servers were checked in %v, want %d: %s", a.Servers, checkWindow, l.servers, log[:min(len(log), 2000)])
	}
	event := fmt.Sprintf("%s, %d servers", l.kind, l.servers)
	t.add(event, cpuPerCheck, programs[which], milliseconds(after-before)/float64(a.Checks+len(a.Victim))*1000)
	t.add(event, lateMedian, programs[which], milliseconds(a.P50))
	t.add(event, lateMost, programs[which], milliseconds(a.P99))
	sum := 0
	for _, pid := range d.pids() {
		kb, err := procNumber(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:")
		if err != nil {
			return err
		}
		sum += kb
	}
	t.add(event, checkMemory, programs[which], float64(sum)/1024)
	t.add(event, "checks made", programs[which], float64(a.Checks))
	return nil
}
