package hcl

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadTreeTakesTheFilesOfTheLanguage(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"cluster.hcl": "a", "prod.hcvars": "b", "conf.d/web.hcl": "c", "policies/x.policy.hcl": "d",
		"haproxy.schema.json": "e", "README.md": "no", ".git/x.hcl": "no", "conf.d/data.json": "no",
	})
	tree, err := ReadTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"cluster.hcl", "conf.d/web.hcl", "haproxy.schema.json", "policies/x.policy.hcl", "prod.hcvars"}
	if d := cmp.Diff(want, sortedKeys(tree)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
}

func TestReadTreeRefusesLinks(t *testing.T) {
	for _, link := range []string{"x.hcl", "conf.d"} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"cluster.hcl": "a"})
		if err := os.Symlink("/etc", filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadTree(dir); err == nil || !strings.Contains(err.Error(), link) {
			t.Errorf("ReadTree with link %s: %v", link, err)
		}
	}
}

func TestReadTreeBounds(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"cluster.hcl": strings.Repeat("#\n", maxFileBytes)})
	tree, err := ReadTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, ds := Compile(tree, Options{}); !ds.HasErrors() {
		t.Error("a file over the limit was accepted")
	}
	for i := range 6 {
		write(t, dir, map[string]string{strings.Repeat("x", i+1) + ".hcl": strings.Repeat("#\n", maxFileBytes/2)})
	}
	if _, err := ReadTree(dir); err == nil {
		t.Error("a folder over the limit was accepted")
	}
	if _, err := ReadTree(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing folder was accepted")
	}
}

func TestFormat(t *testing.T) {
	got, ds := Format("x.hcl", []byte("a=1\nlonger  =   [1,2]\nb {\nc=1\n}\n"))
	if ds.HasErrors() {
		t.Fatal(text(ds))
	}
	want := "a      = 1\nlonger = [1, 2]\nb {\n  c = 1\n}\n"
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("Format (-want +got):\n%s", d)
	}
	if _, ds := Format("x.hcl", []byte("a = (")); !ds.HasErrors() || ds[0].File != "x.hcl" {
		t.Errorf("Format of a broken file: %v", ds)
	}
}

func TestExamplesAreFormatted(t *testing.T) {
	for name, b := range example(t) {
		got, ds := Format(name, b)
		if ds.HasErrors() {
			t.Fatal(text(ds))
		}
		if d := cmp.Diff(string(b), string(got)); d != "" {
			t.Errorf("%s is not formatted (-file +formatted):\n%s", name, d)
		}
	}
}

func TestWriteText(t *testing.T) {
	ds := Diagnostics{
		{Severity: Error, Summary: "Unknown attribute", Detail: "Why.", File: "a.hcl", Start: Pos{3, 5}, End: Pos{3, 8}, Snippet: "    foo = 1"},
		{Severity: Warning, Summary: "Careful"},
	}
	var b strings.Builder
	if err := ds.WriteText(&b, true); err != nil {
		t.Fatal(err)
	}
	want := "\x1b[1;31mError:\x1b[0m Unknown attribute\n\n  on a.hcl line 3, column 5 (a.hcl:3,5):\n   3:     foo = 1\n          ^^^\n\nWhy.\n\n\x1b[1;33mWarning:\x1b[0m Careful\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("WriteText (-want +got):\n%s", d)
	}
}

func TestProgressNamesEachFileBeforeItIsParsed(t *testing.T) {
	var got []string
	compile(t, Tree{
		"cluster.hcl":  []byte(small + "include {\n  paths = [\"conf.d/*.hcl\"]\n}\n"),
		"conf.d/b.hcl": nil, "conf.d/a.hcl": nil, "x.hcvars": nil,
	}, Options{Progress: func(f string) { got = append(got, f) }})
	if want := []string{"cluster.hcl", "conf.d/a.hcl", "conf.d/b.hcl", "x.hcvars"}; !slices.Equal(got, want) {
		t.Errorf("progress = %v, want %v", got, want)
	}
}

func TestVersions(t *testing.T) {
	for _, row := range []struct {
		have, want string
		fits, bad  bool
	}{
		{"0.1.0-dev", ">= 0.1", true, false},
		{"0.1.0", ">= 0.1, < 1.0", true, false},
		{"0.1.0", "> 0.1", false, false},
		{"1.2.3", "~> 1.1", true, false},
		{"2.0.0", "~> 1.1", false, false},
		{"1.2.3", "~> 1.2.0", true, false},
		{"1.3.0", "~> 1.2.0", false, false},
		{"1.2.3", "!= 1.2.3", false, false},
		{"1.2.3", "1.2.3", true, false},
		{"1.2.3", "<= 1.2.2", false, false},
		{"1.2.3", "=> 1.0", false, true},
		{"1.2.3", "", false, true},
		{"1.2.3", ">= 1.0,", false, true},
		{"1.2.3", ">= 1.0.0.0", false, true},
	} {
		fits, err := satisfies(row.have, row.want)
		if fits != row.fits && err == nil || (err != nil) != row.bad {
			t.Errorf("satisfies(%q, %q) = %v, %v, want %v", row.have, row.want, fits, err, row.fits)
		}
	}
}
