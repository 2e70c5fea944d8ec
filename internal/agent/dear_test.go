package agent

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/checker"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// dear gives w a table whose reading takes a second, and lets it find that out.
func (w *world) dear() {
	w.host.mu.Lock()
	w.host.slow = time.Second
	w.host.mu.Unlock()
	after(time.Minute)
}

// lookedAt waits until a look has just ended: the next one is 20 s away.
func (w *world) lookedAt(t *testing.T) {
	t.Helper()
	byHand := resource.IPVSServer{Service: labService, Address: netip.MustParseAddrPort("172.25.254.120:80"), Forward: "dr", Weight: 77}
	w.host.put(byHand)
	for begin := time.Now(); w.host.get(byHand.ID()) == byHand; after(10 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("nobody looks at the table")
		}
	}
}

// farm returns the lab with a second pool, each of which is the other's sorry pool.
func farm(commit string) *revision.Revision {
	r := lab(commit, 100)
	c := r.Cluster
	spare := c.Pools[0]
	spare.Name, spare.PanicPercent, spare.Origin = "spare", 60, spec.Origin{Address: "pool.spare"}
	spare.Servers = []spec.Server{
		{Name: "rs3", Address: netip.MustParseAddr("172.25.254.130"), Port: 80, Weight: 3},
		{Name: "rs1", Address: rs1.Address.Addr(), Port: 80, Weight: 4}, // is in both
	}
	c.Pools[0].OnFail = "remove"
	c.Pools = append(c.Pools, spare)
	for k, pool := range []string{"spare", "web"} {
		vs := c.VirtualServers[0]
		vs.Name, vs.Pool, vs.Origin = fmt.Sprint("vs", k), pool, spec.Origin{Address: fmt.Sprint("virtual_server.vs", k)}
		vs.Services = []spec.Service{{Protocol: "tcp", Address: vs.Services[0].Address, Port: uint16(81 + k)}}
		c.VirtualServers = append(c.VirtualServers, vs)
	}
	c.VirtualServers[0].Sorry, c.VirtualServers[1].Sorry = "spare", "web"
	c.VirtualServers[0].Quorum, c.VirtualServers[0].Hysteresis = 100, 1
	c.VirtualServers[2].Program = "master"
	return r
}

// seen is what people see of w: its table, its alarms, its quorums and its drift.
func (w *world) seen() map[string]any {
	out := map[string]any{}
	w.host.mu.Lock()
	for id, v := range w.host.owned {
		out[id.String()] = fmt.Sprint(v)
	}
	w.host.mu.Unlock()
	s := w.Status()
	for _, n := range s.Alarms {
		out["alarm "+n.Subject+" "+n.Kind] = n.Message
	}
	for _, v := range s.Services {
		out["quorum "+v.Name] = v.Quorum
	}
	out["drift"] = s.Drift.Total
	out["phase"] = s.Phase
	return out
}

// TestADearTableIsDecidedOnAsACheapOne gives the same facts to two agents, of which one decides
// on parts of its node: a look at the whole corrects nothing of that.
func TestADearTableIsDecidedOnAsACheapOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cheap, dear := newWorld(t), newWorld(t)
		both := []*world{cheap, dear}
		for _, w := range both {
			defer converged(t, w)()
			w.origin.push(farm("bbbbbbb"))
			w.host.mu.Lock()
			w.host.busy = map[resource.ID]int{}
			for _, service := range []int{80, 81, 82} {
				for _, server := range []int{110, 120, 130} {
					key := labService
					key.Address = netip.AddrPortFrom(key.Address.Addr(), uint16(service))
					s := resource.IPVSServer{Service: key, Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 25, 254, byte(server)}), 80)}
					w.host.busy[s.ID()] = 1 // so that no drain ends
				}
			}
			w.host.mu.Unlock()
		}
		after(time.Minute)
		dear.dear()
		r := rand.New(rand.NewPCG(1, 2))
		servers := []reconcile.ServerRef{"web/rs1", "web/rs2", "spare/rs3", "spare/rs1"}
		for step := range 300 {
			ref := servers[r.IntN(len(servers))]
			var what string
			var do func(w *world)
			switch n := r.IntN(10); {
			case n == 0:
				role := []string{"MASTER", "BACKUP"}[r.IntN(2)]
				what = role
				do = func(w *world) {
					w.VRRPStatus(&channel.Status{Instances: []channel.InstanceStatus{{Name: "eth0/100/ipv4", State: role}}}, nil)
				}
			case n < 3:
				cancel := r.IntN(2) == 0
				what = fmt.Sprint("drain ", ref, cancel)
				do = func(w *world) {
					_, _ = w.Drain(t.Context(), control.DrainRequest{Server: ref, Cancel: cancel, Force: true})
				}
			default:
				res := checker.Result{Ref: ref, Verdict: []reconcile.Verdict{reconcile.Up, reconcile.Down, reconcile.Degraded}[r.IntN(3)], Message: "test"}
				if r.IntN(4) == 0 {
					res.HasWeight, res.Weight = true, r.IntN(3)
				}
				what = fmt.Sprint(res)
				do = func(w *world) { w.ServerVerdict(res) }
			}
			for _, w := range both {
				do(w)
			}
			after(1100 * time.Millisecond) // a look may just be under way
			if d := cmp.Diff(cheap.seen(), dear.seen()); d != "" {
				t.Fatalf("step %d, %s (-cheap +dear):\n%s", step, what, d)
			}
		}
	})
}

// TestSlowStartInADearTable has facts about one pool while a server of another starts slowly.
func TestSlowStartInADearTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		r := farm("bbbbbbb")
		for k := range r.Cluster.VirtualServers {
			r.Cluster.VirtualServers[k].Sorry = ""
		}
		r.Cluster.Pools[0].SlowStart = 10 * time.Second
		w.origin.push(r)
		after(time.Minute)
		w.ServerVerdict(checker.Result{Ref: "spare/rs3", Verdict: reconcile.Up})
		w.dear()
		w.lookedAt(t)
		w.verdict("rs1", reconcile.Down)
		synctest.Wait()
		w.verdict("rs1", reconcile.Up)
		synctest.Wait()
		for k, want := range []int{1, 50, 100} {
			w.ServerVerdict(checker.Result{Ref: "spare/rs3", Verdict: []reconcile.Verdict{reconcile.Down, reconcile.Up}[k%2]})
			synctest.Wait()
			if got := w.weight(); got != want {
				t.Errorf("after %d s the weight of rs1 is %d, want %d", 5*k, got, want)
			}
			after(5 * time.Second)
		}
	})
}

// TestASecondDrainOfADearTable begins anew: the first one of the same server is over.
func TestASecondDrainOfADearTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.dear()
		drain := func(cancel bool) {
			t.Helper()
			begin := time.Now()
			if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1", Cancel: cancel}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took > 100*time.Millisecond {
				t.Errorf("an order took %v, want it not to wait for a look", took)
			}
		}
		w.lookedAt(t)
		drain(false)
		if got := w.weight(); got != 0 {
			t.Errorf("weight = %d, want 0", got)
		}
		for begin := time.Now(); w.weight() >= 0; after(10 * time.Millisecond) {
			if time.Since(begin) > 2*time.Minute {
				t.Fatal("rs1 does not leave")
			}
		}
		drain(true)
		if got := w.weight(); got != 2 {
			t.Errorf("weight = %d after the drain was taken back, want 2", got)
		}
		w.busy(5)
		drain(false)
		if got := w.weight(); got != 0 {
			t.Errorf("weight = %d, want 0 as it has connections", got)
		}
		after(time.Minute)
		if got := w.weight(); got != 0 {
			t.Errorf("weight = %d a minute later, want 0 as it has connections", got)
		}
	})
}

// TestDriftBesideAFactInADearTable has a fact about one pool and a server of another changed.
func TestDriftBesideAFactInADearTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		r := farm("bbbbbbb")
		for k := range r.Cluster.VirtualServers {
			r.Cluster.VirtualServers[k].Sorry = ""
		}
		w.origin.push(r)
		after(time.Minute)
		w.dear()
		w.lookedAt(t)
		before := w.Status().Drift.Total
		w.ServerVerdict(checker.Result{Ref: "spare/rs3", Verdict: reconcile.Up})
		synctest.Wait()
		byHand := rs1
		byHand.Weight = 77
		w.host.put(byHand)
		after(time.Minute)
		if n := w.Status().Drift.Total - before; w.weight() != 100 || n != 1 {
			t.Errorf("weight = %d and drift = %d, want 100 and 1", w.weight(), n)
		}
	})
}
