package uml_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/uml"
)

func TestSerialLineAndConsole(t *testing.T) {
	nstest.Need(t, "uml")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var console bytes.Buffer
	g, err := uml.Boot(t.Context(), uml.Config{
		Mem:    "128M",
		Init:   []string{script(t, "echo on the console $1; stty raw </dev/ttyS0; echo on the line >/dev/ttyS0; exec halt -f -p"), "argument"},
		Stdout: &console, Serial: w,
	})
	if err != nil {
		t.Fatal(err)
	}
	err = g.Wait()
	w.Close()
	line, _ := io.ReadAll(r)
	if err != nil || !strings.Contains(console.String(), "on the console argument") || string(line) != "on the line\n" {
		t.Errorf("guest ended with %v, line %q, console:\n%s", err, line, console.Bytes())
	}
}

func TestTheEndOfTheContextKillsEveryProcess(t *testing.T) {
	nstest.Need(t, "uml", "pgrep")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g, err := uml.Boot(ctx, uml.Config{
		Mem:    "128M",
		Init:   []string{script(t, "sh -c 'while :; do :; done' & echo ready; while :; do :; done")},
		Stdout: w,
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := readUntil(r, "ready"); err != nil {
		t.Fatal(err)
	}
	if n := processes(t, g.Pid()); n < 2 {
		t.Fatalf("%d processes in the guest's session, want the kernel and those of its programs", n)
	}
	cancel()
	if err := g.Wait(); err == nil {
		t.Error("Wait = nil after a kill, want an error")
	}
	deadline, tick := time.After(5*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for processes(t, g.Pid()) > 0 {
		select {
		case <-deadline:
			t.Fatal("processes of the guest are left after 5s")
		case <-tick.C:
		}
	}
}

func TestArgumentsThatTheCommandLineCannotCarry(t *testing.T) {
	nstest.Need(t, "uml")
	for _, init := range [][]string{nil, {"sh"}, {"/bin/sh", "a b"}, {"/bin/sh", ""}, {"/bin/sh", `"`}} {
		if _, err := uml.Boot(t.Context(), uml.Config{Init: init}); err == nil {
			t.Errorf("Boot(%q) succeeded, want an error", init)
		}
	}
}

func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "init")
	text := "#!/bin/sh\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin\n" + body + "\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func readUntil(r io.Reader, word string) error {
	var all []byte
	buf := make([]byte, 1024)
	for !bytes.Contains(all, []byte(word)) {
		n, err := r.Read(buf)
		if err != nil {
			return fmt.Errorf("guest ended before %q: %w: %s", word, err, all)
		}
		all = append(all, buf[:n]...)
	}
	return nil
}

// processes counts the processes of a session.
func processes(t *testing.T, session int) int {
	t.Helper()
	out, _ := exec.Command("pgrep", "-s", fmt.Sprint(session)).Output()
	return len(strings.Fields(string(out)))
}
