package ipvs

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/cloudflare/ipvs"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func conformance(t *testing.T, e env) {
	other := service("tcp 203.0.113.1:80", "rr")
	e.create(t, other)
	dns := service("udp 192.0.2.1:53", "rr")
	v6 := service("tcp [2001:db8::1]:443", "wlc")
	reweighted := rs1
	reweighted.Weight = 0
	rr := web
	rr.Scheduler = "rr"
	reconciletest.TestAll(t, e.hs,
		reconciletest.Set(web),
		reconciletest.Set(web, rs1, rs2),
		reconciletest.Set(web, reweighted, rs2, self),
		reconciletest.Set(rr, rs1, dns, server(dns, "10.0.1.21:53", resource.ForwardDR, 1)),
		reconciletest.Set(v6, server(v6, "[2001:db8::21]:443", resource.ForwardDR, 7)),
		reconciletest.Set(web, self))
}

func adoption(t *testing.T, e env) {
	e.create(t, web, rs1)
	want := reconciletest.Set(web, rs1, rs2)
	plan := reconciletest.Apply(t, e.hs, want)
	if plan.Count(reconcile.Adopt) != 2 || plan.Count(reconcile.Create) != 1 || len(plan.Changes) != 3 {
		t.Fatalf("plan = %+v, want two adoptions and one creation", plan)
	}
	if second := reconciletest.Plan(t, e.hs, want); !second.Empty() {
		t.Fatalf("second plan = %+v, want nothing", second)
	}
	reconciletest.Apply(t, e.hs, resource.Set{})
	if live := reconciletest.Observe(t, e.hs...); len(live.Owned)+len(live.Foreign) != 0 {
		t.Fatalf("live = %v, want nothing", live)
	}
	e.create(t, web)
	reconciletest.Adopt(t, e.hs, web)
	e.create(t, web, server(web, "127.0.0.1:80", resource.ForwardDR, 1)) // as keepalived makes a sorry server
	if plan := reconciletest.Apply(t, e.hs, reconciletest.Set(web, self)); plan.Count(reconcile.Adopt) != 2 {
		t.Errorf("plan = %+v, want two adoptions", plan)
	}
}

func conflict(t *testing.T, e env) {
	e.create(t, service("tcp 192.0.2.1:80", "rr"), rs1)
	before := reconciletest.Observe(t, e.hs...)
	plan := reconciletest.Apply(t, e.hs, reconciletest.Set(web, rs1, rs2))
	if len(plan.Changes) != 0 || len(plan.Conflicts) != 1 || plan.Conflicts[0].ID != web.ID() {
		t.Errorf("plan = %+v, want one conflict over %s and no change", plan, web.ID())
	}
	create := reconcile.Change{Action: reconcile.Create, ID: rs2.ID(), After: rs2}
	if err := e.hs[1].Apply(t.Context(), create); err == nil || !strings.Contains(err.Error(), "not ours") {
		t.Errorf("Apply(%s) = %v, want an error: the service is not ours", rs2.ID(), err)
	}
	after := reconciletest.Observe(t, e.hs...)
	if len(after.Owned) != 0 || len(after.Foreign) != len(before.Foreign) {
		t.Errorf("live = %v, want %v", after, before)
	}
}

func persistent(t *testing.T, e env) {
	s := foreign(t, web)
	s.Flags, s.Timeout = ipvs.ServicePersistent, 300
	if err := e.client.CreateService(s); err != nil {
		t.Fatal(err)
	}
	reconciletest.Conflict(t, e.hs, web)
	reconciletest.TakeOver(t, e.hs, web)
}

func strange(t *testing.T, e env) {
	mark := ipvs.Service{FWMark: 7, Family: ipvs.INET, Scheduler: "rr", Netmask: foreign(t, web).Netmask}
	masq := service("tcp 203.0.113.2:80", "rr")
	e.create(t, masq)
	for _, err := range []error{
		e.client.CreateService(mark),
		e.client.CreateDestination(mark, ipvs.Destination{Address: netip.MustParseAddr("10.0.1.9"), Port: 80, Family: ipvs.INET, FwdMethod: ipvs.DirectRoute, Weight: 1}),
		e.client.CreateDestination(kernelKey(masq.ServiceKey).Service, ipvs.Destination{Address: netip.MustParseAddr("10.0.1.9"), Port: 8080, Family: ipvs.INET, FwdMethod: ipvs.Masquerade, Weight: 1, UpperThreshold: 9, LowerThreshold: 3}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	reconciletest.TestAll(t, e.hs, reconciletest.Set(web, rs1))
	list, err := e.client.Services()
	if err != nil || len(list) != 2 {
		t.Errorf("services = %v, %v, want the two of somebody else", list, err)
	}
	reconciletest.Apply(t, e.hs, reconciletest.Set(web))
	reconciletest.Conflict(t, e.hs[1:], server(masq, "10.0.1.9:8080", resource.ForwardDR, 1))
}

func foreignServer(t *testing.T, e env) {
	reconciletest.Apply(t, e.hs, reconciletest.Set(web, rs1))
	e.create(t, rs2)
	live := reconciletest.Observe(t, e.hs...)
	if live.Foreign[rs2.ID()] != any(rs2) {
		t.Errorf("foreign = %v, want %s in it", live.Foreign, rs2.ID())
	}
	if plan := reconciletest.Plan(t, e.hs, reconciletest.Set(web, rs1)); !plan.Empty() {
		t.Errorf("plan = %+v, want nothing", plan)
	}
	heavy := rs2
	heavy.Weight = 9
	want := reconciletest.Set(web, rs1, heavy)
	if plan := reconciletest.Plan(t, e.hs, want); len(plan.Conflicts) != 1 {
		t.Errorf("plan = %+v, want one conflict", plan)
	}
	plan := reconcile.Diff(reconciletest.Observe(t, e.hs...), reconcile.Target{
		Set: want, FactsKnown: true, Adopt: map[resource.ID]bool{rs2.ID(): true},
	})
	if err := plan.Apply(t.Context(), e.hs, nil); err != nil {
		t.Fatal(err)
	}
	if live := reconciletest.Observe(t, e.hs...); live.Owned[rs2.ID()] != any(heavy) {
		t.Errorf("owned = %v, want %s with weight 9", live.Owned, rs2.ID())
	}
}

func weight(t *testing.T, e env) {
	want := reconciletest.Set(web, rs1, rs2)
	reconciletest.Apply(t, e.hs, want)
	d, err := kernelServer(rs1)
	if err != nil {
		t.Fatal(err)
	}
	d.Weight = 50
	if err := e.client.UpdateDestination(kernelKey(web.ServiceKey).Service, d); err != nil {
		t.Fatal(err)
	}
	plan := reconciletest.Apply(t, e.hs, want)
	if len(plan.Changes) != 1 || plan.Changes[0].Action != reconcile.Update || plan.Changes[0].ID != rs1.ID() {
		t.Errorf("plan = %+v, want one update of %s", plan, rs1.ID())
	}
	if live := reconciletest.Observe(t, e.hs...); live.Owned[rs1.ID()] != any(rs1) {
		t.Errorf("live = %v, want %v", live.Owned[rs1.ID()], rs1)
	}
}

func flushed(t *testing.T, e env) {
	want := reconciletest.Set(web, rs1, rs2)
	reconciletest.Apply(t, e.hs, want)
	if err := e.client.RemoveService(kernelKey(web.ServiceKey).Service); err != nil {
		t.Fatal(err)
	}
	if plan := reconciletest.Apply(t, e.hs, want); plan.Count(reconcile.Create) != 3 {
		t.Errorf("plan = %+v, want three creations", plan)
	}
	if plan := reconciletest.Plan(t, e.hs, want); !plan.Empty() {
		t.Errorf("second plan = %+v, want nothing", plan)
	}
}

func staleRecord(t *testing.T, e env) {
	if err := errors.Join(e.ledger.Record(web.ID(), ""), e.ledger.Record(rs1.ID(), ""), e.ledger.Record(rs2.ID(), "")); err != nil {
		t.Fatal(err)
	}
	reconciletest.Apply(t, e.hs, reconciletest.Set(web, rs1))
	e.create(t, rs2)
	if live := reconciletest.Observe(t, e.hs...); live.Foreign[rs2.ID()] != any(rs2) {
		t.Errorf("foreign = %v, want %s in it: the record was of an earlier one", live.Foreign, rs2.ID())
	}
	reconciletest.Apply(t, e.hs, resource.Set{})
	if e.ledger.Has(rs2.ID()) || e.ledger.Has(web.ID()) {
		t.Error("the ledger still lists what is gone")
	}
}

// successor lets an agent die between its record and the object, and takes a server of
// ours away by hand; then somebody else makes both.
func successor(t *testing.T, e env) {
	other := service("tcp 192.0.2.9:80", "rr")
	reconciletest.Apply(t, e.hs, reconciletest.Set(web, rs1))
	if err := e.ledger.Record(other.ID(), ""); err != nil {
		t.Fatal(err)
	}
	d, err := kernelServer(rs1)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.client.RemoveDestination(kernelKey(web.ServiceKey).Service, d); err != nil {
		t.Fatal(err)
	}
	reconciletest.Observe(t, e.hs...)
	e.create(t, other, rs1)
	reconciletest.Apply(t, e.hs, reconciletest.Set(web))
	live := reconciletest.Observe(t, e.hs...)
	for _, id := range []resource.ID{other.ID(), rs1.ID()} {
		if live.Foreign[id] == nil {
			t.Errorf("%s was taken for ours and deleted", id)
		}
	}
}

func meanwhile(t *testing.T, e env) {
	rr := service("tcp 192.0.2.1:80", "rr")
	e.create(t, rr)
	create := reconcile.Change{Action: reconcile.Create, ID: web.ID(), After: web}
	if err := e.hs[0].Apply(t.Context(), create); err == nil || e.ledger.Has(web.ID()) {
		t.Errorf("Apply = %v, recorded = %v, want an error and no record", err, e.ledger.Has(web.ID()))
	}
	create.After = rr
	if err := e.hs[0].Apply(t.Context(), create); err != nil || !e.ledger.Has(rr.ID()) {
		t.Errorf("Apply of an equal one = %v, want nil and a record", err)
	}
	e.create(t, rs1)
	heavy := rs1
	heavy.Weight = 9
	create = reconcile.Change{Action: reconcile.Create, ID: rs1.ID(), After: heavy}
	if err := e.hs[1].Apply(t.Context(), create); err == nil || e.ledger.Has(rs1.ID()) {
		t.Errorf("Apply = %v, recorded = %v, want an error and no record", err, e.ledger.Has(rs1.ID()))
	}
}
