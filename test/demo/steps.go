package main

import (
	"context"
)

// A step is one thing to be seen.
type step struct {
	name, title string
	run         func(ctx context.Context, d *demo) error
	// sabotage breaks what run checks, just before it.
	sabotage func(ctx context.Context, d *demo) error
}

func steps() []step {
	return []step{
		{"plan", "git push, and what it means for each node", planEach, sh("rs1", "ip address add "+vip+"/32 dev lo")},
		{"converge", "The agents pull, plan and converge", converge, stopService("ka1", "vrrpd")},
		{"split", "The client's requests are split 2:1", split, sh("ka1", "ip route add blackhole 172.25.254.120")},
		{"check", "rs1's web server dies, is taken out, and returns", webDies, stopService("ka1", "agent")},
		{"vrrpd", "kill -9 of the master's vrrpd moves nothing", vrrpdDies, sh("ka1", "rm -f /run/hareconcile/vrrpd.state; mkdir /run/hareconcile/vrrpd.state")},
		{"failover", "The master's host is cut off", failover, stopService("ka2", "vrrpd")},
		{"weight", "A second push changes one weight", oneWeight, stopService("ka2", "agent")},
		{"refuse", "A bad push is refused while traffic goes on", badPush, stopService("ka1", "agent")},
	}
}

func stopService(host, service string) func(context.Context, *demo) error {
	return func(ctx context.Context, d *demo) error { return d.s.Stop(ctx, host, service) }
}

func sh(host, line string) func(context.Context, *demo) error {
	return func(ctx context.Context, d *demo) error {
		_, err := d.s.Exec(ctx, host, "sh", "-c", line)
		return err
	}
}
