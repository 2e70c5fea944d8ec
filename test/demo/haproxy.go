package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/test/scene"
)

// managedFile is what hareconcile adds to haproxy.
const managedFile = "/etc/haproxy/hareconcile.d/50-hareconcile.cfg"

// haproxyPair is two nodes that run haproxy behind one address.
func haproxyPair() play {
	return play{
		example: "examples/haproxy", nodes: directors, cast: "Two nodes with Debian's haproxy, three web servers and a client",
		bare: `cluster "edge" {
  node "ka1" { address = "172.25.254.10" }
  node "ka2" { address = "172.25.254.20" }
}
`,
		// A node that is well again gets the address back while people still look.
		change: []string{`delay = "30s"`, `delay = "2s"`},
		steps: []step{
			{"plan", "git push, and what it means for a haproxy that knows nothing of it", planPair, sh("ka1", "echo mine >"+managedFile)},
			{"converge", "The agents pull, plan and converge", convergePair, stopService("ka1", "vrrpd")},
			{"stopped", "haproxy is stopped on the master", stopped, stopService("ka2", "vrrpd")},
			{"frozen", "haproxy freezes on the master: kill -STOP of its worker", frozen, stopService("ka1", "agent")},
			{"drained", "haproxy drains on the master: kill -USR1, with a request under way", drained, stopService("ka2", "vrrpd")},
			{"weight", "A push changes one weight while traffic goes on", pushWeight, stopService("ka2", "agent")},
			{"server", "A push adds a server while traffic goes on", pushServer, stopService("ka1", "agent")},
		},
	}
}

// planPair pushes the example and looks at what it brings.
func planPair(ctx context.Context, d *demo) error {
	d.say("(The example's preempt delay of 30s is 2s here.)")
	plans, err := d.firstPush(ctx, "Run haproxy behind one address")
	if err != nil {
		return err
	}
	for k, n := range directors {
		if !strings.Contains(plans[k], "will be created, with one reload of haproxy") {
			return fmt.Errorf("the plan on %s has no file that is created with one reload:\n%s", n, plans[k])
		}
	}
	return nil
}

// convergePair lets the agents go.
func convergePair(ctx context.Context, d *demo) error {
	if err := d.onAll(directors, func(n string) error { return d.s.Start(ctx, n, "agent") }); err != nil {
		return err
	}
	took, err := d.settled(ctx)
	if err != nil {
		return err
	}
	for _, n := range directors {
		p, err := d.s.Proxy(ctx, n)
		if err != nil {
			return err
		}
		if p.Master.Reloads != 1 || p.Master.Failed != 0 {
			return fmt.Errorf("haproxy on %s was reloaded %d times, %d failed, want one that worked", n, p.Master.Reloads, p.Master.Failed)
		}
	}
	if err := d.noChanges(ctx, directors...); err != nil {
		return err
	}
	d.say("Both are converged on %.7s after %.1f s, each with one reload; ka1 holds %s.", d.commit, took.Seconds(), vip)
	d.say("plan says \"No changes.\" on both. The user's own haproxy.cfg is not touched; this file lies beside it:")
	b, err := d.s.ReadFile(ctx, "ka1", managedFile)
	if err != nil {
		return err
	}
	d.say("ka1$ cat %s\n%s", managedFile, b)
	r, err := d.load(ctx, "-rate", "50", "-count", "100").Wait()
	if err != nil {
		return err
	}
	d.say("%d requests of the client: %d to rs1, %d to rs2, %d failed.", r.Requests, r.From("server1"), r.From("server2"), r.Failed)
	if r.Failed > 0 || r.From("server1") == 0 || r.From("server2") == 0 {
		return fmt.Errorf("want answers from both servers and no failure: %+v", r)
	}
	return nil
}

// settled waits until both nodes are converged with both trackers up, and ka1 is master.
func (d *demo) settled(ctx context.Context) (time.Duration, error) {
	return scene.Until(ctx, 40*time.Second, "a settled pair", func(ctx context.Context) error {
		return errors.Join(d.holder(ctx, "ka1"), d.onAll(directors, func(n string) error {
			for _, name := range []string{"haproxy", "backends"} {
				if t, err := d.tracker(ctx, n, name); err != nil || t.Verdict != reconcile.Up {
					return fmt.Errorf("tracker %s on %s is %s: %s %w", name, n, t.Verdict, t.Message, err)
				}
			}
			return d.inForce(ctx, n)
		}))
	})
}

// tracker returns what a node's agent says of a tracker.
func (d *demo) tracker(ctx context.Context, node, name string) (control.Tracker, error) {
	st, err := d.s.Agent(ctx, node)
	if err != nil {
		return control.Tracker{}, err
	}
	for _, t := range st.Trackers {
		if t.Name == name {
			return t, nil
		}
	}
	return control.Tracker{}, fmt.Errorf("%s has no tracker %s", node, name)
}

// leaves breaks the master's haproxy under load, and tells what moved and what the client saw.
// look is called once ka2 serves; mend makes ka1 well again.
func (d *demo) leaves(ctx context.Context, what string, harm, look, mend func() error) error {
	load := d.load(ctx, "-rate", "100", "-timeout", "1s")
	if _, err := d.watchHolder(ctx, "ka1", time.Second); err != nil {
		return err
	}
	if err := harm(); err != nil {
		return err
	}
	took, err := scene.Until(ctx, 15*time.Second, "the address on ka2", func(ctx context.Context) error { return d.holder(ctx, "ka2") })
	if err != nil {
		return err
	}
	// The client has to have seen the new master for a while before its longest gap is over.
	if _, err := d.watchHolder(ctx, "ka2", 1500*time.Millisecond); err != nil {
		return err
	}
	r, err := load.Stop()
	if err != nil {
		return err
	}
	var t control.Tracker
	if _, err := scene.Until(ctx, 10*time.Second, "a tracker that is down", func(ctx context.Context) (err error) {
		if t, err = d.tracker(ctx, "ka1", "haproxy"); err == nil && t.Verdict != reconcile.Down {
			err = fmt.Errorf("tracker haproxy on ka1 is %s: %s", t.Verdict, t.Message)
		}
		return err
	}); err != nil {
		return err
	}
	d.say("ka1's tracker says: %s: %s.", t.Verdict, t.Message)
	if err := look(); err != nil {
		return err
	}
	d.say("%s is on ka2 after %.1f s. The client waited %.2f s at most: %d of %d requests failed.",
		vip, took.Seconds(), r.LongestGap/1000, r.Failed, r.Requests)
	d.figure("haproxy "+what+", until the backup has the address", "%.1f s", took.Seconds())
	d.figure("the client's longest gap meanwhile", "%.2f s", r.LongestGap/1000)
	if r.LongestGap > 8000 || r.OK == 0 || r.LongestGap > 500 && r.GapAt+r.LongestGap > r.Length-500 {
		return fmt.Errorf("want a gap of less than 8 s and answers after it: %+v", r)
	}
	if err := mend(); err != nil {
		return err
	}
	back, err := d.settled(ctx)
	if err != nil {
		return err
	}
	d.say("It is well again, and ka1 has the address back after %.1f s, of which 2 s are the preempt delay.", back.Seconds())
	return nil
}

func stopped(ctx context.Context, d *demo) error {
	return d.leaves(ctx, "stopped",
		func() error { return d.s.Stop(ctx, "ka1", "haproxy") },
		func() error { return nil },
		func() error { return d.s.Start(ctx, "ka1", "haproxy") })
}

func frozen(ctx context.Context, d *demo) error {
	p, err := d.s.Proxy(ctx, "ka1")
	if err != nil {
		return err
	}
	signal := func(name string) func() error {
		return func() error {
			_, err := d.s.Output(ctx, "ka1", "sh", "-c", fmt.Sprintf("kill -%s %d", name, p.Worker()))
			return err
		}
	}
	return d.leaves(ctx, "frozen", signal("STOP"), func() error {
		r, err := d.s.Exec(ctx, "ka1", "killall", "-0", "haproxy")
		if err != nil || r.Code != 0 {
			return fmt.Errorf("killall -0 haproxy = %d, %w", r.Code, err)
		}
		d.say("(ka1$ killall -0 haproxy, which many check scripts are, says %d: all is well.)", r.Code)
		return nil
	}, signal("CONT"))
}

func drained(ctx context.Context, d *demo) error {
	p, err := d.s.Proxy(ctx, "ka1")
	if err != nil {
		return err
	}
	release := d.s.Hold(ctx, "client", vip)
	defer release()
	if _, err := scene.Until(ctx, 5*time.Second, "a request under way", func(ctx context.Context) error {
		if n, err := d.s.Connections(ctx, "ka1"); err != nil || n == 0 {
			return fmt.Errorf("ka1 has %d connections: %w", n, err)
		}
		return nil
	}); err != nil {
		return err
	}
	return d.leaves(ctx, "draining", func() error {
		_, err := d.s.Output(ctx, "ka1", "sh", "-c", fmt.Sprintf("kill -USR1 %d", p.Master.PID))
		return err
	}, func() error {
		if _, err := d.s.Output(ctx, "ka1", "sh", "-c", fmt.Sprintf("kill -0 %d", p.Worker())); err != nil {
			return fmt.Errorf("the worker did not stay for the request under way: %w", err)
		}
		d.say("Process %d lives on for the request under way, and nobody reloads it.", p.Worker())
		return nil
	}, func() error {
		return errors.Join(d.s.Stop(ctx, "ka1", "haproxy"), d.s.Start(ctx, "ka1", "haproxy"))
	})
}
