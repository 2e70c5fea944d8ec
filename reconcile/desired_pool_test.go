package reconcile_test

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"pgregory.net/rapid"
)

// TestWhatDecidesOnWeights has rs1 with weight 20 and rs2 with weight 10 in a pool of four
// where it says so.
func TestWhatDecidesOnWeights(t *testing.T) {
	const up, down, degraded = reconcile.Up, reconcile.Down, reconcile.Degraded
	for _, c := range []struct {
		claim  string
		change func(*spec.Cluster, *reconcile.Facts)
		want   string
		alarms int
	}{
		{"a dynamic weight replaces the written one", func(_ *spec.Cluster, f *reconcile.Facts) {
			f.Weights = map[reconcile.ServerRef]int{"web/rs1": 7}
		}, "172.25.254.110=7 172.25.254.120=10", 0},
		{"a dynamic weight of 0 takes no connections", func(_ *spec.Cluster, f *reconcile.Facts) {
			f.Weights = map[reconcile.ServerRef]int{"web/rs1": 0}
		}, "172.25.254.110=0 172.25.254.120=10", 0},
		{"a dynamic weight counts only while the server is up", func(_ *spec.Cluster, f *reconcile.Facts) {
			f.Weights, f.Servers["web/rs1"] = map[reconcile.ServerRef]int{"web/rs1": 7}, down
		}, "172.25.254.110=0 172.25.254.120=10", 0},
		{"degraded is up where the pool makes nothing of it", func(_ *spec.Cluster, f *reconcile.Facts) {
			f.Servers["web/rs1"] = degraded
		}, "172.25.254.110=20 172.25.254.120=10", 0},
		{"a degraded server has its share", func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[0].DegradedPercent, f.Servers["web/rs1"] = 25, degraded
		}, "172.25.254.110=5 172.25.254.120=10", 0},
		{"a server that starts slowly has its share", func(_ *spec.Cluster, f *reconcile.Facts) {
			f.Shares = map[reconcile.ServerRef]int{"web/rs1": 30}
		}, "172.25.254.110=6 172.25.254.120=10", 0},
		{"what is small stays in service", func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[0].DegradedPercent, f.Servers["web/rs1"] = 1, degraded
			f.Shares = map[reconcile.ServerRef]int{"web/rs1": 1}
		}, "172.25.254.110=1 172.25.254.120=10", 0},
		{"a pool that starts up is up before its first check", func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[0].InitiallyUp = true
			delete(f.Servers, "web/rs1")
		}, "172.25.254.110=20 172.25.254.120=10", 0},
		{"a draining server has no entry", func(c *spec.Cluster, _ *reconcile.Facts) {
			c.Pools[0].Servers[0].Draining = true
		}, "172.25.254.120=10", 0},
		{"a server that a person drains has no entry", func(_ *spec.Cluster, f *reconcile.Facts) {
			f.Drains = map[reconcile.ServerRef]time.Duration{"web/rs1": 0}
		}, "172.25.254.120=10", 0},
		{"the last server that drains calls the sorry server", func(_ *spec.Cluster, f *reconcile.Facts) {
			f.Servers["web/rs2"] = down
			f.Drains = map[reconcile.ServerRef]time.Duration{"web/rs1": 0}
		}, "127.0.0.1=1 172.25.254.120=0", 1},
		{"above the panic threshold the dead are out", func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[0].PanicPercent, f.Servers["web/rs1"] = 50, down
		}, "172.25.254.110=0 172.25.254.120=10", 0},
		{"below it all are served", func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[0].PanicPercent, f.Servers["web/rs1"] = 51, down
		}, "172.25.254.110=20 172.25.254.120=10", 1},
		{"where none is up, a sorry server is better than a guess", func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[0].PanicPercent, f.Servers["web/rs1"], f.Servers["web/rs2"] = 51, down, down
		}, "127.0.0.1=1 172.25.254.110=0 172.25.254.120=0", 1},
		{"and a guess is better than nobody", func(c *spec.Cluster, f *reconcile.Facts) {
			c.VirtualServers[0].Sorry = ""
			c.Pools[0].PanicPercent, f.Servers["web/rs1"], f.Servers["web/rs2"] = 51, down, down
		}, "172.25.254.110=20 172.25.254.120=10", 1},
		{"servers without a verdict are no reason to panic", func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[0].PanicPercent = 90
			clear(f.Servers)
		}, "127.0.0.1=1 172.25.254.110=0 172.25.254.120=0", 0},
		{"nor is one without beside one that is up", func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[0].PanicPercent = 90
			delete(f.Servers, "web/rs2")
		}, "172.25.254.110=20 172.25.254.120=0", 0},
		{"the last weight of a server that is down is not served in a panic", func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[0].PanicPercent, f.Servers["web/rs1"] = 51, down
			f.Weights = map[reconcile.ServerRef]int{"web/rs1": 7}
		}, "172.25.254.110=20 172.25.254.120=10", 1},
		{"no weight at all is no quorum, however wide the hysteresis", func(c *spec.Cluster, f *reconcile.Facts) {
			c.VirtualServers[0].Quorum, c.VirtualServers[0].Hysteresis = 1, 1
			f.Quorum = map[string]bool{"http": true}
			f.Servers["web/rs1"], f.Servers["web/rs2"] = down, down
		}, "127.0.0.1=1 172.25.254.110=0 172.25.254.120=0", 1},
		{"a sorry server that drains stands in for nobody", func(_ *spec.Cluster, f *reconcile.Facts) {
			f.Drains = map[reconcile.ServerRef]time.Duration{"web/rs1": 0, "sorry/local": 0}
		}, "172.25.254.120=10", 0},
		{"not where it is called for either", func(c *spec.Cluster, f *reconcile.Facts) {
			c.VirtualServers[0].Quorum, f.Servers["web/rs1"] = 11, down
			f.Drains = map[reconcile.ServerRef]time.Duration{"sorry/local": 0}
		}, "172.25.254.110=0 172.25.254.120=10", 1},
		{"nor does one without a weight", func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[1].Servers[0].Weight = 0
			c.VirtualServers[0].Quorum, f.Servers["web/rs1"] = 11, down
		}, "127.0.0.1=0 172.25.254.110=0 172.25.254.120=10", 1},
		{"too little weight is no quorum", func(c *spec.Cluster, f *reconcile.Facts) {
			c.VirtualServers[0].Quorum, f.Servers["web/rs1"] = 11, down
		}, "127.0.0.1=1 172.25.254.110=0 172.25.254.120=0", 1},
		{"without a sorry pool a lost quorum only raises an alarm", func(c *spec.Cluster, f *reconcile.Facts) {
			c.VirtualServers[0].Sorry = ""
			c.VirtualServers[0].Quorum, f.Servers["web/rs1"] = 11, down
		}, "172.25.254.110=0 172.25.254.120=10", 1},
		{"a sorry pool that is down helps nobody", func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[1].Checks = []spec.Check{{Type: "tcp"}}
			c.VirtualServers[0].Quorum, f.Servers["web/rs1"], f.Servers["sorry/local"] = 11, down, down
		}, "172.25.254.110=0 172.25.254.120=10", 1},
		{"a slow start is no lack of quorum", func(c *spec.Cluster, f *reconcile.Facts) {
			c.VirtualServers[0].Quorum = 30
			f.Shares = map[reconcile.ServerRef]int{"web/rs1": 5}
		}, "172.25.254.110=1 172.25.254.120=10", 0},
	} {
		t.Run(c.claim, func(t *testing.T) {
			cl, f := lvsDR(), facts(up, up)
			cl.Pools[0].Servers[0].Weight, cl.Pools[0].Servers[1].Weight = 20, 10
			c.change(cl, f)
			d := desired(t, cl, "ka1", f)
			if got := table(d); got != c.want || len(d.Alarms) != c.alarms {
				t.Errorf("table = %s with alarms %v, want %s and %d", got, d.Alarms, c.want, c.alarms)
			}
		})
	}
}

// TestAnAlarmSaysWhoAnswers: that is what is asked at night.
func TestAnAlarmSaysWhoAnswers(t *testing.T) {
	const up, down = reconcile.Up, reconcile.Down
	for _, c := range []struct {
		rs1, rs2 reconcile.Verdict
		change   func(*spec.Cluster)
		want     string
	}{
		{down, up, func(*spec.Cluster) {}, "the servers in service have a weight of 10 together, and the quorum is 11: the sorry pool answers"},
		{down, up, func(c *spec.Cluster) { c.VirtualServers[0].Sorry = "" }, "the servers in service have a weight of 10 together, and the quorum is 11: those that are left answer"},
		{down, down, func(c *spec.Cluster) { c.VirtualServers[0].Sorry = "" }, "the servers in service have a weight of 0 together, and the quorum is 11: nobody answers"},
		{down, up, func(c *spec.Cluster) { c.Pools[0].PanicPercent = 90 }, "1 of 2 servers are down; as fewer than 90 % are left, all of them are served, whatever their checks say"},
	} {
		cl := lvsDR()
		cl.Pools[0].Servers[0].Weight, cl.Pools[0].Servers[1].Weight = 20, 10
		cl.VirtualServers[0].Quorum = 11
		c.change(cl)
		d := desired(t, cl, "ka1", facts(c.rs1, c.rs2))
		if len(d.Alarms) != 1 || d.Alarms[0].Message != c.want {
			t.Errorf("alarms = %+v, want %q", d.Alarms, c.want)
		}
	}
}

// TestHysteresis walks a sum of weights up and down over a quorum of 2 with a hysteresis of 1
// (keepalived.conf(5), quorum and hysteresis): gained at 3, lost below 1.
func TestHysteresis(t *testing.T) {
	c := lvsDR()
	c.VirtualServers[0].Quorum, c.VirtualServers[0].Hysteresis = 2, 1
	f := facts(reconcile.Up, reconcile.Up)
	for k, step := range []struct {
		weight int // of both servers together
		held   bool
	}{{0, false}, {1, false}, {2, false}, {3, true}, {2, true}, {1, true}, {0, false}, {2, false}, {3, true}} {
		c.Pools[0].Servers[0].Weight, c.Pools[0].Servers[1].Weight = step.weight, 0
		d := desired(t, c, "ka1", f)
		if d.Quorum["http"] != step.held {
			t.Errorf("step %d: with weight %d the quorum is held = %t, want %t", k, step.weight, d.Quorum["http"], step.held)
		}
		f.Quorum = d.Quorum
	}
}

// anyPoolCluster is anyCluster with everything that decides on weights.
func anyPoolCluster(t *rapid.T) *spec.Cluster {
	c := anyCluster(t)
	p := &c.Pools[0]
	p.PanicPercent = rapid.SampledFrom([]int{0, 0, 50, 100}).Draw(t, "panic")
	p.DegradedPercent = rapid.SampledFrom([]int{0, 50}).Draw(t, "degraded")
	p.InitiallyUp = rapid.Bool().Draw(t, "initially up")
	p.Drain = rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "drain")
	vs := &c.VirtualServers[0]
	vs.Quorum = rapid.IntRange(0, 4).Draw(t, "quorum")
	vs.Program = rapid.SampledFrom([]string{"", "master"}).Draw(t, "program")
	return c
}

// TestOnlyTheLastVerdictsCount sends the same last verdicts over different ways: whatever
// came before and in which order, the table and what is remembered are the same.
func TestOnlyTheLastVerdictsCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyPoolCluster(t)
		c.Pools[0].Drain = 0 // a server that drains is a matter of time and not of verdicts
		verdict := rapid.SampledFrom([]reconcile.Verdict{reconcile.Up, reconcile.Down, reconcile.Degraded})
		last := map[reconcile.ServerRef]reconcile.Verdict{}
		for _, ref := range []reconcile.ServerRef{"web/rs1", "web/rs2", "sorry/local"} {
			last[ref] = verdict.Draw(t, string(ref))
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		way := func() *host {
			h, f := newHost(), facts(reconcile.Unknown, reconcile.Unknown)
			f.Roles = map[string]string{"eth0/100/ipv4": "MASTER"}
			hear := func(ref reconcile.ServerRef, v reconcile.Verdict) {
				f.Servers[ref] = v
				d := desired(t, c, "ka1", f)
				converge(t, h, d)
				f.Quorum = d.Quorum
			}
			refs := []reconcile.ServerRef{"web/rs1", "web/rs2", "sorry/local"}
			for range rng.IntN(6) {
				hear(refs[rng.IntN(3)], []reconcile.Verdict{reconcile.Up, reconcile.Down, reconcile.Degraded}[rng.IntN(3)])
			}
			for _, k := range rng.Perm(3) {
				hear(refs[k], last[refs[k]])
			}
			return h
		}
		one, other := way(), way()
		if !maps.Equal(one.owned, other.owned) {
			t.Fatalf("the same verdicts led to (-one +other):\n%s", cmp.Diff(one.owned, other.owned, comparable))
		}
		f := facts(last["web/rs1"], last["web/rs2"])
		f.Servers["sorry/local"], f.Roles = last["sorry/local"], map[string]string{"eth0/100/ipv4": "MASTER"}
		if fresh := desired(t, c, "ka1", f); !maps.Equal(fresh.Set, one.owned) {
			t.Fatalf("verdicts that came at once want (-fresh +one):\n%s", cmp.Diff(fresh.Set, one.owned, comparable))
		}
	})
}

// TestAnyFactIsNoDifference is invariant 9 for all that facts can say: once applied, the
// plan is empty, with the same facts and without any.
func TestAnyFactIsNoDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, h := anyPoolCluster(t), newHost()
		dynamic := rapid.Bool().Draw(t, "dynamic")
		for k := range c.Pools[0].Checks {
			c.Pools[0].Checks[k].Dynamic = dynamic
		}
		for range 3 {
			f := anyFacts(t)
			if dynamic && len(c.Pools[0].Checks) > 0 {
				f.Weights = map[reconcile.ServerRef]int{"web/rs1": rapid.IntRange(0, 9).Draw(t, "dynamic weight")}
			}
			converge(t, h, desired(t, c, "ka1", f))
			if p := reconcile.Diff(h.live(), desired(t, c, "ka1", nil)); !p.Empty() {
				t.Fatalf("without facts the plan has %+v, want nothing", p)
			}
			unsure := *f
			unsure.Roles = nil
			if p := reconcile.Diff(h.live(), desired(t, c, "ka1", &unsure)); !p.Empty() {
				t.Fatalf("before vrrpd answers the plan has %+v, want nothing", p)
			}
		}
	})
}
