package arch

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The bounds of docs/STYLE.md.
const (
	maxFileLines     = 400
	maxFunctionLines = 60
)

func TestPackages(t *testing.T) {
	empty := []string{"util", "utils", "common", "misc", "types", "helper", "helpers", "shared", "base"}
	for _, p := range all(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 && !matches(p.path(), "plugins/proto/hareconcile/...") { // generated
			t.Errorf("%s has no package comment", p.path())
		}
		if slices.Contains(empty, filepath.Base(p.path())) || slices.Contains(empty, p.Name) {
			t.Errorf("%s has a name that says nothing", p.path())
		}
	}
}

func TestSizes(t *testing.T) {
	parsed(t, func(file string, fset *token.FileSet, f *ast.File) {
		if ast.IsGenerated(f) {
			return
		}
		if n := fset.Position(f.FileEnd).Line; n > maxFileLines {
			t.Errorf("%s has %d lines: split it by %d", file, n, maxFileLines)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "test/") {
				continue // a test may be a story
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1 - cases(fn); n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines: a function fits on a screen (%d)", file, fn.Name.Name, n, maxFunctionLines)
			}
		}
	})
}

// cases counts the case lines in a function: a flat switch is a table and reads like one.
func cases(fn *ast.FuncDecl) int {
	n := 0
	ast.Inspect(fn, func(node ast.Node) bool {
		switch node.(type) {
		case *ast.CaseClause, *ast.CommClause:
			n++
		}
		return true
	})
	return n
}

// TestTestsDoNotSleep lets a test wait for events only. In a synctest bubble time is made
// up, so sleeping there is exact and free.
func TestTestsDoNotSleep(t *testing.T) {
	parsed(t, func(file string, fset *token.FileSet, f *ast.File) {
		if !strings.HasSuffix(file, "_test.go") || slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing/synctest"` }) {
			return
		}
		if lines := called(fset, f)["time.Sleep"]; len(lines) > 0 {
			t.Errorf("%s:%d: a test waits for an event, not for time", file, lines[0])
		}
	})
}

// TestSkipsHaveOneDoor keeps skipping in nstest.Need, where HARECONCILE_TEST_REQUIRE forbids it.
func TestSkipsHaveOneDoor(t *testing.T) {
	parsed(t, func(file string, fset *token.FileSet, f *ast.File) {
		if strings.HasPrefix(file, "internal/nstest/") {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
				if x, ok := sel.X.(*ast.Ident); ok && slices.Contains([]string{"t", "b", "f", "tb"}, x.Name) {
					t.Errorf("%s:%d: skip through nstest.Need", file, fset.Position(n.Pos()).Line)
				}
			}
			return true
		})
	})
}

// aPath is a path of this repository in backticks.
var aPath = regexp.MustCompile("`((?:cmd|dist|docs|examples|hcl|internal|plugins|policies|reconcile|test|\\.ci)(?:/[A-Za-z0-9_.*<>-]+)*/?)`")

// aLink is a link to a file of this repository.
var aLink = regexp.MustCompile(`\]\(([^)#: ]+)\)`)

// TestDocumentsNamePathsThatExist follows every link, and every path that the documents put
// in backticks. A component in angle brackets or with a star stands for any name.
func TestDocumentsNamePathsThatExist(t *testing.T) {
	var docs []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, found...)
	}
	anyName := regexp.MustCompile(`<[^>]*>`)
	checked := 0
	for _, doc := range docs {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range aPath.FindAllStringSubmatch(string(text), -1) {
			checked++
			path := strings.TrimSuffix(anyName.ReplaceAllString(m[1], "*"), "/...")
			found, err := filepath.Glob(filepath.Join(root, path))
			if err != nil || len(found) == 0 {
				t.Errorf("%s names %s, which does not exist", filepath.Base(doc), m[1])
			}
		}
		for _, m := range aLink.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", filepath.Base(doc), m[1])
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d paths were found in the documents", checked)
	}
}
