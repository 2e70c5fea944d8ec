package hcl

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// seed gives a fuzz test every mistake, the hostile files that are short, and the example.
// The loops that use up their budget, and a hundred thousand blocks, are left out: minimizing
// them would take the time of all.
func seed(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		if filepath.Base(name) == "for_each_too_many.txtar" {
			continue
		}
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		tree, _ := split(a)
		for _, b := range tree {
			if !bytes.Contains(b, []byte("[for a in range(1")) {
				f.Add(b)
			}
		}
	}
	for _, src := range hostile {
		if len(src) < 2000 && !strings.Contains(src, "[for a in range(1") {
			f.Add([]byte(src + small))
		}
	}
	for _, name := range []string{"lvs-dr", "lvs-mixed", "vrrp-complete", "haproxy"} {
		tree, err := ReadTree(filepath.Join("..", "examples", name))
		if err != nil {
			f.Fatal(err)
		}
		for _, b := range tree {
			f.Add(b)
		}
	}
}

// FuzzCompile wants an end, soon; a cluster or a reason; and a cluster that survives JSON.
func FuzzCompile(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		c, ds := Compile(Tree{"cluster.hcl": b}, Options{slices: tenth}) // which slow is for
		if took := time.Since(start); took > slow {
			t.Fatalf("took %s", took)
		}
		checkDiagnostics(t, ds)
		if (c == nil) != ds.HasErrors() {
			t.Fatalf("Compile() = %v with %s", c, text(ds))
		}
		if c == nil {
			return
		}
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back spec.Cluster
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(&back)
		if err != nil || !bytes.Equal(raw, again) {
			t.Fatalf("JSON changed: %s", cmp.Diff(string(raw), string(again)))
		}
		if twice, _ := Compile(Tree{"cluster.hcl": b}, Options{}); cmp.Diff(c, twice, compareNetip, comparePrefix) != "" {
			t.Fatal("two compilations differ")
		}
	})
}

// FuzzFormat wants text that formats to itself and means the same tokens.
func FuzzFormat(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		once, ds := Format("x.hcl", b)
		checkDiagnostics(t, ds)
		if ds.HasErrors() {
			return
		}
		twice, ds := Format("x.hcl", once)
		if ds.HasErrors() {
			t.Fatalf("formatted text does not parse: %s", text(ds))
		}
		if d := cmp.Diff(string(once), string(twice)); d != "" {
			t.Fatalf("formatting twice differs:\n%s", d)
		}
	})
}

// FuzzAgentAndLab wants an end for the host's own files, too.
func FuzzAgentAndLab(f *testing.F) {
	seed(f)
	tree, err := ReadTree(filepath.Join("..", "examples", "lvs-dr"))
	if err != nil {
		f.Fatal(err)
	}
	c, _ := Compile(tree, Options{})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ds := ParseAgent("agent.hcl", b)
		checkDiagnostics(t, ds)
		if (a == nil) != ds.HasErrors() {
			t.Fatalf("ParseAgent() = %v with %s", a, text(ds))
		}
		l, ds := ParseLab("lab.hcl", b, c)
		checkDiagnostics(t, ds)
		if (l == nil) != ds.HasErrors() {
			t.Fatalf("ParseLab() = %v with %s", l, text(ds))
		}
	})
}

func checkDiagnostics(t *testing.T, ds Diagnostics) {
	t.Helper()
	if len(ds) > maxDiagnostics+1 {
		t.Fatalf("%d diagnostics", len(ds))
	}
	for _, d := range ds {
		if d.Summary == "" || d.File == "" && len(ds) <= maxDiagnostics {
			t.Fatalf("diagnostic without file or text: %+v", d)
		}
	}
	_ = text(ds)
}
