package tunnel

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

var anyTunnels = []resource.Tunnel{
	tunl0, sit0, ip6tnl0, gre0, ip6gre0, gue("tunl0", 5555), gue("tunl0", 5556), gue("sit0", 5555), gue("ip6tnl0", 5555),
}

// anyState goes from whatever somebody made of devices and ports to whatever a cluster file
// may ask for, in one plan, and back to nothing.
func anyState(t *testing.T, e env) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	e.prepared(tunl0, sit0, ip6tnl0, gre0, ip6gre0)
	const rounds = 20
	for round := range rounds {
		for range r.IntN(4) {
			e.vandalise(t, r)
		}
		want := resource.Set{}
		for _, v := range anyTunnels {
			if round < rounds-1 && r.IntN(2) == 0 {
				want[v.ID()] = v
			}
		}
		plan := reconciletest.Apply(t, e.hs, want)
		if d := cmp.Diff(want, reconciletest.Observe(t, e.hs...).Owned); d != "" {
			t.Fatalf("round %d: owned (-want +got):\n%s\nplan: %+v", round, d, plan)
		}
		if second := reconciletest.Plan(t, e.hs, want); !second.Empty() {
			t.Fatalf("round %d: second plan = %+v, want nothing", round, second)
		}
	}
	if ids := e.ledger.IDs(resource.KindTunnel); len(ids) != 0 {
		t.Errorf("the ledger still has %v", ids)
	}
}

// vandalise does one thing that a person with ip(8) could do.
func (e env) vandalise(t *testing.T, r *rand.Rand) {
	t.Helper()
	s, err := e.h.host.look()
	if err != nil {
		t.Fatal(err)
	}
	device := anyTunnels[r.IntN(5)].Device
	number := uint16(5555 + r.IntN(2))
	_, open := s.ports[portOf(gue("tunl0", number))]
	switch n := r.IntN(3); {
	case n == 0:
		e.ip(linkUp(device))
	case n == 1:
		e.ip(linkDown(device))
	case open:
		e.ip(closePort(number))
	default:
		e.ip(fouPort{number, "gue"})
	}
}
