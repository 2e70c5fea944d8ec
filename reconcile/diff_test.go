package reconcile_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
	"pgregory.net/rapid"
)

// anySet draws a set from a small universe, so that two sets often meet.
func anySet(t *rapid.T, label string) resource.Set {
	s := resource.Set{}
	for range rapid.IntRange(0, 12).Draw(t, label) {
		v := anyResource(t)
		s[v.ID()] = v
	}
	return s
}

type identified interface{ ID() resource.ID }

func anyResource(t *rapid.T) identified {
	n := rapid.IntRange(1, 3).Draw(t, "which")
	value := rapid.IntRange(0, 2).Draw(t, "value")
	key := resource.ServiceKey{Protocol: "tcp", Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 80)}
	switch rapid.SampledFrom(resource.Order).Draw(t, "kind") {
	case resource.KindSysctl:
		return resource.Sysctl{Key: fmt.Sprintf("net/%d", n), Value: fmt.Sprint(value)}
	case resource.KindAddress:
		return resource.Address{Prefix: netip.PrefixFrom(key.Address.Addr(), 24+value), Device: "lo"}
	case resource.KindIPVSService:
		return resource.IPVSService{ServiceKey: key, Scheduler: fmt.Sprint("s", value)}
	case resource.KindIPVSServer:
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 3).Draw(t, "server"))}), 80)
		return resource.IPVSServer{Service: key, Address: to, Forward: resource.ForwardDR, Weight: value}
	case resource.KindTunnel:
		return resource.Tunnel{Device: "tunl0", Type: "gue", Port: uint16(n)}
	case resource.KindIPVSTimeouts:
		return resource.IPVSTimeouts{TCP: resource.Duration(value)}
	case resource.KindIPVSSync:
		return resource.IPVSSync{Role: fmt.Sprint("role", n), SyncID: uint8(value)}
	case resource.KindVRRPTracker:
		return resource.VRRPTracker{Type: "plugin", Target: fmt.Sprint(n), Hold: resource.Duration(value)}
	}
	return resource.VRRPInstance{Interface: "eth0", VRID: uint8(n), Version: 3, Priority: uint8(100 + value)}
}

func target(s resource.Set) reconcile.Target { return reconcile.Target{Set: s, FactsKnown: true} }

// TestConverges walks from any state to any state beside any foreign objects: one Apply is
// enough, nothing foreign is touched, and what is ours at the end is what was wanted.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHost()
		h.owned = anySet(t, "owned")
		h.foreign = anySet(t, "foreign")
		maps.DeleteFunc(h.foreign, func(id resource.ID, _ any) bool { _, ours := h.owned[id]; return ours })
		for range 3 {
			before := maps.Clone(h.foreign)
			want := anySet(t, "want")
			converge(t, h, target(want))
			for id, v := range before {
				if h.foreign[id] != v && h.owned[id] != v {
					t.Fatalf("foreign %s was changed", id)
				}
			}
			for id, v := range h.owned {
				if want[id] != v {
					t.Fatalf("owned %s = %v, want %v", id, v, want[id])
				}
			}
		}
	})
}

// TestOrder is make before break: deletions last and backwards, the rest in resource.Order.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := reconcile.Diff(reconcile.Live{Owned: anySet(t, "owned")}, target(anySet(t, "want")))
		rank := func(c reconcile.Change) int {
			r := slices.Index(resource.Order, c.ID.Kind)
			if c.Action == reconcile.Delete {
				return 2*len(resource.Order) - r
			}
			return r
		}
		if !slices.IsSortedFunc(p.Changes, func(a, b reconcile.Change) int { return rank(a) - rank(b) }) {
			t.Fatalf("changes are out of order: %v", p.Changes)
		}
	})
}

// TestSameInputsSameBytes builds equal inputs in many insertion orders.
func TestSameInputsSameBytes(t *testing.T) {
	owned, foreign, want := resource.Set{}, resource.Set{}, resource.Set{}
	for i := range 60 {
		v := resource.Sysctl{Key: fmt.Sprint("net/", i), Value: "1"}
		other := v
		other.Value = "0"
		for k, s := range []resource.Set{owned, foreign, want} {
			if (i>>k)&1 == 1 {
				s[v.ID()] = v
			}
			if i%7 == k {
				s[v.ID()] = other
			}
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	shuffled := func(s resource.Set) resource.Set {
		ids := slices.SortedFunc(maps.Keys(s), func(a, b resource.ID) int { return cmpString(a.Name, b.Name) })
		rng.Shuffle(len(ids), func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
		out := resource.Set{}
		for _, id := range ids {
			out[id] = s[id]
		}
		return out
	}
	var first []byte
	for range 50 {
		p := reconcile.Diff(reconcile.Live{Owned: shuffled(owned), Foreign: shuffled(foreign)}, target(shuffled(want)))
		var b bytes.Buffer
		if err := planfile.New(planfile.Meta{Node: "n"}, p, 1, nil).Encode(&b); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b.Bytes()
		}
		if !bytes.Equal(first, b.Bytes()) {
			t.Fatal("equal inputs gave different plans")
		}
	}
}

func cmpString(a, b string) int { return bytes.Compare([]byte(a), []byte(b)) }

func TestAdoptAndConflict(t *testing.T) {
	v := resource.Sysctl{Key: "net/x", Value: "1"}
	other := resource.Sysctl{Key: "net/x", Value: "2"}
	set := func(v resource.Sysctl) resource.Set { return resource.Set{v.ID(): v} }
	p := reconcile.Diff(reconcile.Live{Foreign: set(v)}, target(set(v)))
	if len(p.Changes) != 1 || p.Changes[0].Action != reconcile.Adopt || len(p.Conflicts) != 0 {
		t.Errorf("an equal foreign object gives %+v, want an adoption", p)
	}
	p = reconcile.Diff(reconcile.Live{Foreign: set(other)}, target(set(v)))
	if len(p.Changes) != 0 || len(p.Conflicts) != 1 || p.Conflicts[0].Live != other || p.Conflicts[0].Want != v {
		t.Errorf("a different foreign object gives %+v, want a conflict", p)
	}
	if p.Empty() {
		t.Error("a plan with a conflict is empty")
	}
	p = reconcile.Diff(reconcile.Live{Foreign: set(v)}, target(nil))
	if !p.Empty() {
		t.Errorf("an unwanted foreign object gives %+v, want nothing", p)
	}
}

func TestAForeignServiceKeepsItsServers(t *testing.T) {
	d := desired(t, lvsDR(), "ka1", facts(reconcile.Up, reconcile.Up))
	theirs := resource.IPVSService{ServiceKey: resource.ServiceKey{Protocol: "tcp", Address: netip.MustParseAddrPort("172.25.254.100:80")}, Scheduler: "rr"}
	p := reconcile.Diff(reconcile.Live{Foreign: resource.Set{theirs.ID(): theirs}}, d)
	for _, c := range p.Changes {
		if c.ID.Kind == resource.KindIPVSServer {
			t.Errorf("plan has %s %s: a server put into a service that is not ours", c.Action, c.ID)
		}
	}
	if len(p.Conflicts) != 1 {
		t.Errorf("conflicts = %v, want the service", p.Conflicts)
	}
}

func TestUnobservedKindsHoldDeletionsBack(t *testing.T) {
	h := newHost()
	c := lvsDR()
	c.Pools[0].OnFail = "remove"
	converge(t, h, desired(t, c, "ka1", facts(reconcile.Up, reconcile.Up)))
	live := h.live()
	live.Unobserved = []resource.Kind{resource.KindVRRPInstance, resource.KindVRRPTracker}
	maps.DeleteFunc(live.Owned, func(id resource.ID, _ any) bool { return slices.Contains(live.Unobserved, id.Kind) })

	p := reconcile.Diff(live, desired(t, c, "ka1", facts(reconcile.Down, reconcile.Up)))
	if len(p.Changes) != 1 || p.Changes[0].Action != reconcile.Delete || p.Changes[0].ID.Kind != resource.KindIPVSServer {
		t.Errorf("plan = %+v, want only the dead server to leave the table", p.Changes)
	}
	c.VirtualServers = nil
	if p := reconcile.Diff(live, desired(t, c, "ka1", nil)); !p.Empty() {
		t.Errorf("plan = %+v: the table goes while the address may still be here", p.Changes)
	}
	c.Instances = nil
	if p := reconcile.Diff(live, desired(t, c, "ka1", nil)); p.Count(reconcile.Delete) != 3 {
		t.Errorf("plan = %+v, want the table to go where no instance is wanted", p.Changes)
	}
}

func TestRenamesAreNoDifference(t *testing.T) {
	for _, node := range []string{"ka1", "ka2", "rs1"} {
		h := newHost()
		converge(t, h, desired(t, lvsDR(), node, facts(reconcile.Up, reconcile.Down)))
		c := lvsDR()
		c.Trackers[0].Name, c.Instances[0].Gates = "lan", []string{"lan"}
		c.Instances[0].Name, c.VirtualServers[0].On = "edge", "edge"
		c.VirtualServers[0].Name, c.VirtualServers[0].Pool = "www", "www"
		c.Pools[0].Name = "www"
		c.Pools[0].Servers[0].Name = "first"
		f := &reconcile.Facts{Servers: reconcile.SeedVerdicts(c, h.owned)}
		if p := reconcile.Diff(h.live(), desired(t, c, node, f)); !p.Empty() {
			t.Errorf("%s: after renames the plan has %+v, want nothing", node, p)
		}
	}
}
