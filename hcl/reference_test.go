package hcl

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReferenceIsGenerated(t *testing.T) {
	name := filepath.Join("..", "docs", "reference", "language.md")
	if *update {
		if err := os.WriteFile(name, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Reference(), string(got)); d != "" {
		t.Errorf("%s is stale; run go test ./hcl -update (-want +got):\n%s", name, d)
	}
}

// TestSchemaIsDocumented keeps the tables whole: every row that works says what it is for.
func TestSchemaIsDocumented(t *testing.T) {
	ev := newEvaluator(newProgram(Tree{}, Options{}), nil)
	for _, file := range []*block{clusterFile, agentFile, labFile} {
		walkSchema(file, func(b *block) {
			if b.doc == "" && !b.later {
				t.Errorf("block %s has no doc", b.name)
			}
			rows := slices.Clone(b.attrs)
			for _, a := range b.attrs {
				rows = append(rows, a.fields...)
			}
			for _, a := range rows {
				if a.later {
					continue
				}
				if a.doc == "" || a.kind.name == "" {
					t.Errorf("attribute %s of %s has no doc or kind", a.name, b.name)
				}
				ev.fallback(&a) // panics if the default does not parse
				if a.required && a.def != "" {
					t.Errorf("attribute %s of %s is required and has a default", a.name, b.name)
				}
			}
		})
	}
	for name, f := range builtins {
		if f.doc == "" {
			t.Errorf("function %s has no doc", name)
		}
	}
}

func walkSchema(b *block, f func(*block)) {
	f(b)
	for _, c := range b.blocks {
		walkSchema(c, f)
	}
}
