package policies_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/policies"
)

const rule = "  enforce {\n    condition = true\n    error_message = \"x\"\n  }\n"

// TestMistakes has one row for each mistake that a policy file can hold.
func TestMistakes(t *testing.T) {
	mandatory := "  enforcement_level = \"mandatory\"\n"
	for _, c := range []struct {
		claim, text string
		line        int
		want        string // part of summary or detail
	}{
		{"no header", "", 1, "one policy block"},
		{"two headers", "policy {}\npolicy {}\n", 1, "one policy block"},
		{"a version that does not fit", "policy {\n  required_version = \"> 99\"\n}\n", 2, "version"},
		{"an unknown block", header + "rule \"x\" {}\n", 2, "rule"},
		{"an unknown kind", header + "resource_policy \"ipvs_sever\" \"p\" {\n" + mandatory + rule + "}\n", 2, `Did you mean "ipvs_server"?`},
		{"no level", header + "plan_policy \"p\" {\n" + rule + "}\n", 2, "enforcement_level"},
		{"a level of another product", header + "plan_policy \"p\" {\n  enforcement_level = \"overridable\"\n" + rule + "}\n", 3, "not supported yet"},
		{"an unknown level", header + "plan_policy \"p\" {\n  enforcement_level = \"mandatroy\"\n" + rule + "}\n", 3, `Did you mean "mandatory"?`},
		{"a level that is no text", header + "plan_policy \"p\" {\n  enforcement_level = 1\n" + rule + "}\n", 3, "literal string"},
		{"no rule", header + "plan_policy \"p\" {\n" + mandatory + "}\n", 2, "enforces nothing"},
		{"no message", header + "plan_policy \"p\" {\n" + mandatory + "  enforce {\n    condition = true\n  }\n}\n", 4, "error_message"},
		{"an unknown attribute", header + "plan_policy \"p\" {\n" + mandatory + "  filter = true\n" + rule + "}\n", 4, "filter"},
		{"an unknown operation", header + "resource_policy \"sysctl\" \"p\" {\n" + mandatory + "  operations = [\"destroy\"]\n" + rule + "}\n", 4, "create"},
		{"no operation", header + "resource_policy \"sysctl\" \"p\" {\n" + mandatory + "  operations = []\n" + rule + "}\n", 4, "create"},
		{"an unknown name", header + "plan_policy \"p\" {\n" + mandatory + "  enforce {\n    condition = plam.first\n    error_message = \"x\"\n  }\n}\n", 5, `Did you mean "plan"?`},
		{"a name of the other sort", header + "plan_policy \"p\" {\n" + mandatory + "  enforce {\n    condition = attrs.x\n    error_message = \"x\"\n  }\n}\n", 5, `"attrs"`},
		{"one name twice", header + "plan_policy \"p\" {\n" + mandatory + rule + "}\nplan_policy \"p\" {\n" + mandatory + rule + "}\n", 9, "used twice"},
		{"an input without default", header + "input \"n\" {\n  type = number\n}\n", 2, "default"},
		{"an input of another type", header + "input \"n\" {\n  type = number\n  default = \"x\"\n}\n", 4, "Wrong type"},
		{"an input that is not constant", header + "input \"n\" {\n  default = local.x\n}\n", 3, "constant"},
		{"locals in a circle", header + "locals {\n  a = local.b\n  b = local.a\n}\n", 3, "depends on itself"},
		{"locals without end", header + "locals {\n" + chain(10000) + "}\n", 2, "at most 500"},
		{"not HCL", header + "plan_policy {{{\n", 2, ""},
		{"brackets without end", header + "locals {\n  a = " + strings.Repeat("(", 100000) + "\n}\n", 3, "nest"},
		{"loops in loops", header + "locals {\n  a = [for a in [] : [for b in [] : [for c in [] : [for d in [] : d]]]]\n}\n", 3, "loops"},
	} {
		t.Run(c.claim, func(t *testing.T) {
			s, ds := policies.Parse("host", map[string][]byte{"x.policy.hcl": []byte(c.text)})
			if s != nil || !ds.HasErrors() {
				t.Fatalf("Parse() = %v, %+v, want errors and no set", s, ds)
			}
			for _, d := range ds {
				if d.File == "x.policy.hcl" && d.Start.Line == c.line && strings.Contains(d.Summary+" "+d.Detail, c.want) {
					return
				}
			}
			t.Errorf("diagnostics = %+v, want one at line %d with %q", ds, c.line, c.want)
		})
	}
}

// chain returns n locals of which each needs the one before.
func chain(n int) string {
	var b strings.Builder
	b.WriteString("a0 = 1\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "a%d=local.a%d\n", i, i-1)
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	for _, b := range policies.ShippedFiles() {
		f.Add(b)
	}
	f.Add([]byte(header + strings.Repeat("[", 5000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ds := policies.Parse("host", map[string][]byte{"x.policy.hcl": b})
		if (s == nil) != ds.HasErrors() {
			t.Fatalf("a set and errors do not go together: %+v", ds)
		}
		if s != nil {
			s.Evaluate(policies.Input{Node: "ka1", Next: cluster("192.0.2.1", 1), Plan: one()})
		}
	})
}

func TestPolicyTestsThatFail(t *testing.T) {
	files := map[string][]byte{
		"x.policy.hcl": []byte(header + "plan_policy \"p\" {\n  enforcement_level = \"mandatory\"\n  enforce {\n    condition = plan.node == \"a\"\n    error_message = \"no\"\n  }\n}\n"),
		"x.policytest.hcl": []byte(`policytest {
  targets = ["x.policy.hcl"]
}
plan "denied" {
}
plan "let_through" {
  expect_failure = true
  plan = { node = "a" }
}
plan "broken" {
  plan = { node = [] }
  expect_failure = true
}
resource "sysctl" "not_judged" {
  attrs = {}
}
plan "right" {
  plan = { node = "a" }
}
`),
	}
	results, ds := policies.Test(files)
	if len(ds) > 0 {
		t.Fatalf("Test() = %+v", ds)
	}
	want := []string{"p denies it", "every policy lets it through", "", "no policy judges it", ""}
	for i, r := range results {
		if i == 2 {
			continue // comparing a string with a list is false, so the policy denies
		}
		if r.Passed != (want[i] == "") || !strings.HasPrefix(r.Message, want[i]) {
			t.Errorf("%s = %v %q, want %q", r.Name, r.Passed, r.Message, want[i])
		}
	}
	files["x.policytest.hcl"] = []byte("policytest {\n  targets = [\"y.policy.hcl\"]\n}\n")
	if _, ds := policies.Test(files); !ds.HasErrors() {
		t.Error("a test of a file that does not exist was accepted")
	}
}
