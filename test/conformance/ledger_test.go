package conformance

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated document")

const root = "../.."

// TestClausesAreProvenOrReasoned has a row for every clause.
func TestClausesAreProvenOrReasoned(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Documents() {
		for _, c := range d.Clauses {
			name := d.name(c)
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
			if strings.Count(c.ID, " ") != 1 || c.Who == "" || c.Text == "" {
				t.Errorf("%s is not whole: %+v", name, c)
			}
			if !slices.Contains([]Level{Must, MustNot, Lower, Step}, c.Level) {
				t.Errorf("%s has level %q", name, c.Level)
			}
			for _, f := range faults(c) {
				t.Errorf("%s %s", name, f)
			}
		}
	}
}

// faults are what is wrong with the evidence of a clause.
func faults(c Clause) []string {
	var out []string
	both := len(c.Positive) > 0 && len(c.Negative) > 0
	reason, _, _ := strings.Cut(c.Gap, " because ")
	switch {
	case c.Status() == Unproven && c.Gap != "":
		out = append(out, "has a gap that is neither \""+notApplicable+"\" nor \""+differs+"\"")
	case c.Status() == Unproven:
		out = append(out, "lacks a positive or a negative test, and says no reason")
	case c.Single != "" && (both || c.Gap != ""):
		out = append(out, "says why it has one polarity, and has both or a gap")
	case c.Option != "" && c.Gap != "":
		out = append(out, "has an option and a gap")
	case c.Gap != "" && len(strings.Fields(strings.TrimPrefix(c.Gap, reason+" because "))) < 4:
		out = append(out, "has a gap without a reason")
	}
	return out
}

// TestFaults has what the ledger must not let pass.
func TestFaults(t *testing.T) {
	one, no := []string{"p.TestX"}, []string(nil)
	for claim, tt := range map[string]struct {
		c    Clause
		good bool
	}{
		"both polarities":              {Clause{Positive: one, Negative: one}, true},
		"nothing":                      {Clause{Positive: no}, false},
		"a positive test alone":        {Clause{Positive: one}, false},
		"a negative test alone":        {Clause{Negative: one}, false},
		"one and why":                  {Clause{Negative: one, Single: "there is no other"}, true},
		"why, without a test":          {Clause{Single: "there is no other"}, false},
		"why, and both":                {Clause{Positive: one, Negative: one, Single: "there is no other"}, false},
		"a gap":                        {Clause{Gap: differs + "nobody has done it yet"}, true},
		"a gap without a word":         {Clause{Gap: differs}, false},
		"a gap of another kind":        {Clause{Gap: "later"}, false},
		"an option with one test only": {Clause{Positive: one, Option: "virtual_mac"}, false},
	} {
		if got := len(faults(tt.c)) == 0; got != tt.good {
			t.Errorf("%s: faults %q", claim, faults(tt.c))
		}
	}
}

func TestNamedTestsExist(t *testing.T) {
	s := &source{t: t, packages: map[string]*tested{}}
	for _, d := range Documents() {
		for _, c := range d.Clauses {
			for _, name := range slices.Concat(c.Positive, c.Negative) {
				if why := s.find(name); why != "" {
					t.Errorf("%s names %s: %s", d.name(c), name, why)
				}
			}
		}
	}
	for name, there := range map[string]bool{
		"internal/vrrp.TestMaster":                                          true,
		"internal/vrrp.TestNobody":                                          false,
		"internal/vrrp.TestMaster/a pause alone says nothing":               true,
		"internal/vrrp.TestMaster/a second start has no effect":             false, // of another test
		"internal/vrrp.TestOpenVectors/type 2":                              true,  // of a variable
		"internal/nowhere.TestMaster":                                       false,
		"hcl.TestMistakes/vrid_zero":                                        true, // a file
		"hcl.TestMistakes/../../fuzz":                                       false,
		"internal/vrrp.TestMaster/655-670: a stop sends priority 0":         false, // a part of a name
		"internal/vrrp.machine_test":                                        false,
		"internal/vrrpd.TestConfigIsRefusedAsAWhole/priority 0":             true,
		"internal/vrrpd/announce.TestFrames/advertisement of a router":      true,
		"internal/vrrpd/announce.TestFrames/advertisement of a router/more": false,
	} {
		if why := s.find(name); (why == "") != there {
			t.Errorf("find %s: %q", name, why)
		}
	}
}

func TestDocumentIsGenerated(t *testing.T) {
	name := filepath.Join(root, "docs", "reference", "vrrp-conformance.md")
	if *update {
		if err := os.WriteFile(name, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Markdown(), string(got)); d != "" {
		t.Errorf("%s is stale; run go test ./test/conformance -update (-want +got):\n%s", name, d)
	}
}

func TestSectionsAreInOrder(t *testing.T) {
	sections := []string{"2.5", "5.1.1.2", "5.1.2.3", "5.2.9", "5.2.10", "6", "6.1", "8.4.2", "10.1"}
	if got := slices.SortedFunc(slices.Values([]string{"10.1", "6.1", "5.2.10", "2.5", "8.4.2", "5.2.9", "5.1.2.3", "6", "5.1.1.2"}), compareSections); !slices.Equal(got, sections) {
		t.Errorf("sections are %v, want %v", got, sections)
	}
}
