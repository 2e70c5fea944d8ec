package probe

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestFile(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	file("web-rs1", "up")
	for _, tt := range []struct {
		name, path string
		dynamic    bool
		want       Outcome
		err        string // of the end of it
	}{
		{"up passes", file("up", "up\n"), false, Outcome{Message: " says up"}, ""},
		{"down fails", file("down", " down "), false, Outcome{}, " says down"},
		{"0 fails", file("0", "0\n"), false, Outcome{}, " says 0"},
		{"a number passes", file("7", "7"), false, Outcome{Message: " says 7"}, ""},
		{"and is the weight of a dynamic check", file("7", "7"), true, Outcome{Message: " says weight 7", Weight: 7, HasWeight: true}, ""},
		{"up leaves the weight as it is written", file("up", "up"), true, Outcome{Message: " says up"}, ""},
		{"names of server and pool", filepath.Join(dir, "{pool}-{server}"), false, Outcome{Message: " says up"}, ""},
		{"nothing says nothing", file("empty", ""), false, Outcome{Unmeasured: true}, `says "", want up, down or a number to 65535`},
		{"another word says nothing", file("word", "UP"), false, Outcome{Unmeasured: true}, `says "UP", want up, down or a number to 65535`},
		{"a number that is no weight says nothing", file("big", "65536"), true, Outcome{Unmeasured: true}, `says "65536", want up, down or a number to 65535`},
		{"a negative number says nothing", file("minus", "-1"), true, Outcome{Unmeasured: true}, `says "-1", want up, down or a number to 65535`},
		{"a long file says nothing", file("long", strings.Repeat("u", 1<<20)), false, Outcome{Unmeasured: true}, "is longer than 64 bytes"},
		{"a file that is gone says nothing", filepath.Join(dir, "none"), false, Outcome{Unmeasured: true}, "no such file or directory"},
		{"a folder says nothing", dir, false, Outcome{Unmeasured: true}, "is no regular file"},
		{"a pipe says nothing, and nobody waits for it", fifo, false, Outcome{Unmeasured: true}, "is no regular file"},
		{"a device says nothing", "/dev/zero", false, Outcome{Unmeasured: true}, "is no regular file"},
	} {
		c := spec.Check{Type: "file", Timeout: 5 * time.Second, Dynamic: tt.dynamic, File: &spec.FileCheck{Path: tt.path}}
		got := see(t, c, netip.AddrPort{})
		if (got.Err != nil) != (tt.err != "") || got.Err != nil && !strings.HasSuffix(got.Err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q", tt.name, got.Err, tt.err)
		}
		if !strings.HasSuffix(got.Message, tt.want.Message) {
			t.Errorf("%s: message %q, want %q", tt.name, got.Message, tt.want.Message)
		}
		got.Err, got.Message, tt.want.Message = nil, "", ""
		if got != tt.want {
			t.Errorf("%s: probe = %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestNamesAreNoWayOutOfAFolder(t *testing.T) {
	for _, name := range []string{"..", "a/b", "../x"} {
		if _, err := New(spec.Check{Type: "file", File: &spec.FileCheck{Path: "/run/{server}/x"}}, Target{Server: name}, Options{}); err == nil {
			t.Errorf("New with server %q = nil, want an error", name)
		}
	}
}
