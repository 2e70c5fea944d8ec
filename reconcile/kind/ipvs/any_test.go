package ipvs

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/cloudflare/ipvs"
	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// anyState goes from whatever somebody made of the table to whatever a cluster file may ask
// for, in one plan, which changes nothing when it is applied again.
func anyState(t *testing.T, e env) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 60 {
		for range r.IntN(6) {
			e.vandalise(t, r)
		}
		want := anyTable(r)
		plan := reconciletest.Apply(t, e.hs, want)
		reached := reconciletest.Observe(t, e.hs...)
		for id, v := range want {
			if c := conflictOf(plan, id); !c && reached.Owned[id] != v {
				t.Fatalf("round %d: %s is %+v, want %+v; plan %+v", round, id, reached.Owned[id], v, plan)
			}
		}
		for id := range reached.Owned {
			if want[id] == nil {
				t.Fatalf("round %d: %s is still there; plan %+v", round, id, plan)
			}
		}
		if second := reconciletest.Plan(t, e.hs, want); len(second.Changes) > 0 {
			t.Fatalf("round %d: second plan = %+v, want no change", round, second.Changes)
		}
		if err := plan.Apply(t.Context(), e.hs, nil); err != nil {
			t.Fatalf("round %d, applied twice: %v", round, err)
		}
		if d := cmp.Diff(reached, reconciletest.Observe(t, e.hs...), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
			t.Fatalf("round %d, applied twice (-once +twice):\n%s", round, d)
		}
	}
}

// conflictOf reports whether the plan leaves id as it is, or the service that it is part of.
func conflictOf(p reconcile.Plan, id resource.ID) bool {
	for _, c := range p.Conflicts {
		if s, ok := c.Want.(resource.IPVSService); c.ID == id || ok && len(id.Name) > len(c.ID.Name) && id.Name[:len(s.String())] == s.String() {
			return true
		}
	}
	return false
}

var (
	anyServices   = []string{"tcp 192.0.2.1:80", "udp 192.0.2.1:80", "tcp [2001:db8::1]:80"}
	anySchedulers = []string{"rr", "wrr", "lc", "wlc", "sh", "mh"}
)

func anyServer(r *rand.Rand, s resource.IPVSService) resource.IPVSServer {
	address := []string{"10.0.1.21:80", "10.0.1.22:80", "127.0.0.1:80"}
	if s.Address.Addr().Is6() {
		address = []string{"[2001:db8::21]:80", "[2001:db8::22]:80", "[::1]:80"}
	}
	i := r.IntN(3)
	f := resource.ForwardDR
	if i == 2 {
		f = resource.ForwardLocal
	}
	return server(s, address[i], f, r.IntN(4))
}

func anyTable(r *rand.Rand) resource.Set {
	out := resource.Set{}
	for _, key := range anyServices {
		if r.IntN(3) == 0 {
			continue
		}
		s := service(key, anySchedulers[r.IntN(len(anySchedulers))])
		out[s.ID()] = s
		for range r.IntN(4) {
			v := anyServer(r, s)
			out[v.ID()] = v
		}
	}
	return out
}

// vandalise does one thing to the table that a person with ipvsadm could do.
func (e env) vandalise(t *testing.T, r *rand.Rand) {
	t.Helper()
	s := service(anyServices[r.IntN(len(anyServices))], anySchedulers[r.IntN(len(anySchedulers))])
	k := foreign(t, s)
	if r.IntN(2) == 0 {
		k.Flags, k.Timeout = ipvs.ServicePersistent, 60
	}
	d, err := kernelServer(anyServer(r, s))
	if err != nil {
		t.Fatal(err)
	}
	if r.IntN(2) == 0 {
		d.FwdMethod = ipvs.Masquerade
	}
	if r.IntN(2) == 0 {
		d.UpperThreshold, d.LowerThreshold = 9, 3
	}
	switch r.IntN(6) {
	case 0:
		err = e.client.CreateService(k)
	case 1:
		err = e.client.UpdateService(k)
	case 2:
		err = e.client.RemoveService(k)
	case 3:
		err = e.client.CreateDestination(k, d)
	case 4:
		err = e.client.UpdateDestination(k, d)
	case 5:
		err = e.client.RemoveDestination(k, d)
	}
	if err != nil && !exists(err) && !gone(err) && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
