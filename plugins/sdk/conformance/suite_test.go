package conformance

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/plugins/proto"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// TestMain lets the test binary be the plugins that the tests look at.
func TestMain(m *testing.M) {
	switch name, ours := strings.CutPrefix(filepath.Base(os.Args[0]), proto.BinaryPrefix); {
	case !ours:
		os.Exit(m.Run())
	case name == "print":
		os.Stdout.WriteString("hello, I am a plugin\n")
		sdk.Serve(&sdk.Config{Name: name, Version: "1", Track: bad(name)})
	case name == "alias":
		sdk.Serve(&sdk.Config{Name: "another", Version: "1", Track: bad(name)})
	default:
		sdk.Serve(&sdk.Config{Name: name, Version: "1", Track: bad(name)})
	}
}

// A bad tracker does one thing wrong.
type bad string

func (b bad) Schema() sdk.Schema {
	s := sdk.Schema{"path": {Type: sdk.String, Description: "a path"}}
	if b == "wordless" {
		s["path"] = sdk.Attribute{Type: sdk.String}
	}
	return s
}

func (b bad) New(context.Context, sdk.Value) (sdk.Instance, error) { return b, nil }

// kept is what a leaky plugin does not give back.
var kept []any

func (b bad) Check(context.Context) (sdk.Result, error) {
	switch b {
	case "files":
		f, err := os.Open("/dev/null")
		kept = append(kept, f)
		return sdk.Result{Status: sdk.Pass, Detail: "x"}, err
	case "memory":
		kept = append(kept, slices.Repeat([]byte{1}, 64<<10))
	case "silent":
		return sdk.Result{Status: sdk.Pass}, nil
	case "exit":
		os.Exit(3)
	}
	return sdk.Result{Status: sdk.Pass, Detail: "fine"}, nil
}

// TestEveryFaultIsFound has a plugin for each thing that can be wrong, and one that is right.
func TestEveryFaultIsFound(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, tt := range []struct{ plugin, test, problem string }{
		{"good", "", ""},
		{"print", "its first output is the handshake", "hello, I am a plugin"},
		{"alias", "-describe prints the schema", `name "another", want "alias"`},
		{"wordless", "-describe prints the schema", "has no description"},
		{"files", "1,000 checks leave nothing behind", "descriptors, at most"},
		{"memory", "1,000 checks leave nothing behind", "bytes of memory, at most"},
		{"silent", "it checks what it was configured for", "has no detail"},
		{"exit", "it keeps to deadlines", "Unavailable"},
	} {
		t.Run(tt.plugin, func(t *testing.T) {
			path := filepath.Join(dir, proto.BinaryPrefix+tt.plugin)
			if err := os.Symlink(self, path); err != nil {
				t.Fatal(err)
			}
			for _, c := range Tests() {
				if tt.test != "" && c.Name != tt.test {
					continue
				}
				o := c.Run(t.Context(), Options{Binary: path})
				if all := strings.Join(o.Problems, "\n"); o.Passed != (tt.problem == "") || !strings.Contains(all, tt.problem) {
					t.Errorf("%s: passed = %v with %q, want %q", o.Name, o.Passed, all, tt.problem)
				}
			}
		})
	}
}

func TestDescribeIsBounded(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct{ script, want string }{
		"flood":   {"exec yes", "-describe"},
		"fails":   {"echo no such thing >&2; exit 3", `exit status 3: "no such thing"`},
		"garbage": {"echo hello", "printed no schema"},
		"much":    {"head -c 300000 /dev/zero", "more than 262144 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, proto.BinaryPrefix+name)
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			if _, _, err := Describe(t.Context(), Options{Binary: path}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Describe = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct{ script, want string }{
		"naked":  {`echo "1|1|unix|$PLUGIN_UNIX_SOCKET_DIR/x|grpc"; exec sleep 60`, "it has no certificate"},
		"stacks": {"echo calls >&2; echo No module named x >&2; exit 1", "the last line of its errors: No module named x"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, proto.BinaryPrefix+name)
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			p, err := Start(Options{Binary: path})
			if err == nil {
				p.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Start = %v, want one line with %q", err, tt.want)
			}
		})
	}
}
