package reconcile_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestSeedVerdicts(t *testing.T) {
	const up, down, unknown = reconcile.Up, reconcile.Down, reconcile.Unknown
	verdicts := func(v ...reconcile.Verdict) map[reconcile.ServerRef]reconcile.Verdict {
		m := facts(v[0], v[1]).Servers
		maps.DeleteFunc(m, func(_ reconcile.ServerRef, v reconcile.Verdict) bool { return v == unknown })
		return m
	}
	for _, c := range []struct {
		claim  string
		change func(*spec.Cluster)
		table  *reconcile.Facts // that the table was made with; nil: there is none
		want   map[reconcile.ServerRef]reconcile.Verdict
	}{
		{"what took connections was up, what took none was down", func(*spec.Cluster) {}, facts(up, down), verdicts(up, down)},
		{"a table that is not there says nothing", func(*spec.Cluster) {}, nil, verdicts(unknown, unknown)},
		{"a server that is missing was removed", func(c *spec.Cluster) { c.Pools[0].OnFail = "remove" }, facts(down, up), verdicts(down, up)},
		{"a written weight of 0 says nothing of the server", func(c *spec.Cluster) { c.Pools[0].Servers[0].Weight = 0 }, facts(up, up), verdicts(unknown, up)},
		{"where servers are removed, one that is there was up", func(c *spec.Cluster) {
			c.Pools[0].OnFail, c.Pools[0].Servers[0].Weight = "remove", 0
		}, facts(up, down), verdicts(up, down)},
	} {
		t.Run(c.claim, func(t *testing.T) {
			cl := lvsDR()
			c.change(cl)
			live := resource.Set{}
			if c.table != nil {
				live = desired(t, cl, "ka1", c.table).Set
			}
			if d := cmp.Diff(c.want, reconcile.SeedVerdicts(cl, live)); d != "" {
				t.Errorf("SeedVerdicts (-want +got):\n%s", d)
			}
		})
	}
}

// TestSeedTakesNothingOut has two virtual servers over one pool that disagree: the one
// that still sends connections decides.
func TestSeedTakesNothingOut(t *testing.T) {
	for _, first := range []string{"http", "https"} {
		c := lvsDR()
		second := c.VirtualServers[0]
		second.Name, second.Services = "https", slices.Clone(second.Services)
		second.Services[0].Port = 443
		c.VirtualServers = append(c.VirtualServers, second)
		live := desired(t, c, "ka1", facts(reconcile.Up, reconcile.Up)).Set
		for id, v := range live {
			if s, ok := v.(resource.IPVSServer); ok && (s.Service.Address.Port() == 80) == (first == "http") {
				s.Weight = 0
				live[id] = s
			}
		}
		if got := reconcile.SeedVerdicts(c, live); got["web/rs1"] != reconcile.Up {
			t.Errorf("%s at weight 0: rs1 is %q, want up", first, got["web/rs1"])
		}
	}
}

// TestSeedKeepsTheStandIn has a sorry server whose checks have not spoken yet.
func TestSeedKeepsTheStandIn(t *testing.T) {
	c := lvsDR()
	c.Pools = append(c.Pools, spec.Pool{
		Name: "sorry", OnFail: "weight_zero", Checks: c.Pools[0].Checks,
		Servers: []spec.Server{{Name: "s1", Address: c.Nodes[0].Address.Next(), Port: 80, Weight: 1}},
	})
	c.VirtualServers[0].Sorry = "sorry"
	f := facts(reconcile.Down, reconcile.Down)
	f.Servers["sorry/s1"] = reconcile.Up
	helped := desired(t, c, "ka1", f)
	f.Servers = reconcile.SeedVerdicts(c, helped.Set)
	if got := desired(t, c, "ka1", f).Set; !maps.Equal(got, helped.Set) {
		t.Errorf("after a start: %v, want what was there before: %v", got, helped.Set)
	}
	f = facts(reconcile.Up, reconcile.Up)
	if v, said := reconcile.SeedVerdicts(c, desired(t, c, "ka1", f).Set)["sorry/s1"]; said {
		t.Errorf("a sorry server that is not needed is %q, want nothing said of it", v)
	}
}
