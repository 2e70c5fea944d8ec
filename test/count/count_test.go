package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	for _, c := range []struct {
		claim, events, want string
		prints              []string
	}{
		{"leaves are counted, parents are not", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/x"}
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"run","Package":"p","Test":"A/y/z"}
{"Action":"pass","Package":"p","Test":"A/y/z"}
{"Action":"pass","Package":"p","Test":"A/y"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Elapsed":1.5}`, "2 passed, 0 failed, 0 skipped", []string{"ok", "1.5s", "2 tests"}},
		{"a slash in a name makes no test of what is before it", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/docs/x.md"}
{"Action":"pass","Package":"p","Test":"A/docs/x.md"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p"}`, "1 passed, 0 failed, 0 skipped", nil},
		{"a failure is printed whole", `
{"Action":"output","Package":"p","Test":"A/x","Output":"what went wrong\n"}
{"Action":"fail","Package":"p","Test":"A/x"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"B"}
{"Action":"fail","Package":"p"}`, "1 passed, 1 failed, 0 skipped", []string{"what went wrong", "FAIL"}},
		{"a parent that fails by itself counts", `
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}`, "1 passed, 1 failed, 0 skipped", nil},
		{"a skip says why", `
{"Action":"output","Package":"p","Test":"A","Output":"=== RUN   A\n"}
{"Action":"output","Package":"p","Test":"A","Output":"    x_test.go:1: needs root: not root\n"}
{"Action":"output","Package":"p","Test":"A","Output":"--- SKIP: A (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"A"}
{"Action":"pass","Package":"p"}`, "0 passed, 0 failed, 1 skipped", []string{"skip  p A: x_test.go:1: needs root: not root"}},
		{"a package that does not build has failed", `
{"Action":"build-output","ImportPath":"p [p.test]","Output":"p.go:1: undefined: x\n"}
{"Action":"build-fail","ImportPath":"p [p.test]"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`, "0 passed, 1 failed, 0 skipped", []string{"undefined: x"}},
		{"a test that never ended has failed", `
{"Action":"output","Package":"p","Test":"A","Output":"panic: boom\n"}
{"Action":"fail","Package":"p"}`, "0 passed, 1 failed, 0 skipped", []string{"boom"}},
		{"a package that ends early has failed", `
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Output":"exit status 3\n"}
{"Action":"fail","Package":"p"}`, "1 passed, 1 failed, 0 skipped", []string{"exit status 3"}},
		{"a package that never ended has failed", `
{"Action":"pass","Package":"p","Test":"A"}`, "1 passed, 1 failed, 0 skipped", []string{"did not finish"}},
		{"a package without tests counts nothing", `
{"Action":"skip","Package":"p"}`, "0 passed, 0 failed, 0 skipped", nil},
		{"a line that was cut short ends all the same", `{"Action":"ru`, "0 passed, 0 failed, 0 skipped", []string{"{\"Action\":\"ru\n"}},
		{"other lines are passed on", "go: downloading\n", "0 passed, 0 failed, 0 skipped", []string{"downloading"}},
	} {
		t.Run(c.claim, func(t *testing.T) {
			var out bytes.Buffer
			tl := newTally(&out)
			read(strings.NewReader(strings.TrimSpace(c.events)), tl)
			tl.close()
			if got := tl.summary(); got != c.want {
				t.Errorf("summary = %q, want %q", got, c.want)
			}
			for _, p := range c.prints {
				if !strings.Contains(out.String(), p) {
					t.Errorf("output = %q, want %q in it", out.String(), p)
				}
			}
		})
	}
}

// TestRun counts a real package with one test of each sort.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.test/x\n\ngo 1.26\n",
		"x_test.go": `package x

import "testing"

func TestPass(t *testing.T) { t.Run("leaf", func(*testing.T) {}) }
func TestFail(t *testing.T) { t.Fatal("as it should") }
func TestSkip(t *testing.T) { t.Skip("no reason") }
`,
		"bad/bad_test.go": "package bad\n\nvar x = undefined\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	var out bytes.Buffer
	ok, err := run([]string{"./..."}, &out)
	if ok || err != nil {
		t.Errorf("run() = %v, %v, want a failure", ok, err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if got, want := lines[len(lines)-1], "1 passed, 2 failed, 1 skipped"; got != want {
		t.Errorf("last line = %q, want %q in\n%s", got, want, out.String())
	}
	for _, want := range []string{"as it should", "undefined: undefined", "TestSkip"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
}
