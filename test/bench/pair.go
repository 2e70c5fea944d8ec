package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
)

// A pair is two hosts with one program; the first is meant to be master.
type pair struct {
	program   string
	layout    layout
	segment   *segment
	daemons   [2]*daemon
	observers []*exec.Cmd
	reading   sync.WaitGroup
	seen      chan sighting // of all observers; has room for more than a failover shows
}

// newPair makes the hosts and starts the daemons; vrrpd is our program with its first
// arguments.
func newPair(ctx context.Context, dir, program string, vrrpd []string, l layout) (*pair, error) {
	p := &pair{program: program, layout: l, seen: make(chan sighting, 1<<16)}
	var err error
	if p.segment, err = newSegment(ctx, l.devices()); err != nil {
		return p, err
	}
	for i := range p.daemons {
		if err := p.newDaemon(dir, i, vrrpd); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *pair) newDaemon(dir string, i int, vrrpd []string) (err error) {
	ns := p.segment.hosts[i]
	own := filepath.Join(dir, ns)
	if err := os.Mkdir(own, 0o700); err != nil {
		return err
	}
	if p.program == programs[0] {
		p.daemons[i], err = newDaemon(own, true, ours(own, ns, vrrpd))
	} else {
		p.daemons[i], err = newDaemon(own, false, theirs(own, ns, p.layout.keepalived(i)))
	}
	return err
}

// start starts a host's daemon for the first time.
func (p *pair) start(ctx context.Context, hosts ...int) error {
	for _, i := range hosts {
		d := p.daemons[i]
		if err := d.run(ctx); err != nil {
			return err
		}
		if d.ours {
			cfg := p.layout.config(i)
			if _, err := ask(ctx, d.dir, channel.Request{Config: &cfg}); err != nil {
				return err
			}
		}
	}
	return nil
}

// watch starts the observer on the bridges, which also probes the first address if asked.
func (p *pair) watch(ctx context.Context, probe bool) error {
	args := []string{"observe", strconv.Itoa(p.layout.devices())}
	if probe {
		args = append(args, p.layout.vips(0)[0].String())
	}
	return p.observe(ctx, p.segment.bridge, args...)
}

// watchAddresses starts an observer of one host's addresses.
func (p *pair) watchAddresses(ctx context.Context, host int) error {
	return p.observe(ctx, p.segment.hosts[host], "held")
}

func (p *pair) observe(ctx context.Context, ns string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := inside(ctx, ns, self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start observer: %w", err)
	}
	p.observers = append(p.observers, cmd)
	p.reading.Go(func() { // ends with the observer, which close kills
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var s sighting
			if json.Unmarshal(lines.Bytes(), &s) == nil {
				p.seen <- s
			}
		}
	})
	return nil
}

// startHerald has the first host advertise everything from one process that does nothing
// else; it stands in for a daemon.
func (p *pair) startHerald(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	d := p.daemons[0]
	d.start = func(ctx context.Context) (*exec.Cmd, error) {
		return inside(ctx, p.segment.hosts[0], self, "herald", strconv.Itoa(p.layout.routers)), nil
	}
	return p.restart(ctx, 0)
}

// close ends what the pair started.
func (p *pair) close() error {
	var errs []error
	for _, d := range p.daemons {
		if d == nil {
			continue
		}
		if d.cmd != nil {
			_ = d.kill() // it may have ended by itself
			d.reap()
		}
		errs = append(errs, d.log.Close())
	}
	for _, o := range p.observers {
		_ = o.Process.Kill()
	}
	ended := make(chan struct{})
	go func() {
		p.reading.Wait()
		close(ended)
	}()
	for reading := true; reading; {
		select {
		case <-p.seen: // makes room for a reader that waits for it
		case <-ended:
			reading = false
		}
	}
	for _, o := range p.observers {
		_ = o.Wait()
	}
	if p.segment != nil {
		errs = append(errs, p.segment.close())
	}
	return errors.Join(errs...)
}

// restart starts a host's daemon again, after it was stopped.
func (p *pair) restart(ctx context.Context, host int) error {
	p.daemons[host].reap()
	return p.daemons[host].run(ctx)
}

var errQuiet = errors.New("what was expected was not seen for too long")

// next is the next sighting before a deadline.
func (p *pair) next(ctx context.Context, deadline <-chan time.Time) (sighting, error) {
	select {
	case s := <-p.seen:
		return s, nil
	case <-deadline:
		return sighting{}, errQuiet
	case <-ctx.Done():
		return sighting{}, context.Cause(ctx)
	}
}

// routerOf is the number of the router that an advert is of, and the host that sent it.
func (p *pair) routerOf(s sighting) (n, host int, ok bool) {
	for d := range p.layout.devices() {
		for host := range p.daemons {
			if s.From == hostAddr(host, d) {
				n := int(s.VRID-1)*p.layout.devices() + d
				return n, host, n >= 0 && n < p.layout.routers
			}
		}
	}
	return 0, 0, false
}

// ready waits until the first host alone has advertised every router several times in a
// row, and returns when it last did.
func (p *pair) ready(ctx context.Context) ([]time.Time, error) {
	last, alone := make([]time.Time, p.layout.routers), make([]int, p.layout.routers)
	left := p.layout.routers
	const enough = 4
	const fresh = 20 * time.Millisecond // since a sighting that is not left from before
	deadline := time.After(30*p.layout.interval + 15*time.Second)
	for {
		s, err := p.next(ctx, deadline)
		if err != nil {
			return nil, fmt.Errorf("%d of %d routers are not settled: %w", left, p.layout.routers, err)
		}
		n, host, ok := p.routerOf(s)
		switch {
		case s.What != sawAdvert || !ok:
		case host == 0 && s.Priority > 0:
			last[n] = s.At
			if alone[n]++; alone[n] == enough {
				left--
			}
		case alone[n] >= enough:
			alone[n] = 0
			left++
		default:
			alone[n] = 0
		}
		if left == 0 && time.Since(s.At) < fresh {
			return last, nil
		}
	}
}
