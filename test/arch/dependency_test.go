package arch

import (
	"bufio"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dependencies is the table that says who may import what. It is the rule, not a copy of it.
const dependencies = root + "/docs/decisions/0002-dependencies.md"

var quoted = regexp.MustCompile("`([^`]+)`")

// rules reads the table: module -> the packages that may import it.
func rules(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open(dependencies)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string][]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		cells := strings.Split(s.Text(), "|")
		if len(cells) != 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		var importers []string
		for _, m := range quoted.FindAllStringSubmatch(cells[2], -1) {
			importers = append(importers, m[1])
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[1], -1) {
			out[m[1]] = importers
		}
	}
	if len(out) < 10 {
		t.Fatalf("%s names %d modules; is it a table of | module | importers | reason |?", dependencies, len(out))
	}
	return out
}

// moduleOf returns the module of the table that an import path belongs to, or "".
func moduleOf(imp string, table map[string][]string) string {
	best := ""
	for m := range table {
		if matches(imp, m+"/...") && len(m) > len(best) {
			best = m
		}
	}
	return best
}

func foreign(imp string) bool {
	return strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") && !strings.HasPrefix(imp+"/", module)
}

// TestDependencies holds every import of foreign code to the table: the module has a
// reason there, and the package is named as one that imports it. Tests may import any
// module of the table.
func TestDependencies(t *testing.T) {
	table := rules(t)
	used := map[string]bool{}
	for _, p := range all(t) {
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if !foreign(imp) {
				continue
			}
			m := moduleOf(imp, table)
			used[m] = true
			switch {
			case m == "":
				t.Errorf("%s imports %s, which docs/decisions/0002-dependencies.md does not name", p.path(), imp)
			case slices.Contains(p.Imports, imp) && !matches(p.path(), table[m]...) && !forTests(p):
				t.Errorf("%s imports %s; only %v may", p.path(), imp, table[m])
			}
		}
	}
	for m := range table {
		if !used[m] && !strings.Contains(strings.Join(table[m], " "), "go tool") {
			t.Errorf("docs/decisions/0002-dependencies.md names %s, which nothing imports", m)
		}
	}
}
