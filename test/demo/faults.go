package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/test/scene"
)

// split checks that weights 2 and 1 are what the client sees.
func split(ctx context.Context, d *demo) error {
	r, err := d.load(ctx, "-rate", "30", "-count", "90").Wait()
	if err != nil {
		return err
	}
	one, two := r.From("server1"), r.From("server2")
	d.say("%d requests: %d to rs1, %d to rs2, %d failed.", r.Requests, one, two, r.Failed)
	if r.Failed > 0 || one < 57 || one > 63 || one+two != 90 {
		return fmt.Errorf("want 60 and 30 of 90, give or take 3, and no failure: %v", r.Failures)
	}
	d.figure("90 requests over weights 2 and 1", "%d : %d", one, two)
	return nil
}

// webDies ends rs1's web server under load, and starts it again.
func webDies(ctx context.Context, d *demo) error {
	load := d.load(ctx, "-rate", "20", "-timeout", "1s")
	if err := d.s.Stop(ctx, "rs1", web); err != nil {
		return err
	}
	took, err := scene.Until(ctx, 20*time.Second, "rs1 out of service", func(ctx context.Context) error {
		return d.onAll(directors, func(n string) error { return d.weight(ctx, n, rs1, 0) })
	})
	if err != nil {
		return err
	}
	d.say("Both directors gave rs1 weight 0 after %.1f s (checks every 1 s, two must fail).", took.Seconds())
	d.figure("web server dead, until it is out of both tables", "%.1f s", took.Seconds())
	r, err := d.load(ctx, "-rate", "20", "-count", "30").Wait()
	if err != nil {
		return err
	}
	if r.Failed > 0 || r.From("server2") != 30 {
		return fmt.Errorf("of 30 requests %d went to rs2 and %d failed, want all at rs2: %v", r.From("server2"), r.Failed, r.Failures)
	}
	if err := d.noChanges(ctx, directors...); err != nil {
		return err
	}
	d.say("All of 30 requests went to rs2, and plan says \"No changes.\" on both directors.")
	if err := d.s.Start(ctx, "rs1", web); err != nil {
		return err
	}
	took, err = scene.Until(ctx, 20*time.Second, "rs1 back in service", func(ctx context.Context) error {
		return d.onAll(directors, func(n string) error { return d.weight(ctx, n, rs1, 2) })
	})
	if err != nil {
		return err
	}
	all, err := load.Stop()
	if err != nil {
		return err
	}
	d.say("It returned and has its weight of 2 again after %.1f s.", took.Seconds())
	d.say("In all %d requests were made; the %d that failed had met the dead server before it was out.", all.Requests, all.Failed)
	d.figure("web server back, until it is in both tables", "%.1f s", took.Seconds())
	return nil
}

// vrrpdDies kills the master's vrrpd and watches for longer than a backup would wait.
func vrrpdDies(ctx context.Context, d *demo) error {
	before, err := d.s.Transitions(ctx, directors...)
	if err != nil {
		return err
	}
	was, err := d.service(ctx, "ka1", "vrrpd")
	if err != nil {
		return err
	}
	load := d.load(ctx, "-rate", "20")
	if err := d.s.Kill(ctx, "ka1", "vrrpd", syscall.SIGKILL); err != nil {
		return err
	}
	samples, err := d.watchHolder(ctx, "ka1", 5*time.Second)
	if err != nil {
		return err
	}
	is, err := d.service(ctx, "ka1", "vrrpd")
	if err != nil {
		return err
	}
	if is.Restarts != was.Restarts+1 || is.PID == was.PID {
		return fmt.Errorf("vrrpd is %+v, want it restarted once", is)
	}
	after, err := d.s.Transitions(ctx, directors...)
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("%d transitions, want none", after-before)
	}
	r, err := load.Stop()
	if err != nil {
		return err
	}
	if r.Failed > 0 || r.OK == 0 {
		return fmt.Errorf("%d of %d requests failed: %v", r.Failed, r.Requests, r.Failures)
	}
	d.say("The supervisor restarted it; it took over what the kernel still held. In %d looks over 5 s", samples)
	d.say("%s was on ka1 and nowhere else; no transition; %d requests, %d failed.", vip, r.Requests, r.Failed)
	d.figure("kill -9 of vrrpd: transitions, lost requests", "%d, %d of %d", after-before, r.Failed, r.Requests)
	return nil
}

// watchHolder looks at who has the address until the time is over.
func (d *demo) watchHolder(ctx context.Context, want string, length time.Duration) (int, error) {
	end := time.After(length)
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for n := 1; ; n++ {
		if err := d.holder(ctx, want); err != nil {
			return n, err
		}
		select {
		case <-t.C:
		case <-end:
			return n, nil
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
}

// failover cuts the master off under load and brings it back.
func failover(ctx context.Context, d *demo) error {
	load := d.load(ctx, "-rate", "20", "-timeout", "1s")
	if _, err := d.watchHolder(ctx, "ka1", time.Second); err != nil {
		return err
	}
	if err := d.s.Cut(ctx, "ka1"); err != nil {
		return err
	}
	took, err := scene.Until(ctx, 15*time.Second, "the address on ka2", func(ctx context.Context) error {
		return d.holder(ctx, "ka2")
	})
	if err != nil {
		return err
	}
	if err := d.noChanges(ctx, "ka2"); err != nil {
		return err
	}
	// The client has to have seen the new master for a while before its longest gap is over.
	if _, err := d.watchHolder(ctx, "ka2", 2*time.Second); err != nil {
		return err
	}
	r, err := load.Stop()
	if err != nil {
		return err
	}
	d.say("%s is on ka2 after %.1f s; plan says \"No changes.\" there.", vip, took.Seconds())
	d.say("The client's longest gap between two answers: %.2f s (%d requests, %d failed).", r.LongestGap/1000, r.Requests, r.Failed)
	d.figure("master cut off, until the backup has the address", "%.1f s", took.Seconds())
	d.figure("the client's longest gap meanwhile", "%.2f s", r.LongestGap/1000)
	if r.LongestGap > 8000 || r.OK == 0 || r.GapAt+r.LongestGap > r.Length-500 {
		return fmt.Errorf("want a gap of less than 8 s and answers after it: %+v", r)
	}
	if err := d.s.Mend(ctx, "ka1"); err != nil {
		return err
	}
	back, err := scene.Until(ctx, 30*time.Second, "the address back on ka1", func(ctx context.Context) error {
		return errors.Join(d.holder(ctx, "ka1"), d.inForce(ctx, "ka1"))
	})
	if err != nil {
		return err
	}
	d.say("The host is back, and its higher priority takes the address again after %.1f s.", back.Seconds())
	return nil
}
