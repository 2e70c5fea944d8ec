package policies_test

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/policies"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestShippedPolicyTests(t *testing.T) {
	results, ds := policies.Test(policies.ShippedFiles())
	if len(ds) > 0 {
		t.Fatalf("Test() = %+v", ds)
	}
	if len(results) < 15 {
		t.Errorf("%d cases ran, want all of them", len(results))
	}
	for _, r := range results {
		if !r.Passed {
			t.Errorf("%s:%d: %s: %s", r.File, r.Line, r.Name, r.Message)
		}
	}
}

// cluster returns a cluster with one VIP and a pool of the given weights.
func cluster(vip string, weights ...int) *spec.Cluster {
	c := &spec.Cluster{Name: "lab", Pools: []spec.Pool{{Name: "web", Checks: []spec.Check{{Type: "tcp"}}}}}
	for i, w := range weights {
		c.Pools[0].Servers = append(c.Pools[0].Servers, spec.Server{
			Name: string(rune('a' + i)), Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Port: 80, Weight: w,
		})
	}
	if vip != "" {
		a := netip.MustParseAddr(vip)
		c.Instances = []spec.VRRPInstance{{
			Name: "web", Interval: time.Second, Priority: map[string]uint8{"ka1": 150, "ka2": 100}, Addresses: []spec.VirtualAddress{{Prefix: netip.PrefixFrom(a, 24)}},
		}}
		c.VirtualServers = []spec.VirtualServer{{
			Origin: spec.Origin{Address: "virtual_server.http", File: "cluster.hcl", Line: 9},
			Name:   "http", On: "web", Services: []spec.Service{{Protocol: "tcp", Address: a, Port: 80}}, Pool: "web",
		}}
	}
	return c
}

// spoke returns the findings that are no pass, by policy.
func spoke(fs []reconcile.Finding) map[string]reconcile.Finding {
	out := map[string]reconcile.Finding{}
	for _, f := range fs {
		if f.Result != "pass" {
			out[f.Policy] = f
		}
	}
	return out
}

func deletes(n int) reconcile.Plan {
	var p reconcile.Plan
	for i := range n {
		v := resource.Sysctl{Key: string(rune('a' + i)), Value: "1"}
		p.Changes = append(p.Changes, reconcile.Change{Action: reconcile.Delete, ID: v.ID(), Before: v})
	}
	return p
}

func TestShippedOnRealInput(t *testing.T) {
	bounded := cluster("192.0.2.1", 1, 1)
	bounded.Rollout.MaxDestroyPercent = 50
	raised := cluster("192.0.2.1", 1, 1)
	raised.Rollout.MaxDestroyPercent = 90
	for _, c := range []struct {
		claim string
		in    policies.Input
		want  map[string]string // policy -> part of its message
	}{
		{"first contact with a sound cluster passes", policies.Input{Next: bounded}, nil},
		{"the same again passes", policies.Input{Prior: bounded, Next: bounded}, nil},
		{"dropping every address is denied by name", policies.Input{Prior: bounded, Next: cluster("")},
			map[string]string{"keep_a_vip": "192.0.2.1", "removed_vips": "192.0.2.1"}},
		{"moving to another address is allowed", policies.Input{Prior: bounded, Next: cluster("192.0.2.9", 1, 1)},
			map[string]string{"removed_vips": "192.0.2.1"}},
		{"more than max_destroy is denied", policies.Input{Prior: bounded, Next: bounded, Plan: deletes(3), Managed: 4},
			map[string]string{"max_destroy": "75%"}},
		{"a push cannot raise the bound for itself", policies.Input{Prior: bounded, Next: raised, Plan: deletes(3), Managed: 4},
			map[string]string{"max_destroy": "allows 50%"}},
		{"as much as max_destroy is allowed", policies.Input{Prior: bounded, Next: bounded, Plan: deletes(2), Managed: 4}, nil},
		{"without any weight nobody answers", policies.Input{Prior: bounded, Next: cluster("192.0.2.1", 0, 0)},
			map[string]string{"a_server_with_weight": "no server of pool web", "more_than_one_server": "fewer than 2"}},
		{"what did not change is not judged again", policies.Input{Prior: cluster("192.0.2.1", 0), Next: cluster("192.0.2.1", 0)}, nil},
	} {
		t.Run(c.claim, func(t *testing.T) {
			c.in.Node = "ka1"
			got := spoke(policies.Shipped().Evaluate(c.in))
			for name, part := range c.want {
				if f, ok := got[name]; !ok || f.Result != "deny" || !strings.Contains(f.Message, part) {
					t.Errorf("%s = %+v, want a denial with %q", name, f, part)
				}
				delete(got, name)
			}
			for name, f := range got {
				t.Errorf("%s says %+v, want it to pass", name, f)
			}
		})
	}
}

// TestTheDocumentIsRight runs the examples of docs/policies.md.
func TestTheDocumentIsRight(t *testing.T) {
	b, err := os.ReadFile("../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples [][]byte
	for _, part := range strings.Split(string(b), "```hcl\n")[1:] {
		text, _, _ := strings.Cut(part, "```")
		examples = append(examples, []byte(text))
	}
	if len(examples) != 2 {
		t.Fatalf("the document has %d examples, want a policy and its test", len(examples))
	}
	results, ds := policies.Test(map[string][]byte{"weights.policy.hcl": examples[0], "weights.policytest.hcl": examples[1]})
	if len(ds) > 0 || len(results) != 2 {
		t.Fatalf("Test() = %+v, %+v", results, ds)
	}
	for _, r := range results {
		if !r.Passed {
			t.Errorf("%s: %s", r.Name, r.Message)
		}
	}
}

const header = "policy {}\n"

func parse(t *testing.T, text string) *policies.Set {
	t.Helper()
	s, ds := policies.Parse("host", map[string][]byte{"x.policy.hcl": []byte(header + text)})
	if ds.HasErrors() {
		t.Fatalf("Parse() = %+v", ds)
	}
	return s
}

// one is a plan that creates one sysctl and adopts another.
func one() reconcile.Plan {
	a, b := resource.Sysctl{Key: "net/a", Value: "1"}, resource.Sysctl{Key: "net/b", Value: "2"}
	return reconcile.Plan{Changes: []reconcile.Change{
		{Action: reconcile.Create, ID: a.ID(), After: a, Origin: spec.Origin{Address: "pool.a", File: "cluster.hcl", Line: 3}},
		{Action: reconcile.Adopt, ID: b.ID(), Before: b, After: b},
		{Action: reconcile.Delete, ID: a.ID(), Before: a},
	}}
}

func TestEvaluate(t *testing.T) {
	rp := func(rest string) string {
		return `resource_policy "sysctl" "p" {
  enforcement_level = "mandatory"
  ` + rest + `
}`
	}
	deny := `enforce {
    condition     = false
    error_message = "${meta.operation} ${meta.address} ${meta.name}"
  }`
	for _, c := range []struct {
		claim, text string
		want        []string // result subject message
	}{
		{"every operation is judged, an adoption as a creation", rp(deny), []string{
			"deny pool.a create pool.a net/a", "deny sysctl/net/b create sysctl/net/b net/b", "deny sysctl/net/a delete sysctl/net/a net/a"}},
		{"operations narrow it", rp(`operations = ["delete"]` + "\n" + deny), []string{"deny sysctl/net/a delete sysctl/net/a net/a"}},
		{"a filter narrows it", rp(`filter = meta.name == "net/b"` + "\n" + deny), []string{"deny sysctl/net/b create sysctl/net/b net/b"}},
		{"a condition that fails is an error", rp(`operations = ["create"]
  enforce {
    condition     = attrs.nothing == 1
    error_message = "x"
  }`), []string{"error pool.a condition", "error sysctl/net/b condition"}},
		{"a filter that fails is an error", rp(`filter = prior_attrs.value == "1"
  operations = ["create"]
  ` + deny), []string{"error pool.a filter", "error sysctl/net/b filter"}},
		{"a condition that is no bool is an error", rp(`operations = ["delete"]
  enforce {
    condition     = "true"
    error_message = "x"
  }`), []string{"error sysctl/net/a condition: the value is not a bool"}},
		{"a null condition is an error", rp(`operations = ["delete"]
  enforce {
    condition     = null
    error_message = "x"
  }`), []string{"error sysctl/net/a condition: the value is not a bool"}},
		{"a null of the right type is an error", rp(`operations = ["delete"]
  enforce {
    condition     = tobool(null)
    error_message = "x"
  }`), []string{"error sysctl/net/a condition: the value is not a bool"}},
		{"each object has a budget of its own", rp(`operations = ["create"]
  enforce {
    condition     = length([for text in [join("", [for b in range(1000) : "a long text costs work and little time"])] : [for a in range(attrs.key == "net/a" ? 1000 : 0) : "${text}!"]][0]) > 0
    error_message = "x"
  }`), []string{"error pool.a condition: The", "deny sysctl/net/b x"}},
		{"a message that fails still denies", rp(`operations = ["delete"]
  enforce {
    condition     = false
    error_message = attrs.nothing
  }`), []string{"deny sysctl/net/a The condition does not hold."}},
		{"every rule has to hold", rp(`operations = ["delete"]
  enforce {
    condition     = true
    error_message = "first"
  }
  enforce {
    condition     = false
    error_message = "second"
  }`), []string{"deny sysctl/net/a second"}},
		{"work beyond the limits is an error", rp(`operations = ["delete"]
  enforce {
    condition     = length([for text in [join("", [for b in range(1000) : "a long text costs work and little time"])] : [for a in range(1000) : "${text}!"]][0]) > 0
    error_message = "x"
  }`), []string{"error sysctl/net/a condition: The"}},
		{"inputs and locals are seen", `input "n" {
  type    = number
  default = 2
}
locals {
  b = local.a + 1
  a = input.n
}
plan_policy "p" {
  enforcement_level = "advisory"
  enforce {
    condition     = local.b == 4
    error_message = "${local.b} on ${plan.node} adds ${plan.summary.add} ${plan.first}"
  }
}`, []string{"deny  3 on ka1 adds 1 true"}},
	} {
		t.Run(c.claim, func(t *testing.T) {
			var got []string
			for _, f := range parse(t, c.text).Evaluate(policies.Input{Node: "ka1", Next: cluster("192.0.2.1", 1), Plan: one(), Managed: 3}) {
				if f.Set != "host" || f.Policy != "p" || f.File != "x.policy.hcl" || f.Line == 0 {
					t.Errorf("finding %+v does not say where it comes from", f)
				}
				if f.Denies() != (f.Level == "mandatory" && f.Result != "pass") {
					t.Errorf("finding %+v denies = %v", f, f.Denies())
				}
				got = append(got, f.Result+" "+f.Subject+" "+f.Message)
			}
			if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("findings = %q, want %q", got, c.want)
			}
		})
	}
}

func TestAPassIsRecorded(t *testing.T) {
	s := parse(t, `plan_policy "fine" {
  enforcement_level = "mandatory"
  enforce {
    condition     = true
    error_message = "x"
  }
}`)
	got := s.Evaluate(policies.Input{})
	if len(got) != 1 || got[0].Result != "pass" || got[0].Denies() {
		t.Errorf("Evaluate() = %+v, want one pass", got)
	}
}

func TestASetThatCouldNotBeReadDenies(t *testing.T) {
	var s *policies.Set
	if got := s.Evaluate(policies.Input{}); len(got) != 1 || !got[0].Denies() {
		t.Errorf("Evaluate() = %+v, want a denial", got)
	}
}

func TestNoPoliciesSayNothing(t *testing.T) {
	s, ds := policies.Parse("host", map[string][]byte{"README": []byte("{{{")})
	if len(ds) > 0 || len(s.Evaluate(policies.Input{})) > 0 {
		t.Errorf("Parse of no policies = %+v", ds)
	}
}

// TestARemovedVirtualServerIsJudged has a policy that lets no service go.
func TestARemovedVirtualServerIsJudged(t *testing.T) {
	s, ds := policies.Parse("host", map[string][]byte{"x.policy.hcl": []byte(header + `resource_policy "virtual_server" "stays" {
  enforcement_level = "mandatory"
  operations        = ["delete"]
  enforce {
    condition     = false
    error_message = "${prior_attrs.service} must stay"
  }
}
`)})
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	for next, want := range map[*spec.Cluster]string{
		cluster("192.0.2.1", 2): "",
		cluster(""):             "tcp 192.0.2.1:80 must stay",
	} {
		got := spoke(s.Evaluate(policies.Input{Node: "ka1", Prior: cluster("192.0.2.1", 1), Next: next}))
		if got["stays"].Message != want {
			t.Errorf("findings = %+v, want %q", got, want)
		}
	}
}

// TestWhatIsSaidOfManyServicesIsSaidOnce has a virtual server with a thousand ports.
func TestWhatIsSaidOfManyServicesIsSaidOnce(t *testing.T) {
	c := cluster("192.0.2.1", 1)
	vs := &c.VirtualServers[0]
	for port := range 1000 {
		vs.Services = append(vs.Services, spec.Service{Protocol: "tcp", Address: vs.Services[0].Address, Port: uint16(1000 + port)})
	}
	set, ds := policies.Parse("shipped", policies.ShippedFiles())
	if len(ds) > 0 {
		t.Fatalf("Parse() = %+v", ds)
	}
	var got []reconcile.Finding
	for _, f := range set.Evaluate(policies.Input{Next: c}) {
		if f.Result != "pass" {
			got = append(got, f)
		}
	}
	if len(got) != 1 || got[0].Subject != "virtual_server.http" || got[0].Message != "pool web has fewer than 2 servers with a weight above 0." {
		t.Errorf("Evaluate() = %+v, want one finding that says its subject once", got)
	}
}
