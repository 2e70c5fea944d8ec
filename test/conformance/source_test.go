package conformance

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A source is the tests of this module, as far as they were asked for.
type source struct {
	t        *testing.T
	packages map[string]*tested
}

// A tested is one package's tests, and what its test files declare otherwise.
type tested struct {
	tests     map[string]*ast.FuncDecl
	variables map[string]ast.Node
}

// find says why there is no such test, or "".
func (s *source) find(name string) string {
	at := strings.Index(name, ".Test")
	if at < 0 {
		return "it is not PACKAGE.TEST"
	}
	path, test := name[:at], name[at+1:]
	test, row, has := strings.Cut(test, "/")
	p := s.open(path)
	f := p.tests[test]
	switch {
	case f == nil:
		return "there is no such test"
	case has && !p.literals(f)[row] && !isFile(path, row):
		return "the test has no such subtest or row"
	}
	return ""
}

// isFile reports whether a test that has a file for each subtest has one for that.
func isFile(path, row string) bool {
	if strings.ContainsAny(row, "/.") {
		return false
	}
	found, _ := filepath.Glob(filepath.Join(root, path, "testdata", "*", row+".txtar"))
	return len(found) == 1
}

// open parses the test files of a package.
func (s *source) open(path string) *tested {
	if p := s.packages[path]; p != nil {
		return p
	}
	p := &tested{map[string]*ast.FuncDecl{}, map[string]ast.Node{}}
	s.packages[path] = p
	dir := filepath.Join(root, path)
	entries, _ := os.ReadDir(dir) // of no such package nothing is found
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, d := range f.Decls {
			p.declare(d)
		}
	}
	return p
}

func (p *tested) declare(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && strings.HasPrefix(d.Name.Name, "Test") {
			p.tests[d.Name.Name] = d
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for i, name := range v.Names {
				if i < len(v.Values) {
					p.variables[name.Name] = v.Values[i]
				}
			}
		}
	}
}

// literals are the texts in a test and in the variables that it uses.
func (p *tested) literals(f *ast.FuncDecl) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		collect(n, out)
		if id, ok := n.(*ast.Ident); ok && p.variables[id.Name] != nil {
			ast.Inspect(p.variables[id.Name], func(n ast.Node) bool {
				collect(n, out)
				return true
			})
		}
		return true
	})
	return out
}

func collect(n ast.Node, into map[string]bool) {
	if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		if text, err := strconv.Unquote(lit.Value); err == nil {
			into[text] = true
		}
	}
}
