package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/test/scene"
)

// pushWeight pushes one weight: a runtime command, and a file that says the same.
func pushWeight(ctx context.Context, d *demo) error {
	return d.change(ctx, "Give rs2 three times as much", 0,
		"    server \"rs2\" {\n      address = \"172.25.254.120\"\n      port    = 80\n      weight  = 10\n",
		"    server \"rs2\" {\n      address = \"172.25.254.120\"\n      port    = 80\n      weight  = 30\n",
		func(p scene.Proxy) error {
			if v, ok := p.Server("app", "rs2"); !ok || v.Weight != 30 {
				return fmt.Errorf("rs2 has weight %d (there: %v), want 30", v.Weight, ok)
			}
			return nil
		})
}

// pushServer pushes a server, which haproxy 2.6 learns by a reload.
func pushServer(ctx context.Context, d *demo) error {
	const end = "      weight  = 30\n    }\n"
	return d.change(ctx, "Add rs3", 1, end,
		end+"\n    server \"rs3\" {\n      address = \"172.25.254.130\"\n      port    = 80\n      weight  = 10\n    }\n",
		func(p scene.Proxy) error {
			if v, ok := p.Server("app", "rs3"); !ok || v.Operational != 2 {
				return fmt.Errorf("rs3 is %+v (there: %v), want it up", v, ok)
			}
			return nil
		})
}

// change pushes a replaced text under load and waits until done says of both haproxies that
// it is there. No request may fail, and there must be as many reloads as the plan says.
func (d *demo) change(ctx context.Context, message string, most int, from, to string, done func(scene.Proxy) error) error {
	text, err := d.read()
	if err != nil {
		return err
	}
	if strings.Count(text, from) != 1 {
		return fmt.Errorf("cluster.hcl does not have this once:\n%s", from)
	}
	text = strings.Replace(text, from, to, 1)
	if err := d.write(text); err != nil {
		return err
	}
	plans, err := d.plans(ctx, directors)
	if err != nil {
		return err
	}
	d.headlines("ka1", plans[0])
	planned := 0
	if strings.Contains(plans[0], "with one reload of haproxy") {
		planned = 1
	}
	if planned > most {
		return fmt.Errorf("the plan has a reload, which takes none:\n%s", plans[0])
	}
	before, err := d.proxies(ctx)
	if err != nil {
		return err
	}
	load := d.load(ctx, "-rate", "200", "-timeout", "2s")
	if _, err := d.watchHolder(ctx, "ka1", time.Second); err != nil {
		return err
	}
	if d.commit, err = d.push(ctx, text, message); err != nil {
		return err
	}
	took, err := scene.Until(ctx, 60*time.Second, message, func(ctx context.Context) error {
		return d.onAll(directors, func(n string) error {
			p, err := d.s.Proxy(ctx, n)
			if err == nil {
				err = done(p)
			}
			return errors.Join(err, d.inForce(ctx, n))
		})
	})
	if err != nil {
		return err
	}
	if _, err := d.watchHolder(ctx, "ka1", 2*time.Second); err != nil {
		return err
	}
	r, err := load.Stop()
	if err != nil {
		return err
	}
	after, err := d.proxies(ctx)
	if err != nil {
		return err
	}
	for n, p := range after {
		if reloads := p.Master.Reloads - before[n].Master.Reloads; reloads != planned || p.Master.Failed > 0 {
			return fmt.Errorf("haproxy on %s made %d reloads, %d failed, and the plan has %d", n, reloads, p.Master.Failed, planned)
		}
	}
	if r.Failed > 0 || r.OK == 0 {
		return fmt.Errorf("%d of %d requests failed: %v", r.Failed, r.Requests, r.Failures)
	}
	if err := d.noChanges(ctx, directors...); err != nil {
		return err
	}
	d.say("Both haproxies have it after %.1f s, with %d reload(s), as planned; plan says \"No changes.\"", took.Seconds(), planned)
	d.say("Meanwhile %d requests were made and %d failed; the servers answered %d : %d : %d.",
		r.Requests, r.Failed, r.From("server1"), r.From("server2"), r.From("server3"))
	d.figure(message+": reloads, lost requests", "%d, %d of %d", planned, r.Failed, r.Requests)
	return nil
}

// proxies returns what the haproxies consist of.
func (d *demo) proxies(ctx context.Context) (map[string]scene.Proxy, error) {
	out := map[string]scene.Proxy{}
	for _, n := range directors {
		p, err := d.s.Proxy(ctx, n)
		if err != nil {
			return nil, err
		}
		out[n] = p
	}
	return out, nil
}
