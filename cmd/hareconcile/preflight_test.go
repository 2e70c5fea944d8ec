package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/ipvs"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// oldKernel handles IPVS services and lacks the scheduler mh, or ip_vs altogether.
type oldKernel struct {
	asked int
	none  bool
}

func (k *oldKernel) Kind() resource.Kind                             { return resource.KindIPVSService }
func (k *oldKernel) Observe(context.Context) (reconcile.Live, error) { return reconcile.Live{}, nil }
func (k *oldKernel) Apply(context.Context, reconcile.Change) error   { return errors.ErrUnsupported }

func (k *oldKernel) Preflight(_ context.Context, cs []reconcile.Change) []error {
	k.asked++
	out := make([]error, len(cs))
	for i, c := range cs {
		if s, ok := c.After.(resource.IPVSService); k.none {
			out[i] = ipvs.ErrNoModule
		} else if ok && s.Scheduler == "mh" {
			out[i] = errors.New(`the kernel has no scheduler "mh"`)
		}
	}
	return out
}

// director returns a plan of n services on one line each, and a VRRP instance.
func director(n int) reconcile.Plan {
	var p reconcile.Plan
	for i := range n {
		key := resource.ServiceKey{Protocol: "tcp", Address: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i+1))}
		s := resource.IPVSService{ServiceKey: key, Scheduler: "wrr"}
		if i%2 == 1 {
			s.Scheduler = "mh"
		}
		p.Changes = append(p.Changes, reconcile.Change{Action: reconcile.Create, ID: s.ID(), After: s, Origin: spec.Origin{File: "cluster.hcl", Line: 80 + i}})
	}
	v := resource.VRRPInstance{Interface: "eth0", VRID: 1, Family: resource.IPv4}
	p.Changes = append(p.Changes, reconcile.Change{Action: reconcile.Create, ID: v.ID(), After: v})
	return p
}

func TestPreflightNamesWhatNeverWorks(t *testing.T) {
	k := &oldKernel{}
	p, problems, err := preflight(t.Context(), []reconcile.Handler{k}, director(4))
	if err != nil || len(p.Changes) != 5 || k.asked != 1 {
		t.Errorf("preflight left %d changes and asked %d times: %v", len(p.Changes), k.asked, err)
	}
	f := planfile.File{Errors: planfile.Problems(problems)}
	want := []string{`cluster.hcl:81: the kernel has no scheduler "mh"`, `cluster.hcl:83: the kernel has no scheduler "mh"`}
	if d := cmp.Diff(want, f.ErrorLines()); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
	const say = `the plan could never work on this host: cluster.hcl:81: the kernel has no scheduler "mh" (and 1 more)`
	if err := unworkable(f); err == nil || err.Error() != say {
		t.Errorf("unworkable = %v, want %s", err, say)
	}
	if err := unworkable(planfile.File{}); err != nil {
		t.Errorf("unworkable of a good plan = %v", err)
	}
}

func TestAKernelWithoutIPVSKeepsNothingElseBack(t *testing.T) {
	k := &oldKernel{none: true}
	plan := director(1000)
	s := resource.IPVSServer{Service: plan.Changes[0].After.(resource.IPVSService).ServiceKey, Address: netip.MustParseAddrPort("10.0.0.1:80")}
	plan.Changes = append(plan.Changes, reconcile.Change{Action: reconcile.Create, ID: s.ID(), After: s})
	p, problems, err := preflight(t.Context(), []reconcile.Handler{k}, plan)
	if len(p.Changes) != 1 || p.Changes[0].ID.Kind != resource.KindVRRPInstance || problems != nil {
		t.Errorf("preflight leaves %v with problems %v, want the VRRP instance alone", p.Changes, problems)
	}
	o, ok := asOmission(err)
	if !ok || len(o.names) != 1001 {
		t.Fatalf("preflight = %v, want an omission of 1001", err)
	}
	const want = "these were left out: ipvs_service/tcp 192.0.2.1:1, ipvs_service/tcp 192.0.2.1:2, ipvs_service/tcp 192.0.2.1:3, " +
		"ipvs_service/tcp 192.0.2.1:4, ipvs_service/tcp 192.0.2.1:5 and 996 more\n" +
		"the kernel module ip_vs is missing: load it with `modprobe ip_vs`"
	if got := o.Error(); got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	if _, _, err := preflight(t.Context(), []reconcile.Handler{k}, director(0)); err != nil {
		t.Errorf("a plan that needs no IPVS: %v", err)
	}
}

func TestAMissingModuleIsSaidOnce(t *testing.T) {
	why := errors.Join(fmt.Errorf("observe ipvs_service: %w", ipvs.ErrNoModule), fmt.Errorf("observe ipvs_server: %w", ipvs.ErrNoModule))
	live := reconcile.Live{Unobserved: []resource.Kind{resource.KindIPVSService, resource.KindIPVSServer}}
	ids := []resource.ID{{Kind: resource.KindIPVSService, Name: "tcp 192.0.2.1:80"}, {Kind: resource.KindSysctl, Name: "x"}}
	if err := leftOut(ids, live, why); err == nil || strings.Count(err.Error(), "modprobe") != 1 || strings.Contains(err.Error(), "sysctl") {
		t.Errorf("leftOut = %v, want one service and one sentence", err)
	}
	live.Unobserved = append(live.Unobserved, resource.KindSysctl)
	why = errors.Join(why, errors.New("observe sysctl: no /proc"))
	if err := leftOut(ids, live, why); err == nil || !strings.Contains(err.Error(), "no /proc") {
		t.Errorf("leftOut = %v, want what else is wrong", err)
	}
	if err := leftOut(nil, live, why); err != nil {
		t.Errorf("leftOut of nothing = %v", err)
	}
}

func TestWhatHasNoConnectionsIsDrainedWithoutAnAgent(t *testing.T) {
	server := func(host byte, weight int) resource.IPVSServer {
		return resource.IPVSServer{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, host}), 80), Weight: weight}
	}
	live := reconcile.Live{Owned: resource.Set{}, Connections: map[resource.ID]int{server(2, 0).ID(): 1}}
	for _, s := range []resource.IPVSServer{server(1, 0), server(2, 0), server(3, 1)} {
		live.Owned[s.ID()] = s
	}
	if d := cmp.Diff(map[string]bool{server(1, 0).ID().Name: true}, drained(live)); d != "" {
		t.Errorf("drained (-want +got):\n%s", d)
	}
}
