package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spawn/become"
)

// TestStartOfAPluginInitialisesLittle: what links as much as the agent does initialises
// hundreds of packages, and a process that is to be a plugin only what it needs before.
func TestStartOfAPluginInitialisesLittle(t *testing.T) {
	program, err := os.Open("/bin/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	said, trouble, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const files, most = 7, 64 // RLIMIT_NOFILE, and a number of packages
	cmd := exec.Command(self)
	cmd.Args = become.Args("hello", []become.Limit{{Resource: files, Most: 100}})
	cmd.Env = []string{"GODEBUG=inittrace=1"}
	cmd.ExtraFiles = []*os.File{program, trouble}
	var heard strings.Builder
	cmd.Stderr = &heard
	out, err := cmd.Output()
	trouble.Close()
	if err != nil || string(out) != "\n" {
		text, _ := io.ReadAll(said)
		t.Fatalf("echo said %q, %v, %s", out, err, text)
	}
	if n := strings.Count(heard.String(), "init "); n == 0 || n > most || strings.Contains(heard.String(), "hareconcile/hcl") {
		t.Errorf("%d packages were initialised, want some and at most %d:\n%s", n, most, heard.String())
	}
}
