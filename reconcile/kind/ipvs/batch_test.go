package ipvs

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

var fakeStories = []story{
	{"a dump that was interrupted is taken again", interrupted},
	{"a dump that lacks something of ours is taken again", lacking},
	{"answers that were lost leave nothing of others' as ours", lost},
	{"a module that was loaded again is found", reloaded},
	{"a thousand changes are few sends", fewSends},
	{"connections keep servers busy", connections},
}

// creations returns the changes that make n services, numbered by port.
func creations(n int) []reconcile.Change {
	cs := make([]reconcile.Change, n)
	for i := range cs {
		s := service(fmt.Sprintf("tcp 192.0.2.1:%d", 1000+i), "rr")
		cs[i] = reconcile.Change{Action: reconcile.Create, ID: s.ID(), After: s}
	}
	return cs
}

// culprits returns the changes that err names.
func culprits(err error) []resource.ID {
	var ids []resource.ID
	list := []error{err}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		list = all.Unwrap()
	}
	for _, err := range list {
		var c *reconcile.ChangeError
		if errors.As(err, &c) {
			ids = append(ids, c.Change.ID)
		}
	}
	return ids
}

func (e env) applyAll(t *testing.T, handler int, cs []reconcile.Change) error {
	t.Helper()
	return e.hs[handler].(reconcile.Batcher).ApplyAll(t.Context(), cs)
}

func batch(t *testing.T, e env) {
	cs := creations(1000)
	bad := cs[299].After.(resource.IPVSService)
	bad.Scheduler = "nosuch"
	cs[299].After = bad
	err := e.applyAll(t, 0, cs)
	if ids := culprits(err); len(ids) != 1 || ids[0] != bad.ID() || !strings.Contains(err.Error(), "ip_vs_nosuch") {
		t.Errorf("ApplyAll = %v, want one error of %s", err, bad.ID())
	}
	live := reconciletest.Observe(t, e.hs...)
	if len(live.Owned) != 999 || live.Owned[bad.ID()] != nil || e.ledger.Has(bad.ID()) {
		t.Errorf("%d services, recorded = %v, want 999 and no record of %s", len(live.Owned), e.ledger.Has(bad.ID()), bad.ID())
	}
	// Servers: the same, and all of a plan.
	s := cs[0].After.(resource.IPVSService)
	var servers []reconcile.Change
	for i := range 1000 {
		address := netip.AddrFrom4([4]byte{10, 1, byte(i / 250), byte(1 + i%250)})
		if i == 299 {
			address = netip.MustParseAddr("224.0.0.1")
		}
		v := resource.IPVSServer{Service: s.ServiceKey, Address: netip.AddrPortFrom(address, 80), Forward: resource.ForwardNAT, Weight: i}
		servers = append(servers, reconcile.Change{Action: reconcile.Create, ID: v.ID(), After: v})
	}
	err = reconcile.Plan{Changes: servers}.Apply(t.Context(), e.hs, nil)
	if ids := culprits(err); len(ids) != 1 || ids[0] != servers[299].ID || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Apply = %v, want one error of %s", err, servers[299].ID)
	}
	live = reconciletest.Observe(t, e.hs...)
	if len(live.Owned) != 999+299 && len(live.Owned) != 999+999 || e.ledger.Has(servers[299].ID) {
		t.Errorf("%d objects, want those before the failure at least", len(live.Owned))
	}
	reconciletest.Apply(t, e.hs, resource.Set{})
	if live := reconciletest.Observe(t, e.hs...); len(live.Owned)+len(live.Foreign) != 0 {
		t.Errorf("live = %v, want nothing", live)
	}
}

func batchMeanwhile(t *testing.T, e env) {
	cs := creations(3)
	equal, differs := cs[0].After.(resource.IPVSService), cs[1].After.(resource.IPVSService)
	differs.Scheduler = "lc"
	e.create(t, equal, differs)
	err := e.applyAll(t, 0, cs)
	if ids := culprits(err); len(ids) != 1 || ids[0] != differs.ID() {
		t.Errorf("ApplyAll = %v, want one error of %s", err, differs.ID())
	}
	live := reconciletest.Observe(t, e.hs...)
	if len(live.Owned) != 2 || live.Foreign[differs.ID()] != any(differs) {
		t.Errorf("live = %+v, want two that are ours and %+v of somebody else", live, differs)
	}
	rr := cs[1].After.(resource.IPVSService)
	adopt := []reconcile.Change{
		{Action: reconcile.Adopt, ID: rr.ID(), After: rr},
		{Action: reconcile.Adopt, ID: equal.ID(), After: equal},
	}
	if ids := culprits(e.applyAll(t, 0, adopt)); len(ids) != 1 || ids[0] != rr.ID() || e.ledger.Has(rr.ID()) {
		t.Errorf("ApplyAll of adoptions names %v, want %s alone", ids, rr.ID())
	}
	v := resource.IPVSServer{Service: rr.ServiceKey, Address: rs1.Address, Forward: resource.ForwardDR}
	err = e.applyAll(t, 1, []reconcile.Change{{Action: reconcile.Create, ID: v.ID(), After: v}})
	if err == nil || !strings.Contains(err.Error(), "not ours") {
		t.Errorf("ApplyAll(%s) = %v, want an error: the service is not ours", v.ID(), err)
	}
}

func batchOrder(t *testing.T, e env) {
	reconciletest.Apply(t, e.hs, reconciletest.Set(web))
	cs := creations(2)
	bad := cs[1].After.(resource.IPVSService)
	bad.Scheduler = "nosuch"
	cs[1].After = bad
	cs = append(cs, reconcile.Change{Action: reconcile.Delete, ID: web.ID(), Before: web})
	if err := e.applyAll(t, 0, cs); err == nil {
		t.Error("ApplyAll = nil, want an error")
	}
	if live := reconciletest.Observe(t, e.hs...); live.Owned[web.ID()] == nil || len(live.Owned) != 2 {
		t.Errorf("owned = %v, want %s and %s", live.Owned, web.ID(), cs[0].ID)
	}
}

func failedTakeOver(t *testing.T, e env) {
	e.create(t, web)
	bad := web
	bad.Scheduler = "nosuch"
	update := reconcile.Change{Action: reconcile.Update, ID: web.ID(), Before: web, After: bad}
	if err := e.hs[0].Apply(t.Context(), update); err == nil || e.ledger.Has(web.ID()) {
		t.Errorf("Apply = %v, recorded = %v, want an error and no record", err, e.ledger.Has(web.ID()))
	}
}

func interrupted(t *testing.T, e env) {
	want := reconciletest.Set(web, rs1, rs2)
	reconciletest.Apply(t, e.hs, want)
	e.fake.interrupt = 3
	if live := reconciletest.Observe(t, e.hs...); len(live.Owned) != 3 {
		t.Errorf("owned = %v, want three", live.Owned)
	}
	e.fake.interrupt = 1000
	if _, err := e.hs[0].Observe(t.Context()); !errors.Is(err, errInterrupted) {
		t.Errorf("Observe = %v, want %v", err, errInterrupted)
	}
	e.fake.interrupt = 0
	if plan := reconciletest.Plan(t, e.hs, want); !plan.Empty() {
		t.Errorf("plan = %+v, want nothing", plan)
	}
}

// lacking removes a service for the time of one dump, as a dump may skip one.
func lacking(t *testing.T, e env) {
	want := reconciletest.Set(web, rs1)
	reconciletest.Apply(t, e.hs, want)
	list := e.fake.list
	e.fake.list = nil
	e.fake.before = func() { e.fake.before = func() { e.fake.list = list } }
	if plan := reconciletest.Plan(t, e.hs, want); !plan.Empty() {
		t.Errorf("plan = %+v, want nothing", plan)
	}
}

func lost(t *testing.T, e env) {
	cs := creations(10)
	theirs := cs[4].After.(resource.IPVSService)
	theirs.Scheduler = "lc"
	e.create(t, theirs)
	e.fake.lose = 1
	if err := e.applyAll(t, 0, cs); !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("ApplyAll = %v, want ENOBUFS", err)
	}
	if n := e.ledger.Count(resource.KindIPVSService); n != 0 {
		t.Errorf("%d records of what may be anybody's, want none", n)
	}
	// As reconcile.Plan goes on: one by one.
	err := reconcile.Plan{Changes: cs}.Apply(t.Context(), e.hs, nil)
	if ids := culprits(err); len(ids) != 1 || ids[0] != theirs.ID() {
		t.Errorf("Apply = %v, want one error of %s", err, theirs.ID())
	}
	if live := reconciletest.Observe(t, e.hs...); len(live.Owned) != 9 || live.Foreign[theirs.ID()] != any(theirs) {
		t.Errorf("live = %+v, want nine that are ours", live)
	}
}

func reloaded(t *testing.T, e env) {
	want := reconciletest.Set(web, rs1, daemon("master", 7))
	reconciletest.Apply(t, e.hs, want)
	e.fake.reload(31)
	if plan := reconciletest.Apply(t, e.hs, want); plan.Count(reconcile.Create) != 3 {
		t.Errorf("plan = %+v, want three creations", plan)
	}
	e.fake.reload(32)
	for i, v := range []interface{ ID() resource.ID }{web, rs1} { // as changes: with no look before
		err := e.hs[i].Apply(t.Context(), reconcile.Change{Action: reconcile.Create, ID: v.ID(), After: v})
		if err != nil && i == 1 {
			t.Errorf("Apply(%s) = %v, want nil", v.ID(), err)
		}
		if i == 0 && err != nil { // the error ended the connection
			reconciletest.Apply(t, e.hs, reconciletest.Set(web))
		}
	}
}

func fewSends(t *testing.T, e env) {
	cs := creations(1000)
	e.fake.sends, e.fake.messages = 0, 0
	if err := e.applyAll(t, 0, cs); err != nil {
		t.Fatal(err)
	}
	if e.fake.sends > 6 || e.fake.messages != 1000 {
		t.Errorf("%d messages in %d sends, want 1000 in at most 7", e.fake.messages, e.fake.sends)
	}
	want := resource.Set{}
	for _, c := range cs {
		want[c.ID] = c.After
	}
	plan := reconciletest.Plan(t, e.hs, want)
	if !plan.Empty() {
		t.Fatalf("plan = %+v, want nothing", plan)
	}
	s := cs[500].After.(resource.IPVSService)
	s.Scheduler = "wrr"
	want[s.ID()] = s
	plan = reconciletest.Plan(t, e.hs, want)
	e.fake.messages = 0
	if err := plan.Apply(t.Context(), e.hs, nil); err != nil || e.fake.messages != 1 {
		t.Errorf("one change is %d messages (%v), want 1", e.fake.messages, err)
	}
	e.fake.sends = 0
	reconciletest.Apply(t, e.hs, resource.Set{})
	if len(e.fake.list) != 0 || e.ledger.Count(resource.KindIPVSService) != 0 {
		t.Errorf("%d services and %d records, want none", len(e.fake.list), e.ledger.Count(resource.KindIPVSService))
	}
}

func connections(t *testing.T, e env) {
	dns := service("udp 192.0.2.1:53", "rr")
	once := service("sctp 192.0.2.1:53", "rr")
	once.OnePacket = true
	mark := resource.IPVSService{ServiceKey: resource.ServiceKey{Mark: 3, Family: resource.IPv4}, Scheduler: "rr"}
	set := resource.Set{}
	for _, s := range []resource.IPVSService{web, dns, once, mark} {
		v := server(s, "10.0.1.21:53", resource.ForwardNAT, 1)
		idle := server(s, "10.0.1.22:53", resource.ForwardNAT, 1)
		set[s.ID()], set[v.ID()], set[idle.ID()] = s, v, idle
	}
	reconciletest.Apply(t, e.hs, set)
	for _, s := range e.fake.list {
		for i := range s.servers {
			if s.servers[i].Address == netip.MustParseAddr("10.0.1.21") {
				s.servers[i].ActiveConnections, s.servers[i].InactiveConnections = 2, 3
			}
		}
	}
	live := reconciletest.Observe(t, e.hs...)
	for s, want := range map[resource.IPVSService]int{web: 2, dns: 5, once: 5, mark: 2} {
		id := server(s, "10.0.1.21:53", resource.ForwardNAT, 1).ID()
		if live.Connections[id] != want {
			t.Errorf("connections of %s = %d, want %d", id, live.Connections[id], want)
		}
	}
	if len(live.Connections) != 4 {
		t.Errorf("connections = %v, want four", live.Connections)
	}
}
