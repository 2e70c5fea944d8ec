package compile

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// forbid is a policy that denies every plan, and permit one that denies none.
const (
	forbid = `policy { required_version = ">= 0.1" }

plan_policy "freeze" {
  enforcement_level = "mandatory"

  enforce {
    condition     = false
    error_message = "Changes are frozen."
  }
}
`
	permit = `policy { required_version = ">= 0.1" }

plan_policy "open" {
  enforcement_level = "mandatory"

  enforce {
    condition     = true
    error_message = "Never."
  }
}
`
)

// commit returns a revision of the small cluster with these policy files.
func commit(t *testing.T, files map[string]string) *revision.Revision {
	t.Helper()
	c, ds := hcl.Compile(hcl.Tree{"cluster.hcl": []byte(cluster(1))}, hcl.Options{Node: "ka1"})
	if c == nil {
		t.Fatalf("compile: %v", ds)
	}
	r := &revision.Revision{Commit: strings.Repeat("c", 40), Cluster: c, Digest: Digest(c), Policies: map[string][]byte{}}
	for name, text := range files {
		r.Policies[name] = []byte(text)
	}
	return r
}

// smallPlan changes a weight.
func smallPlan() reconcile.Plan {
	before := resource.IPVSServer{
		Service: resource.ServiceKey{Protocol: "tcp", Address: netip.MustParseAddrPort("192.0.2.100:80")},
		Address: netip.MustParseAddrPort("192.0.2.11:80"), Forward: resource.ForwardDR, Weight: 1,
	}
	after := before
	after.Weight = 2
	return reconcile.Plan{Changes: []reconcile.Change{{
		Action: reconcile.Update, ID: before.ID(), Before: before, After: after,
		Origin: spec.Origin{Address: "pool.web", File: "cluster.hcl", Line: 16},
	}}}
}

func host(t *testing.T, files map[string]string) *Pipeline {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newPipeline(spec.Agent{NodeName: "ka1", PolicyDir: dir})
}

// denials lists the policies that stand in the way, as set/policy.
func denials(t *testing.T, p *Pipeline, rev, prior *revision.Revision) []string {
	t.Helper()
	findings, err := p.Policy(t.Context(), rev, prior, smallPlan(), 10)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range findings {
		if f.Denies() {
			out = append(out, f.Set+"/"+f.Policy)
		}
	}
	return out
}

func TestEveryPolicyHasASay(t *testing.T) {
	none, frozen := commit(t, nil), commit(t, map[string]string{"policies/a.policy.hcl": forbid})
	open := commit(t, map[string]string{"policies/a.policy.hcl": permit})
	tests := map[string]struct {
		host       map[string]string
		rev, prior *revision.Revision
		denies     bool
		set        string
	}{
		"nothing forbids":              {nil, none, none, false, ""},
		"first contact":                {nil, none, nil, false, ""},
		"the host forbids":             {map[string]string{"h.policy.hcl": forbid, "README": "x"}, none, none, true, "host"},
		"the repository forbids":       {nil, frozen, none, true, "repository"},
		"the repository did forbid":    {nil, open, frozen, true, "repository"},
		"it was removed and forbids":   {nil, none, frozen, true, "repository"},
		"it forbids now as it did":     {nil, frozen, frozen, true, "repository"},
		"it permits":                   {map[string]string{"h.policy.hcl": permit}, open, none, false, ""},
		"an old policy is unreadable":  {nil, open, commit(t, map[string]string{"policies/a.policy.hcl": "}"}), false, ""},
		"first contact with a freeze":  {nil, frozen, nil, true, "repository"},
		"the policy changes its words": {nil, commit(t, map[string]string{"policies/a.policy.hcl": forbid + "\n"}), frozen, true, "repository"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := denials(t, host(t, tt.host), tt.rev, tt.prior)
			if !tt.denies && len(got) != 0 {
				t.Errorf("denied by %q, want nobody to deny", got)
			}
			if tt.denies && !slices.Equal(got, []string{tt.set + "/freeze"}) {
				t.Errorf("denied by %q, want %s/freeze, once", got, tt.set)
			}
		})
	}
}

func TestDroppingEveryAddressIsDenied(t *testing.T) {
	prior, rev := commit(t, nil), commit(t, nil)
	c := *rev.Cluster
	c.Instances, c.VirtualServers = nil, nil
	rev.Cluster, rev.Digest = &c, Digest(&c)
	i := resource.VRRPInstance{Interface: "eth0", VRID: 10, Version: 3, Priority: 150, Addresses: resource.NewList("192.0.2.100/24"),
		Source: netip.MustParseAddr("192.0.2.1")}
	plan := reconcile.Plan{Changes: []reconcile.Change{{Action: reconcile.Delete, ID: i.ID(), Before: i}}}
	findings, err := host(t, nil).Policy(t.Context(), rev, prior, plan, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Denies() && f.Set == "shipped" && strings.Contains(f.Message, "192.0.2.100") {
			return
		}
	}
	t.Errorf("findings %+v, want one that denies and names 192.0.2.100", findings)
}

func TestPoliciesFailClosed(t *testing.T) {
	rev := commit(t, nil)
	missing := newPipeline(spec.Agent{NodeName: "ka1", PolicyDir: "/nonexistent/policies.d"})
	tests := map[string]struct {
		p    *Pipeline
		rev  *revision.Revision
		want string
	}{
		"host policy does not parse": {host(t, map[string]string{"h.policy.hcl": "plan_policy {"}), rev, "h.policy.hcl:1,"},
		"host policy is misnamed":    {host(t, map[string]string{"h.hcl": forbid}), rev, "Not a policy file"},
		"host folder is missing":     {missing, rev, "no such file"},
		"host policy is too long":    {host(t, map[string]string{"h.policy.hcl": strings.Repeat("#", maxHostPolicy+1)}), rev, "longer than"},
		"repository policy does not parse": {
			host(t, nil), commit(t, map[string]string{"policies/a.policy.hcl": "}"}), "policies/a.policy.hcl:1,1",
		},
		"repository policy is misnamed": {host(t, nil), commit(t, map[string]string{"policies/a.hcl": forbid}), "policies/a.hcl"},
		"no cluster":                    {host(t, nil), &revision.Revision{Commit: rev.Commit}, "no cluster"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			findings, err := tt.p.Policy(t.Context(), tt.rev, rev, smallPlan(), 1)
			var no *revision.Refused
			if !errors.As(err, &no) || no.Stage != "policy" || no.Commit != rev.Commit || !strings.Contains(no.Reason, tt.want) {
				t.Errorf("Policy = %v, %v, want it refused because of %q", findings, err, tt.want)
			}
		})
	}
}
