package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

// TestMain lets the test binary be the children that the commands start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "internal" {
		main()
	}
	code := m.Run()
	if scaffolds != "" {
		_ = os.RemoveAll(scaffolds) // of no effect on what the tests have found
	}
	os.Exit(code)
}

// A result is what one command line did.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a command line with that standard input.
func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	e := &env{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs}
	return result{dispatch(t.Context(), e, args), out.String(), errs.String()}
}

// want fails the test unless r has that exit code and its streams match the patterns, one
// for standard output and one for standard error.
func (r result) want(t *testing.T, code int, stdout, stderr string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code = %d, want %d", r.code, code)
	}
	for _, s := range []struct{ name, got, want string }{{"stdout", r.stdout, stdout}, {"stderr", r.stderr, stderr}} {
		if !regexp.MustCompile("(?m)"+s.want).MatchString(s.got) || s.want == "" && s.got != "" {
			t.Errorf("%s = %q, want a match of %q", s.name, s.got, s.want)
		}
	}
}

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

func TestHelpNamesExactlyTheFlagsThatACommandHas(t *testing.T) {
	option := regexp.MustCompile(`(?m)^  (-[a-z-]+)`)
	cs, _ := visible()
	for _, c := range cs {
		if c.name == "lab" || c.name == "plugin" || c.name == "help" {
			continue // these take words
		}
		t.Run(c.name, func(t *testing.T) {
			r := run(t, "", c.name, "-help")
			r.want(t, 0, "^Usage: hareconcile "+c.name, "")
			var has []string
			for _, m := range option.FindAllStringSubmatch(r.stdout, -1) {
				has = append(has, m[1])
			}
			says := c.flagsOf()
			slices.Sort(says)
			slices.Sort(has)
			if d := cmp.Diff(has, says); d != "" {
				t.Errorf("synopsis (-flags +synopsis):\n%s", d)
			}
		})
	}
}

func TestAnAgentNeedsItsFile(t *testing.T) {
	if err := new(host).mayFollow("/x/agent.hcl"); err == nil || !strings.Contains(err.Error(), "the agent needs /x/agent.hcl") {
		t.Errorf("mayFollow() without a source = %v, want the file's name", err)
	}
}

func TestASlipIsAnsweredWithACommand(t *testing.T) {
	for _, tt := range []struct{ slip, want string }{
		{"plna", "plan"}, {"aply", "apply"}, {"stauts", "status"}, {"x", ""},
		{"", ""}, {"intrnal", ""}, {strings.Repeat("plan", 100), ""},
	} {
		var out strings.Builder
		unknownCommand(&env{stderr: &out}, tt.slip)
		_, hint, _ := strings.Cut(out.String(), "Did you mean ")
		if got, _, _ := strings.Cut(hint, "?"); strings.Trim(got, `"`) != tt.want {
			t.Errorf("hint for %q = %q, want %q", tt.slip, got, tt.want)
		}
	}
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	for _, args := range [][]string{
		{"-a", "1", "x", "y"}, {"x", "-a", "1", "y"}, {"x", "y", "--a=1"}, {"-a=1", "--", "x", "y"},
	} {
		fs := flag.NewFlagSet("test", flag.ContinueOnError)
		a := fs.Int("a", 0, "")
		if err := parseMixed(fs, args); err != nil {
			t.Errorf("parseMixed(%q) = %v", args, err)
		}
		if got := fmt.Sprint(*a, fs.Args()); got != "1 [x y]" {
			t.Errorf("parseMixed(%q) gives %s, want 1 [x y]", args, got)
		}
	}
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.Int("a", 0, "")
	if err := parseMixed(fs, []string{"x", "--", "-a", "1"}); err != nil || fmt.Sprint(fs.Args()) != "[x -a 1]" {
		t.Errorf("after -- everything is an argument: %v, %v", fs.Args(), err)
	}
}
