package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A step is one thing to be seen.
type step struct {
	name, title string
	run         func(ctx context.Context, d *demo) error
	// sabotage breaks what run checks, just before it.
	sabotage func(ctx context.Context, d *demo) error
}

// A play is what is shown on one example.
type play struct {
	example string   // its folder
	nodes   []string // of its cluster
	cast    string   // who is in its lab
	bare    string   // cluster.hcl before the first push
	change  []string // pairs of a text in the example's cluster.hcl and what stands there in the play
	steps   []step
}

// playOf returns the play that the command line asks for.
func playOf(args []string) (play, error) {
	switch {
	case len(args) == 0:
		return reference(), nil
	case len(args) == 1 && args[0] == "haproxy":
		return haproxyPair(), nil
	}
	return play{}, fmt.Errorf("there is no demo %q; there is haproxy, and the reference lab without a name", args)
}

// text returns the play's cluster.hcl.
func (p play) text(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cluster.hcl"))
	return strings.NewReplacer(p.change...).Replace(string(b)), err
}

// reference is the LVS-DR cluster.
func reference() play {
	return play{
		example: "examples/lvs-dr", nodes: nodes, cast: "Two directors, two real servers and a client", bare: bare,
		steps: []step{
			{"plan", "git push, and what it means for each node", planEach, sh("rs1", "ip address add "+vip+"/32 dev lo")},
			{"converge", "The agents pull, plan and converge", converge, stopService("ka1", "vrrpd")},
			{"split", "The client's requests are split 2:1", split, sh("ka1", "ip route add blackhole 172.25.254.120")},
			{"check", "rs1's web server dies, is taken out, and returns", webDies, stopService("ka1", "agent")},
			{"vrrpd", "kill -9 of the master's vrrpd moves nothing", vrrpdDies, sh("ka1", "rm -f /run/hareconcile/vrrpd.state; mkdir /run/hareconcile/vrrpd.state")},
			{"failover", "The master's host is cut off", failover, stopService("ka2", "vrrpd")},
			{"weight", "A second push changes one weight", oneWeight, stopService("ka2", "agent")},
			{"refuse", "A bad push is refused while traffic goes on", badPush, stopService("ka1", "agent")},
		},
	}
}

// bare is the reference cluster before the first push: nothing but its nodes.
const bare = `cluster "lab" {
  node "ka1" { address = "172.25.254.10" }
  node "ka2" { address = "172.25.254.20" }
  node "rs1" { address = "172.25.254.110" }
  node "rs2" { address = "172.25.254.120" }
}
`

func stopService(host, service string) func(context.Context, *demo) error {
	return func(ctx context.Context, d *demo) error { return d.s.Stop(ctx, host, service) }
}

func sh(host, line string) func(context.Context, *demo) error {
	return func(ctx context.Context, d *demo) error {
		_, err := d.s.Exec(ctx, host, "sh", "-c", line)
		return err
	}
}
