package hcl

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func text(ds Diagnostics) string {
	var b strings.Builder
	_ = ds.WriteText(&b, false)
	return b.String()
}

// compile compiles a tree that has to be right.
func compile(t *testing.T, tree Tree, o Options) *spec.Cluster {
	t.Helper()
	c, ds := Compile(tree, o)
	if ds.HasErrors() {
		t.Fatalf("Compile() has errors:\n%s", text(ds))
	}
	return c
}

func example(t *testing.T) Tree {
	t.Helper()
	tree, err := ReadTree(filepath.Join("..", "examples", "lvs-dr"))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

var compareNetip = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
var comparePrefix = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestReferenceCluster(t *testing.T) {
	c := compile(t, example(t), Options{Node: "ka2"})
	got, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var back spec.Cluster
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, &back, compareNetip, comparePrefix); d != "" {
		t.Errorf("the cluster changed on its way through JSON (-before +after):\n%s", d)
	}
}

func TestLab(t *testing.T) {
	tree := example(t)
	l, ds := ParseLab("lab.hcl", tree["lab.hcl"], compile(t, tree, Options{}))
	if ds.HasErrors() {
		t.Fatal(text(ds))
	}
	want := []string{"ka1", "ka2", "rs1", "rs2"}
	if d := cmp.Diff(want, l.Segments[0].Nodes); d != "" {
		t.Errorf("nodes of segment lan (-want +got):\n%s", d)
	}
}
