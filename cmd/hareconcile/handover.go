package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A handover is what a person wants of the virtual routers of this node.
type handover struct {
	instance string // a name in the cluster file; all if empty
	hold     time.Duration
	wait     bool
	timeout  time.Duration
	force    bool
	release  bool
}

// runHandover gives mastership away on purpose. It talks to vrrpd itself, so that it works
// without an agent, too.
func runHandover(ctx context.Context, e *env, args []string) int {
	var o handover
	fs := e.flags("handover")
	config := configFlag(fs)
	fs.StringVar(&o.instance, "instance", "", "the vrrp_instance `NAME`; all of this node unless it is given")
	fs.DurationVar(&o.hold, "hold", 5*time.Minute, "how `LONG` to leave another master alone; 0 takes back as preempt says")
	fs.BoolVar(&o.wait, "wait", false, "wait until another node is master")
	fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "how `LONG` to wait")
	fs.BoolVar(&o.force, "force", false, "also if no other node is known that could take over")
	fs.BoolVar(&o.release, "release", false, "end a hold, and give nothing away")
	if err := e.parse(fs, args, 0); err != nil {
		return e.exit(err)
	}
	switch {
	case o.hold < 0 || o.hold > channel.MaxHold:
		return e.exit(fmt.Errorf("a hold of %v is not possible: give up to %v, and repeat it for longer", o.hold, channel.MaxHold))
	case o.timeout <= 0:
		return e.exit(fmt.Errorf("a timeout of %v is none: give a time, such as 30s", o.timeout))
	}
	h, err := openHost(e, *config)
	if err != nil {
		return e.exit(err)
	}
	return e.exit(h.handOver(ctx, e, o))
}

// A lead is a virtual router of this node.
type lead struct {
	channel.InstanceStatus
	name string // in the cluster file
}

func (h *host) handOver(ctx context.Context, e *env, o handover) error {
	st, err := askVRRPD(ctx, h.cfg.VRRPSocket)
	if err != nil {
		return fmt.Errorf("hareconcile-vrrpd cannot be asked: %w", err)
	}
	leads, err := h.leads(st, o.instance)
	if err != nil {
		return err
	}
	if !o.release && !o.force {
		if err := h.mayHandOver(ctx, leads); err != nil {
			return err
		}
	}
	var ids []string
	for _, l := range leads {
		ids = append(ids, l.Name)
	}
	r := channel.Request{Resign: &channel.Resign{Instances: ids, Hold: o.hold}}
	if o.release {
		r = channel.Request{Release: &channel.Release{Instances: ids}}
	}
	if err := tellVRRPD(ctx, h.cfg.VRRPSocket, r); err != nil {
		return err
	}
	now, err := askVRRPD(ctx, h.cfg.VRRPSocket)
	if err != nil {
		return fmt.Errorf("hareconcile-vrrpd took the order, and cannot be asked what came of it: %w", err)
	}
	for _, l := range leads {
		held := slices.ContainsFunc(now.Instances, func(i channel.InstanceStatus) bool { return i.Name == l.Name && !i.HoldUntil.IsZero() })
		fmt.Fprintf(e.stdout, "vrrp_instance.%s: %s.\n", clean(l.name), o.effect(l.State, held))
	}
	if !o.wait || o.release {
		return nil
	}
	return h.awaitMaster(ctx, e, leads, o.timeout)
}

// effect says in words what came of o for a virtual router, which is held back now or not.
func (o handover) effect(was string, held bool) string {
	what := "is " + was + " as before"
	if was == reconcile.RoleMaster {
		what = "given up"
	}
	switch {
	case o.release:
		return "takes part as configured again"
	case o.hold == 0:
		return what
	case !held:
		return what + "; hareconcile-vrrpd is of an older release and knows no hold, so it takes back as preempt says"
	}
	return fmt.Sprintf("%s; for %v it leaves another master alone, but takes over should there be none", what, o.hold)
}

// leads returns the virtual routers that a person means.
func (h *host) leads(st *channel.Status, instance string) ([]lead, error) {
	byID := map[string]string{}
	good, err := revision.NewStore(h.cfg.DataDir).LoadGood()
	if err == nil && good != nil {
		for _, i := range good.Cluster.Instances {
			byID[reconcile.InstanceID(i).Name] = i.Name
		}
	}
	var out []lead
	var names []string
	for _, i := range st.Instances {
		l := lead{i, i.Name}
		if name, ok := byID[i.Name]; ok {
			l.name = name
		}
		names = append(names, l.name)
		if instance == "" || instance == l.name || instance == i.Name {
			out = append(out, l)
		}
	}
	switch {
	case len(names) == 0:
		return nil, errors.New("no virtual router runs on this node")
	case len(out) == 0:
		return nil, fmt.Errorf("no vrrp_instance of this node is named %q; it has %s.%s", instance, strings.Join(names, ", "), hcl.DidYouMean(instance, names))
	}
	return out, nil
}

// mayHandOver returns why virtual routers should not be given up.
func (h *host) mayHandOver(ctx context.Context, leads []lead) error {
	var s control.Status
	client, err := h.agent()
	switch {
	case err == nil && client == nil:
		err = fmt.Errorf("no agent runs on this host: nobody listens on %s", h.cfg.Socket)
	case err == nil:
		s, err = client.Status(ctx)
	}
	if err == nil && s.Self == nil {
		err = errors.New("the nodes of the cluster file have no keys, so the agents do not hear of each other (hareconcile node-key)")
	}
	for _, l := range leads {
		switch {
		case l.State != reconcile.RoleMaster:
		case err != nil:
			return fmt.Errorf("vrrp_instance.%s is not given up: nobody knows here whether another node could take over: %w; with -force it is given up all the same", l.name, err)
		default:
			if why := nobodyFor(s, l.name); why != "" {
				return fmt.Errorf("vrrp_instance.%s is not given up: no other node could take over: %s; with -force it is given up all the same", l.name, why)
			}
		}
	}
	return nil
}

// nobodyFor returns why no other node could be master of an instance now; "" if one could.
func nobodyFor(s control.Status, instance string) string {
	var why []string
	for _, p := range s.Peers {
		for _, i := range p.Instances {
			switch {
			case i.Name != instance:
			case !p.Heard:
				why = append(why, p.Node+" cannot be reached")
			case i.State == "BACKUP", i.State == reconcile.RoleMaster:
				return ""
			case i.State == "":
				why = append(why, p.Node+" does not know its state")
			default:
				why = append(why, p.Node+" is in "+i.State)
			}
		}
	}
	if len(why) == 0 {
		return "none that was heard takes part in it"
	}
	return strings.Join(why, ", ")
}

// tellVRRPD sends one request that has no answer but whether it was done.
func tellVRRPD(ctx context.Context, path string, r channel.Request) error {
	c, err := channel.Dial(ctx, path)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Do(ctx, r)
	return err
}

// awaitMaster waits until other nodes are master of what this one was.
func (h *host) awaitMaster(ctx context.Context, e *env, leads []lead, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	open := map[string]lead{}
	for _, l := range leads {
		if l.State == reconcile.RoleMaster {
			open[l.Name] = l
		}
	}
	var back error
	watch := func(st *channel.Status, err error) {
		if err != nil {
			return // it is tried again
		}
		for _, i := range st.Instances {
			was, ok := open[i.Name]
			switch {
			case !ok:
				continue
			case i.State == reconcile.RoleMaster && i.Transitions > was.Transitions:
				back = fmt.Errorf("nobody took over vrrp_instance.%s, so this node is master again", was.name)
			case i.State == "BACKUP" && i.Master.IsValid():
				fmt.Fprintf(e.stdout, "vrrp_instance.%s: %s is master.\n", clean(was.name), i.Master)
			default:
				continue
			}
			delete(open, i.Name)
		}
		if len(open) == 0 {
			cancel()
		}
	}
	if len(open) > 0 {
		_ = channel.Watch(ctx, h.cfg.VRRPSocket, watch) // it ends with ctx alone
	}
	switch {
	case back != nil:
		return back
	case len(open) == 0:
		return nil
	case context.Cause(ctx) == context.DeadlineExceeded:
		return coded(exitLocked, "after %v no other node is heard as master of %s; nothing is undone", timeout, namesOf(open))
	}
	return errors.New("interrupted; what was given up stays given up")
}

func namesOf(open map[string]lead) string {
	var out []string
	for _, l := range open {
		out = append(out, l.name)
	}
	return strings.Join(out, ", ")
}
