package ipvs

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// largeTable has n services with five servers each.
func largeTable(n int) resource.Set {
	out := resource.Set{}
	for i := range n {
		s := service(fmt.Sprintf("tcp 198.18.%d.%d:80", i/250, 1+i%250), "wrr")
		out[s.ID()] = s
		for j := range 5 {
			v := server(s, fmt.Sprintf("10.%d.%d.%d:80", j, i/250, 1+i%250), resource.ForwardNAT, 1+j)
			out[v.ID()] = v
		}
	}
	return out
}

// countedSocket counts the messages that one socket sends.
type countedSocket struct {
	socket
	messages *int
}

func (s countedSocket) Send(b []byte) error {
	for rest := b; len(rest) > 0; *s.messages++ {
		rest = rest[binary.NativeEndian.Uint32(rest):]
	}
	return s.socket.Send(b)
}

func large(t *testing.T, e env) {
	want := largeTable(2000)
	step := func(what string, f func()) {
		began := time.Now()
		f()
		t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
	}
	var plan reconcile.Plan
	step("observe nothing and plan", func() { plan = reconciletest.Plan(t, e.hs, want) })
	step("create", func() {
		if err := plan.Apply(t.Context(), e.hs, nil); err != nil {
			t.Fatal(err)
		}
	})
	step("observe", func() {
		if live := reconciletest.Observe(t, e.hs...); len(live.Owned) != len(want) {
			t.Fatalf("%d objects, want %d", len(live.Owned), len(want))
		}
	})
	if plan := reconciletest.Plan(t, e.hs, want); !plan.Empty() {
		t.Fatalf("second plan has %d changes, want none", len(plan.Changes))
	}
	messages := 0
	dial := func() (socket, uint16, error) {
		s, family, err := dialKernel()
		return countedSocket{s, &messages}, family, err
	}
	counted := []reconcile.Handler{newServices(dial, e.ledger, "/"), newServers(dial, e.ledger)}
	v := server(service("tcp 198.18.3.7:80", "wrr"), "10.2.3.7:80", resource.ForwardNAT, 77)
	want[v.ID()] = v
	plan = reconciletest.Plan(t, counted, want)
	messages = 0
	if err := plan.Apply(t.Context(), counted, nil); err != nil || messages != 1 {
		t.Errorf("one weight is %d messages (%v), want 1", messages, err)
	}
	if live := reconciletest.Observe(t, e.hs...); live.Owned[v.ID()] != any(v) {
		t.Errorf("owned %s = %+v, want %+v", v.ID(), live.Owned[v.ID()], v)
	}
	step("delete", func() { reconciletest.Apply(t, e.hs, resource.Set{}) })
	if live := reconciletest.Observe(t, e.hs...); len(live.Owned)+len(live.Foreign) != 0 {
		t.Errorf("%d objects left, want none", len(live.Owned)+len(live.Foreign))
	}
}
