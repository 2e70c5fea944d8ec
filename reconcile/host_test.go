package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A host is a machine that lives in a map. It refuses what no handler may be asked for.
type host struct {
	owned, foreign resource.Set
	fail           map[resource.ID]bool
}

func newHost() *host {
	return &host{owned: resource.Set{}, foreign: resource.Set{}, fail: map[resource.ID]bool{}}
}

func (h *host) live() reconcile.Live {
	return reconcile.Live{Owned: maps.Clone(h.owned), Foreign: maps.Clone(h.foreign)}
}

// handlers returns one handler for each kind of the host.
func (h *host) handlers() []reconcile.Handler {
	var out []reconcile.Handler
	for _, k := range resource.Order {
		out = append(out, &handler{h, k})
	}
	return out
}

// A handler is one kind of a host.
type handler struct {
	host *host
	kind resource.Kind
}

func (h *handler) Kind() resource.Kind { return h.kind }

func (h *handler) Observe(context.Context) (reconcile.Live, error) {
	l := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	for id, v := range h.host.owned {
		if id.Kind == h.kind {
			l.Owned[id] = v
		}
	}
	for id, v := range h.host.foreign {
		if id.Kind == h.kind {
			l.Foreign[id] = v
		}
	}
	return l, nil
}

func (h *handler) Apply(_ context.Context, c reconcile.Change) error {
	if h.host.fail[c.ID] {
		return errors.New("the kernel says no")
	}
	foreign, theirs := h.host.foreign[c.ID]
	if theirs && (c.Action != reconcile.Adopt || foreign != c.After) {
		return fmt.Errorf("%s touches what is not ours", c.Action)
	}
	if h.host.owned[c.ID] != c.Before && c.Action != reconcile.Adopt {
		return fmt.Errorf("%s found %v, want %v", c.Action, h.host.owned[c.ID], c.Before)
	}
	delete(h.host.foreign, c.ID)
	if c.Action == reconcile.Delete {
		delete(h.host.owned, c.ID)
	} else {
		h.host.owned[c.ID] = c.After
	}
	return nil
}

// converge applies what is left to do on h and checks that nothing is left then.
func converge(t interface {
	Helper()
	Fatalf(string, ...any)
}, h *host, want reconcile.Target) {
	t.Helper()
	if err := reconcile.Diff(h.live(), want).Apply(context.Background(), h.handlers(), nil); err != nil {
		t.Fatalf("Apply: %v", err)
	}
	if p := reconcile.Diff(h.live(), want); len(p.Changes) > 0 {
		t.Fatalf("after Apply the plan has %v, want nothing", p.Changes)
	}
}

func desired(t interface {
	Helper()
	Fatalf(string, ...any)
}, c *spec.Cluster, node string, f *reconcile.Facts) reconcile.Target {
	t.Helper()
	d, err := reconcile.Desired(c, node, f)
	if err != nil {
		t.Fatalf("Desired: %v", err)
	}
	return d
}

// lvsDR returns the reference cluster, as package hcl makes it of examples/lvs-dr.
func lvsDR() *spec.Cluster {
	at := func(address string, line int) spec.Origin {
		return spec.Origin{Address: address, File: "cluster.hcl", Line: line}
	}
	addr := netip.MustParseAddr
	vip := addr("172.25.254.100")
	return &spec.Cluster{
		Name: "lab",
		Nodes: []spec.Node{
			{Name: "ka1", Address: addr("172.25.254.10")}, {Name: "ka2", Address: addr("172.25.254.20")},
			{Name: "rs1", Address: addr("172.25.254.110")}, {Name: "rs2", Address: addr("172.25.254.120")},
		},
		Trackers: []spec.Tracker{{Origin: at("tracker.uplink", 38), Name: "uplink", Interface: "eth0"}},
		Instances: []spec.VRRPInstance{{
			Origin: at("vrrp_instance.web", 42), Name: "web", Interface: "eth0", VRID: 100, Version: 3,
			Interval: time.Second, Priority: map[string]uint8{"ka1": 150, "ka2": 100}, Preempt: true,
			Addresses: []spec.VirtualAddress{{Prefix: netip.PrefixFrom(vip, 24)}}, Gates: []string{"uplink"},
		}},
		Pools: []spec.Pool{
			{
				Origin: at("pool.web", 53), Name: "web", Port: 80, OnFail: "weight_zero",
				Servers: []spec.Server{
					{Origin: at("pool.web.server.rs1", 56), Name: "rs1", Address: addr("172.25.254.110"), Port: 80, Weight: 2},
					{Origin: at("pool.web.server.rs2", 56), Name: "rs2", Address: addr("172.25.254.120"), Port: 80, Weight: 1},
				},
				Checks: []spec.Check{{Type: "http", HTTP: &spec.HTTPCheck{Path: "/"}, Interval: time.Second, Rise: 2, Fall: 2}},
			},
			{
				Origin: at("pool.sorry", 76), Name: "sorry", Port: 80, OnFail: "weight_zero",
				Servers: []spec.Server{{Origin: at("pool.sorry.server.local", 79), Name: "local", Address: addr("127.0.0.1"), Port: 80, Weight: 1}},
			},
		},
		VirtualServers: []spec.VirtualServer{{
			Origin: at("virtual_server.http", 82), Name: "http", On: "web", Services: []spec.Service{{Protocol: "tcp", Address: vip, Port: 80}},
			Scheduler: "wrr", Forward: "dr", Pool: "web", Sorry: "sorry",
		}},
	}
}

// facts returns Facts with the verdicts of rs1 and rs2.
func facts(rs1, rs2 reconcile.Verdict) *reconcile.Facts {
	return &reconcile.Facts{Servers: map[reconcile.ServerRef]reconcile.Verdict{"web/rs1": rs1, "web/rs2": rs2}}
}

func TestDesiredRefusesAStranger(t *testing.T) {
	if _, err := reconcile.Desired(lvsDR(), "ka9", nil); err == nil {
		t.Error("Desired for a node that is not in the cluster succeeded")
	}
}
