package reconcile_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
	"pgregory.net/rapid"
)

// anyFarm draws a cluster of four pools, one address of which they have in common, and up to
// five virtual servers that share them as pools and as sorry pools.
func anyFarm(t *rapid.T) *spec.Cluster {
	c := anyPoolCluster(t)
	base := c.Pools[0]
	c.Pools = nil
	for k := range 4 {
		p := base
		p.Name, p.Origin.Address = fmt.Sprint("p", k), fmt.Sprint("pool.p", k)
		p.OnFail = rapid.SampledFrom([]string{"weight_zero", "remove"}).Draw(t, "on_fail")
		p.PanicPercent = rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "panic")
		p.Servers = slices.Clone(p.Servers)
		for i := range p.Servers {
			s := &p.Servers[i]
			s.Address = netip.AddrFrom4([4]byte{10, 0, byte(k * i), byte(1 + i)})
			s.Weight = rapid.IntRange(0, 3).Draw(t, "weight")
			s.Draining = rapid.IntRange(0, 5).Draw(t, "draining") == 0
		}
		c.Pools = append(c.Pools, p)
	}
	vs := c.VirtualServers[0]
	c.VirtualServers = nil
	pool := rapid.SampledFrom([]string{"p0", "p1", "p2", "p3"})
	for k := range rapid.IntRange(1, 5).Draw(t, "virtual servers") {
		v := vs
		v.Name, v.Origin.Address = fmt.Sprint("v", k), fmt.Sprint("virtual_server.v", k)
		v.Services = []spec.Service{{Protocol: "tcp", Address: vs.Services[0].Address, Port: uint16(80 + k)}}
		v.Pool = pool.Draw(t, "pool")
		v.Sorry = rapid.SampledFrom([]string{"", "p0", "p3"}).Draw(t, "sorry")
		v.Quorum, v.Hysteresis = rapid.IntRange(0, 4).Draw(t, "quorum"), rapid.IntRange(0, 1).Draw(t, "hysteresis")
		v.Program = rapid.SampledFrom([]string{"", "master"}).Draw(t, "program")
		v.Adopt = rapid.Bool().Draw(t, "adopt")
		v.Forward = rapid.SampledFrom([]string{"dr", "nat"}).Draw(t, "forward")
		c.VirtualServers = append(c.VirtualServers, v)
	}
	return c
}

// redraw gives the servers of a pool other facts.
func redraw(t *rapid.T, p spec.Pool, f *reconcile.Facts) {
	for _, s := range p.Servers {
		ref := reconcile.NewServerRef(p.Name, s.Name)
		f.Servers[ref] = rapid.SampledFrom([]reconcile.Verdict{reconcile.Up, reconcile.Down, reconcile.Degraded, reconcile.Unknown}).Draw(t, "verdict")
		for what, m := range map[string]map[reconcile.ServerRef]int{"weight": f.Weights, "share": f.Shares} {
			delete(m, ref)
			if n := rapid.IntRange(0, 9).Draw(t, what); n > 4 {
				m[ref] = n
			}
		}
		delete(f.Drains, ref)
		if rapid.IntRange(0, 5).Draw(t, "drain") == 0 {
			f.Drains[ref] = time.Minute
		}
	}
}

// disturbed is what set left in a table that others have a hand in.
func disturbed(t *rapid.T, set resource.Set) reconcile.Live {
	live := reconcile.Live{Owned: maps.Clone(set), Foreign: resource.Set{}}
	ids := slices.SortedFunc(maps.Keys(set), func(a, b resource.ID) int { return cmpString(a.String(), b.String()) })
	for _, id := range ids {
		s, ok := set[id].(resource.IPVSServer)
		if !ok {
			continue
		}
		switch rapid.IntRange(0, 7).Draw(t, "what became of it") {
		case 0:
			delete(live.Owned, id)
		case 1:
			s.Weight++
			live.Owned[id] = s
		case 2:
			delete(live.Owned, id)
			live.Foreign[id] = s
		case 3:
			delete(live.Owned, id)
			s.Weight++
			live.Foreign[id] = s
		}
	}
	return live
}

// TestAPartIsTheWholeOfItsScope compares the decision on some pools with that on all.
func TestAPartIsTheWholeOfItsScope(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyFarm(t)
		x, err := reconcile.NewIndex(c, "ka1")
		if err != nil {
			t.Fatal(err)
		}
		f := &reconcile.Facts{
			Servers: map[reconcile.ServerRef]reconcile.Verdict{}, Weights: map[reconcile.ServerRef]int{}, Shares: map[reconcile.ServerRef]int{},
			Drains: map[reconcile.ServerRef]time.Duration{}, Drained: map[string]bool{},
			Roles: map[string]string{"eth0/100/ipv4": rapid.SampledFrom([]string{"", "MASTER", "BACKUP"}).Draw(t, "role")},
		}
		for _, p := range c.Pools {
			redraw(t, p, f)
		}
		before := x.Desired(f)
		f.Quorum = before.Quorum
		live := disturbed(t, before.Set)
		var changed []string
		for _, p := range c.Pools {
			if rapid.Bool().Draw(t, "changes") {
				changed = append(changed, p.Name)
				redraw(t, p, f)
			}
		}
		for id := range live.Owned {
			f.Drained[id.Name] = len(id.Name)%2 == 0
		}
		whole, part := x.Desired(f), x.Part(f, changed...)
		got, want := reconcile.Diff(live, part), reconcile.Diff(live, whole)
		want.Changes = slices.DeleteFunc(want.Changes, func(ch reconcile.Change) bool { return !part.Scope.IDs[ch.ID] })
		want.Conflicts = slices.DeleteFunc(want.Conflicts, func(cf reconcile.Conflict) bool { return !part.Scope.IDs[cf.ID] })
		if !slices.Equal(got.Changes, want.Changes) || !slices.Equal(got.Conflicts, want.Conflicts) {
			t.Fatalf("of %v the part has\n%+v, want\n%+v", changed, got, want)
		}
		for id, v := range whole.Set { // and nothing else changed
			if !part.Scope.IDs[id] && before.Set[id] != v {
				t.Fatalf("%s is another one, and out of the scope of %v", id, changed)
			}
		}
		if q := reconcile.Merge(maps.Clone(before.Quorum), part.Quorum, part.Scope); !maps.Equal(q, whole.Quorum) {
			t.Fatalf("quorum = %v, want %v", q, whole.Quorum)
		}
		alarms := x.Alarms(reconcile.Merge(maps.Clone(before.Raised), part.Raised, part.Scope))
		if d := cmp.Diff(whole.Alarms, alarms); d != "" {
			t.Fatalf("alarms (-whole +merged):\n%s", d)
		}
	})
}

// TestAlarmsAreInOrderAndToldOnce has two virtual servers of one pool, and a third before them.
func TestAlarmsAreInOrderAndToldOnce(t *testing.T) {
	c := lvsDR()
	first := c.VirtualServers[0]
	c.VirtualServers = nil
	for _, name := range []string{"b", "c", "a"} {
		vs := first
		vs.Name = name
		c.VirtualServers = append(c.VirtualServers, vs)
	}
	x, err := reconcile.NewIndex(c, "ka1")
	if err != nil {
		t.Fatal(err)
	}
	panics := reconcile.Alarm{Subject: "pool.web", Kind: "panic"}
	lost := func(vs string) reconcile.Alarm { return reconcile.Alarm{Subject: vs, Kind: "no_quorum"} }
	got := x.Alarms(map[string][]reconcile.Alarm{"a": {panics, lost("a")}, "b": {lost("b")}, "c": {panics}})
	if want := []reconcile.Alarm{lost("b"), panics, lost("a")}; !slices.Equal(got, want) {
		t.Errorf("alarms = %v, want %v", got, want)
	}
}

// BenchmarkPart has one weight change in a pool of its own beside many services.
func BenchmarkPart(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		c := lvsDR()
		vs, own := c.VirtualServers[0], c.Pools[0]
		for k := range n - 1 {
			v := vs
			v.Name = fmt.Sprint("v", k)
			v.Services = []spec.Service{{Protocol: "tcp", Address: netip.AddrFrom4([4]byte{10, 96, byte(k >> 8), byte(k)}), Port: 80}}
			c.VirtualServers = append(c.VirtualServers, v)
		}
		own.Name = "own"
		for k := range c.Pools {
			for i := len(c.Pools[k].Servers); i < 5; i++ {
				c.Pools[k].Servers = append(c.Pools[k].Servers, spec.Server{Name: fmt.Sprint("s", i), Address: netip.AddrFrom4([4]byte{10, 97, byte(k), byte(i)}), Weight: 1})
			}
		}
		own.Servers = c.Pools[0].Servers
		c.Pools = append(c.Pools, own)
		c.VirtualServers[0].Pool = "own"
		x, err := reconcile.NewIndex(c, "ka1")
		if err != nil {
			b.Fatal(err)
		}
		f := facts(reconcile.Up, reconcile.Up)
		f.Servers["own/rs2"] = reconcile.Up
		live := reconcile.Live{Owned: x.Desired(f).Set}
		f.Servers["own/rs2"] = reconcile.Down
		for name, decide := range map[string]func() reconcile.Target{
			"whole": func() reconcile.Target { return x.Desired(f) }, "part": func() reconcile.Target { return x.Part(f, "own") },
		} {
			b.Run(fmt.Sprint(n, "/", name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if p := reconcile.Diff(live, decide()); len(p.Changes) == 0 {
						b.Fatal("nothing to do")
					}
				}
			})
		}
	}
}
