package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

const (
	vrid           = 7
	masterPriority = 150
	backupPriority = 100
)

var (
	vip        = netip.MustParseAddr("10.9.0.100")
	hostAddrs  = [2]netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")}
	priorities = [2]uint8{masterPriority, backupPriority}
)

// A pair is two hosts with one program; the first is meant to be master.
type pair struct {
	program  string
	interval time.Duration
	segment  *segment
	hosts    [2]struct{ daemon *daemon }
	observer *exec.Cmd
	seen     chan sighting // closed when the observer ends
	last     time.Time     // the master's last advert
}

func newPair(ctx context.Context, dir, program, vrrpd string, interval time.Duration) (*pair, error) {
	p := &pair{program: program, interval: interval, seen: make(chan sighting, 1<<16)}
	var err error
	if p.segment, err = newSegment(ctx); err != nil {
		return p, err
	}
	if err := p.watch(ctx); err != nil {
		return p, err
	}
	for i, ns := range p.segment.hosts {
		own := filepath.Join(dir, ns)
		if err := os.Mkdir(own, 0o700); err != nil {
			return p, err
		}
		start := theirs(own, ns, i, interval)
		if program == programs[0] {
			start = ours(own, ns, vrrpd)
		}
		if p.hosts[i].daemon, err = newDaemon(own, start); err != nil {
			return p, err
		}
		if err := p.hosts[i].daemon.run(ctx); err != nil {
			return p, err
		}
		if program == programs[0] {
			if err := configure(ctx, own, i, interval); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

// watch starts the observer on the bridge.
func (p *pair) watch(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p.observer = inside(ctx, p.segment.bridge, self, "observe")
	p.observer.Stderr = os.Stderr
	out, err := p.observer.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.observer.Start(); err != nil {
		return fmt.Errorf("start observer: %w", err)
	}
	go func() { // ends with the observer, which close kills
		defer close(p.seen)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var s sighting
			if json.Unmarshal(lines.Bytes(), &s) == nil {
				p.seen <- s
			}
		}
	}()
	return nil
}

// close ends what the pair started.
func (p *pair) close() error {
	var errs []error
	for _, h := range p.hosts {
		if h.daemon == nil {
			continue
		}
		if h.daemon.cmd != nil {
			_ = h.daemon.kill() // it may have ended by itself
			h.daemon.reap()
		}
		errs = append(errs, h.daemon.log.Close())
	}
	if p.observer != nil && p.observer.Process != nil {
		_ = p.observer.Process.Kill()
		_ = p.observer.Wait()
	}
	if p.segment != nil {
		errs = append(errs, p.segment.close())
	}
	return errors.Join(errs...)
}

// startMaster starts the first host's daemon again.
func startMaster(ctx context.Context, p *pair) error {
	p.hosts[0].daemon.reap()
	return p.hosts[0].daemon.run(ctx)
}

var errQuiet = errors.New("nothing was seen on the segment for too long")

// next is the next sighting before a deadline.
func (p *pair) next(ctx context.Context, deadline <-chan time.Time) (sighting, error) {
	select {
	case s, ok := <-p.seen:
		if !ok {
			return s, errors.New("the observer ended")
		}
		if !s.ARP && s.From == hostAddrs[0] {
			p.last = s.At
		}
		return s, nil
	case <-deadline:
		return sighting{}, errQuiet
	case <-ctx.Done():
		return sighting{}, context.Cause(ctx)
	}
}

// ready waits until the first host alone has advertised for a while.
func (p *pair) ready(ctx context.Context) error {
	deadline := time.After(30*p.interval + 10*time.Second)
	for alone := 0; alone < 4; {
		s, err := p.next(ctx, deadline)
		switch {
		case err != nil:
			return err
		case s.ARP:
		case s.From == hostAddrs[0] && s.Priority > 0:
			alone++
		default:
			alone = 0
		}
	}
	return nil
}

// measure makes something happen to the master, that long after an advert, and watches
// the backup take over.
func (p *pair) measure(ctx context.Context, phase time.Duration, do func(context.Context, *pair) error, resigns bool) (result, error) {
	select {
	case <-time.After(phase):
	case <-ctx.Done():
		return result{}, context.Cause(ctx)
	}
	at := time.Now()
	if err := do(ctx, p); err != nil {
		return result{}, err
	}
	var r result
	deadline := time.After(5*p.interval + 5*time.Second)
	wait := vrrp.DownInterval(p.interval, backupPriority)
	if resigns {
		wait = vrrp.Skew(p.interval, backupPriority)
	}
	mac := ""
	for {
		s, err := p.next(ctx, deadline)
		switch {
		case err != nil:
			return r, err
		case s.ARP && s.From == vip && s.MAC == mac:
			r.failover = s.At.Sub(at)
			return r, nil
		case s.ARP:
		case s.From == hostAddrs[0]:
		case mac == "":
			mac = s.MAC // the backup's first advert comes before its announcements
			r.overshoot = s.At.Sub(p.last) - wait
		}
	}
}
