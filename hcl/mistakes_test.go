package hcl

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what was got into the golden files")

// TestMistakes holds one file per mistake: the input, and under "want" what people are told.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil || len(files) < 50 {
		t.Fatalf("found %d mistakes, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			tree, want := split(a)
			ds := diagnose(tree)
			got := text(ds)
			if strings.Contains(got, "hunter2") {
				t.Errorf("a sensitive value is shown:\n%s", got)
			}
			if len(ds) == 0 {
				t.Fatal("nothing was found")
			}
			for _, d := range ds {
				if d.File == "" || d.Summary == "" || d.Detail == "" && d.Severity == "" {
					t.Errorf("diagnostic without file or text: %+v", d)
				}
			}
			if *update {
				a.Files[len(a.Files)-1].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("diagnostics (-want +got):\n%s", d)
			}
		})
	}
}

func split(a *txtar.Archive) (Tree, string) {
	tree, want := Tree{}, ""
	for _, f := range a.Files {
		if f.Name == "want" {
			want = string(f.Data)
		} else {
			tree[f.Name] = f.Data
		}
	}
	return tree, want
}

// diagnose compiles whatever the tree holds: an agent, a lab, or a cluster.
func diagnose(tree Tree) Diagnostics {
	if b, ok := tree["agent.hcl"]; ok {
		_, ds := ParseAgent("agent.hcl", b)
		return ds
	}
	c, ds := Compile(tree, Options{})
	if b, ok := tree["lab.hcl"]; ok && c != nil {
		_, ds = ParseLab("lab.hcl", b, c)
	}
	return ds
}
