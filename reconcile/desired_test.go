package reconcile_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestDesiredGolden shows the first plan of each node of the reference cluster.
func TestDesiredGolden(t *testing.T) {
	for _, node := range []string{"ka1", "ka2", "rs1", "rs2"} {
		t.Run(node, func(t *testing.T) {
			p := reconcile.Diff(reconcile.Live{}, desired(t, lvsDR(), node, facts(reconcile.Up, reconcile.Up)))
			f := planfile.New(planfile.Meta{Node: node, Revision: planfile.Revision{Dir: "examples/lvs-dr"}}, p, 0, nil)
			var b bytes.Buffer
			if err := f.WriteText(&b, false); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "desired-"+node+".txt")
			if *update {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), b.String()); d != "" {
				t.Errorf("%s (-want +got):\n%s", path, d)
			}
		})
	}
}

// table returns the servers of the first service in the target: "address weight", sorted.
func table(d reconcile.Target) string {
	var out []string
	for _, v := range d.Set {
		if s, ok := v.(resource.IPVSServer); ok {
			out = append(out, fmt.Sprintf("%s=%d", s.Address.Addr(), s.Weight))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestVerdictsDecideOnServers(t *testing.T) {
	const up, down, unknown = reconcile.Up, reconcile.Down, reconcile.Unknown
	for _, c := range []struct {
		claim    string
		onFail   string
		rs1, rs2 reconcile.Verdict
		want     string
	}{
		{"servers that are up have their written weight", "weight_zero", up, up, "172.25.254.110=2 172.25.254.120=1"},
		{"a server that is down has weight 0", "weight_zero", down, up, "172.25.254.110=0 172.25.254.120=1"},
		{"a server without a verdict is not in service", "weight_zero", unknown, up, "172.25.254.110=0 172.25.254.120=1"},
		{"without any server the sorry server comes in", "weight_zero", down, down, "127.0.0.1=1 172.25.254.110=0 172.25.254.120=0"},
		{"before the first verdict the sorry server answers", "weight_zero", unknown, unknown, "127.0.0.1=1 172.25.254.110=0 172.25.254.120=0"},
		{"one server is enough to send the sorry server away", "weight_zero", down, up, "172.25.254.110=0 172.25.254.120=1"},
		{"a server that is down is removed", "remove", down, up, "172.25.254.120=1"},
		{"a server without a verdict is left out", "remove", unknown, up, "172.25.254.120=1"},
		{"with all removed the sorry server is alone", "remove", down, down, "127.0.0.1=1"},
	} {
		t.Run(c.claim, func(t *testing.T) {
			cl := lvsDR()
			cl.Pools[0].OnFail = c.onFail
			if got := table(desired(t, cl, "ka1", facts(c.rs1, c.rs2))); got != c.want {
				t.Errorf("table = %s, want %s", got, c.want)
			}
		})
	}
	t.Run("a pool without checks is in service", func(t *testing.T) {
		cl := lvsDR()
		cl.Pools[0].Checks = nil
		if got, want := table(desired(t, cl, "ka1", facts(down, unknown))), "172.25.254.110=2 172.25.254.120=1"; got != want {
			t.Errorf("table = %s, want %s", got, want)
		}
	})
	t.Run("a written weight of 0 is no service", func(t *testing.T) {
		cl := lvsDR()
		cl.Pools[0].Servers[0].Weight = 0
		if got, want := table(desired(t, cl, "ka1", facts(up, down))), "127.0.0.1=1 172.25.254.110=0 172.25.254.120=0"; got != want {
			t.Errorf("table = %s, want %s", got, want)
		}
	})
}

func TestSorryServerOnANodeGetsTheAddress(t *testing.T) {
	cl := lvsDR()
	cl.Nodes = append(cl.Nodes, spec.Node{Name: "rs3", Address: netip.MustParseAddr("172.25.254.130")})
	if got := desired(t, cl, "rs3", nil).Set; len(got) > 0 {
		t.Fatalf("a node without a part has %v", got)
	}
	cl.Pools[1].Servers[0].Address = cl.Nodes[4].Address
	id := resource.ID{Kind: resource.KindAddress, Name: "172.25.254.100"}
	if _, ok := desired(t, cl, "rs3", nil).Set[id]; !ok {
		t.Errorf("a node that serves as sorry server lacks %s", id)
	}
}

func TestServerOnTheDirectorIsLocal(t *testing.T) {
	cl := lvsDR()
	cl.Pools[0].Servers[0].Address = cl.Nodes[0].Address
	for node, want := range map[string]resource.Forward{"ka1": resource.ForwardLocal, "ka2": resource.ForwardDR} {
		id := resource.ID{Kind: resource.KindIPVSServer, Name: "tcp 172.25.254.100:80 -> 172.25.254.10:80"}
		s, ok := desired(t, cl, node, nil).Set[id].(resource.IPVSServer)
		if !ok || s.Forward != want {
			t.Errorf("%s: forward = %q, want %q", node, s.Forward, want)
		}
	}
}

// TestALoopbackServerIsLocal is about the sorry server of the reference cluster: the kernel
// would send what is tunnelled or routed to 127.0.0.1 nowhere.
func TestALoopbackServerIsLocal(t *testing.T) {
	cl := lvsDR()
	cl.VirtualServers[0].Forward = "tunnel"
	id := resource.ID{Kind: resource.KindIPVSServer, Name: "tcp 172.25.254.100:80 -> 127.0.0.1:80"}
	if s, ok := desired(t, cl, "ka1", nil).Set[id].(resource.IPVSServer); !ok || s.Forward != resource.ForwardLocal {
		t.Errorf("forward = %q, want local", s.Forward)
	}
}

// TestBothPoolsAskForBFD has a sorry pool whose check is a BFD session.
func TestBothPoolsAskForBFD(t *testing.T) {
	cl := lvsDR()
	cl.Pools[1].Checks = []spec.Check{{Type: "bfd", Fall: 3}}
	cl.Pools[1].Servers[0].Address = cl.Nodes[3].Address
	if id := (resource.ID{Kind: resource.KindVRRPTracker, Name: "bfd/172.25.254.120"}); desired(t, cl, "ka1", nil).Set[id] == nil {
		t.Errorf("vrrpd is not asked for %s", id)
	}
}

// anyCluster draws a variant of the reference cluster.
func anyCluster(t *rapid.T) *spec.Cluster {
	c := lvsDR()
	for i := range c.Pools {
		c.Pools[i].OnFail = rapid.SampledFrom([]string{"weight_zero", "remove"}).Draw(t, "on_fail")
		c.Pools[i].Checks = nil
		if rapid.Bool().Draw(t, "checks") {
			c.Pools[i].Checks = []spec.Check{{Type: "tcp"}}
		}
		for k := range c.Pools[i].Servers {
			c.Pools[i].Servers[k].Weight = rapid.IntRange(0, 3).Draw(t, "weight")
		}
	}
	if rapid.Bool().Draw(t, "no sorry") {
		c.VirtualServers[0].Sorry = ""
	}
	return c
}

func anyFacts(t *rapid.T) *reconcile.Facts {
	verdict := rapid.SampledFrom([]reconcile.Verdict{reconcile.Up, reconcile.Down, reconcile.Unknown})
	f := facts(verdict.Draw(t, "rs1"), verdict.Draw(t, "rs2"))
	f.Servers["sorry/local"] = verdict.Draw(t, "local")
	f.Roles = map[string]string{"eth0/100/ipv4": rapid.SampledFrom([]string{"MASTER", "BACKUP", "FAULT", "INIT"}).Draw(t, "role")}
	return f
}

// TestAnyRoleAndVerdictIsNoDifference is invariant 9: with facts and without them.
func TestAnyRoleAndVerdictIsNoDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, h := anyCluster(t), newHost()
		node := rapid.SampledFrom([]string{"ka1", "ka2", "rs1", "rs2"}).Draw(t, "node")
		for range 3 {
			f := anyFacts(t)
			converge(t, h, desired(t, c, node, f))
			role := *f
			role.Roles = map[string]string{"eth0/100/ipv4": "BACKUP"}
			for what, other := range map[string]*reconcile.Facts{"another role": &role, "no facts": nil} {
				if p := reconcile.Diff(h.live(), desired(t, c, node, other)); !p.Empty() {
					t.Fatalf("with %s the plan has %+v, want nothing", what, p)
				}
			}
		}
	})
}

func TestWithoutFactsAWrittenChangeIsStillSeen(t *testing.T) {
	for _, verdict := range []reconcile.Verdict{reconcile.Up, reconcile.Down} {
		c, h := lvsDR(), newHost()
		converge(t, h, desired(t, c, "ka1", facts(reconcile.Up, verdict)))
		c.Pools[0].Servers[0].Weight = 3
		c.VirtualServers[0].Scheduler = "wlc"
		p := reconcile.Diff(h.live(), desired(t, c, "ka1", nil))
		if len(p.Changes) != 2 || p.Count(reconcile.Update) != 2 || p.Uncompared != 3 {
			t.Errorf("with rs2 %q: plan = %+v, want the scheduler and the weight of rs1", verdict, p)
		}
	}
}

func TestWithoutFactsANewTableIsShownWhole(t *testing.T) {
	for _, onFail := range []string{"weight_zero", "remove"} {
		c := lvsDR()
		c.Pools[0].OnFail = onFail
		p := reconcile.Diff(reconcile.Live{}, desired(t, c, "ka1", nil))
		servers := 0
		for _, ch := range p.Changes {
			if ch.ID.Kind == resource.KindIPVSServer {
				servers++
			}
		}
		if servers != 2 {
			t.Errorf("%s: the plan has %d servers, want the two of the pool", onFail, servers)
		}
	}
}
