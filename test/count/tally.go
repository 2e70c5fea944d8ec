package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// An event is one line of `go test -json` (go doc test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of a package that does not build
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// maxOutput bounds what is kept of one test; of a longer output the end is what matters.
const maxOutput = 1 << 20

// A test is one test or subtest.
type test struct {
	result string // "", "pass", "fail" or "skip"
	ran    bool   // it is a test, not just a part of the name of one that has a slash in it
	parent bool   // it has subtests
	output []byte
}

// A pkg is what is known of one package.
type pkg struct {
	tests  map[string]*test
	output []byte // that belongs to no test
}

// A tally counts the tests of a run, each leaf once.
type tally struct {
	out      io.Writer
	packages map[string]*pkg
	builds   map[string][]byte // output of compilers by import path

	passed, failed, skipped int
	skips                   []string // what was skipped and why
}

func newTally(out io.Writer) *tally {
	return &tally{out: out, packages: map[string]*pkg{}, builds: map[string][]byte{}}
}

// add takes the next event, and prints what a package came to when it is done.
func (t *tally) add(e event) {
	switch e.Action {
	case "build-output":
		t.builds[e.ImportPath] = appendTail(t.builds[e.ImportPath], e.Output)
		return
	case "build-fail":
		return // the package's own failure follows, and names the build
	}
	p := t.packages[e.Package]
	if p == nil {
		p = &pkg{tests: map[string]*test{}}
		t.packages[e.Package] = p
	}
	if e.Test == "" {
		t.addPackage(p, e)
		return
	}
	c := p.test(e.Test)
	c.ran = true
	switch e.Action {
	case "output":
		c.output = appendTail(c.output, e.Output)
	case "pass", "fail", "skip":
		c.result = e.Action
	}
}

// test returns the named test, and notes that those above it have subtests.
func (p *pkg) test(name string) *test {
	c := p.tests[name]
	if c == nil {
		c = &test{}
		p.tests[name] = c
		for up := name; strings.Contains(up, "/"); {
			up = up[:strings.LastIndex(up, "/")]
			p.test(up).parent = true
		}
	}
	return c
}

func appendTail(b []byte, s string) []byte {
	b = append(b, s...)
	if len(b) > 2*maxOutput {
		b = slices.Clone(b[len(b)-maxOutput:])
	}
	return b
}

func (t *tally) addPackage(p *pkg, e event) {
	switch e.Action {
	case "output":
		p.output = appendTail(p.output, e.Output)
	case "pass", "fail", "skip":
		t.finish(p, e)
		delete(t.packages, e.Package)
	}
}

// finish counts a package that is done and prints its line; failures are printed whole.
func (t *tally) finish(p *pkg, e event) {
	names := make([]string, 0, len(p.tests))
	for n := range p.tests {
		names = append(names, n)
	}
	slices.SortFunc(names, cmp.Compare)
	passed, failed, skipped := 0, 0, 0
	for _, n := range names {
		c := p.tests[n]
		switch {
		case !c.ran:
		case c.result == "skip" && !c.parent:
			skipped++
			t.skips = append(t.skips, fmt.Sprintf("%s %s: %s", e.Package, n, reason(c.output)))
		case c.result == "pass" && !c.parent:
			passed++
		case c.result == "fail" || c.result == "":
			// A parent counts only if none of its subtests says why.
			if !c.parent || !p.failedBelow(n) {
				failed++
			}
			if c.result == "" {
				fmt.Fprintf(t.out, "--- LOST: %s %s: go test reported no result\n", e.Package, n)
			}
			fmt.Fprintf(t.out, "%s", c.output)
		}
	}
	if e.Action == "fail" && failed == 0 {
		failed++ // it does not build, or ended before its tests did
		fmt.Fprintf(t.out, "%s%s", t.builds[e.FailedBuild], p.output)
	} else if e.Action == "fail" {
		fmt.Fprintf(t.out, "%s", p.output)
	}
	t.passed, t.failed, t.skipped = t.passed+passed, t.failed+failed, t.skipped+skipped
	if len(names) == 0 && e.Action != "fail" {
		return // no test files
	}
	word := map[string]string{"pass": "ok", "skip": "ok", "fail": "FAIL"}[e.Action]
	took := time.Duration(e.Elapsed * float64(time.Second)).Round(10 * time.Millisecond)
	fmt.Fprintf(t.out, "%-4s  %-60s %8s  %4d tests\n", word, e.Package, took, passed+failed+skipped)
}

// failedBelow reports whether a subtest of name failed.
func (p *pkg) failedBelow(name string) bool {
	for n, c := range p.tests {
		if strings.HasPrefix(n, name+"/") && c.ran && (c.result == "fail" || c.result == "") {
			return true
		}
	}
	return false
}

// reason returns the line in which a test said why it was skipped.
func reason(output []byte) string {
	for _, line := range slices.Backward(strings.Split(string(output), "\n")) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "===") {
			return line
		}
	}
	return "no reason given"
}

// close counts packages that never said how they ended, and prints what was skipped.
func (t *tally) close() {
	for name, p := range t.packages {
		fmt.Fprintf(t.out, "FAIL  %s did not finish\n", name)
		t.finish(p, event{Action: "fail", Package: name})
	}
	for _, s := range t.skips {
		fmt.Fprintf(t.out, "skip  %s\n", s)
	}
}

// summary is the last line.
func (t *tally) summary() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}
