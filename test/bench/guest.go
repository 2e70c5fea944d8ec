package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/hareconcile/hareconcile/test/bench/qemu"
)

// guestPrograms are the others that the guest needs, and guestModules what its kernel needs.
var (
	guestPrograms = []string{"sh", "ip", "modprobe", "nsenter", "keepalived", "ipvsadm"}
	guestModules  = []string{"ip_vs", "ip_vs_wlc", "veth", "dummy"}
)

// guestBinaries are our programs that the guest needs, and where it has them.
var guestBinaries = map[string]string{
	"./cmd/hareconcile":       "/usr/bin/hareconcile",
	"./cmd/hareconcile-vrrpd": "/usr/bin/hareconcile-vrrpd",
}

// inGuest returns the part that runs another one in a guest, whose kernel has IPVS and a
// table that is nobody's.
func inGuest(name string, run part) part {
	guestParts[name] = run
	return func(ctx context.Context, b *bench) error {
		self := filepath.Join(b.dir, "bench")
		if err := static(ctx, "./test/bench", self); err != nil {
			return err
		}
		files := map[string]string{}
		for pkg, guest := range guestBinaries {
			host := filepath.Join(b.dir, "guest-"+filepath.Base(guest))
			if err := static(ctx, pkg, host); err != nil {
				return err
			}
			files[guest] = host
		}
		var console bytes.Buffer
		err := qemu.Run(ctx, qemu.Config{
			Self: self, Args: []string{"guest", name, strconv.FormatBool(b.quick)}, Programs: guestPrograms, Files: files, Modules: guestModules,
			Stdout: b.out, Console: &tail{w: os.Stderr, kept: &console},
		})
		if err != nil {
			return fmt.Errorf("%w; the guest's console:\n%s", err, console.Bytes())
		}
		return nil
	}
}

// guestParts are run by runGuest.
var guestParts = map[string]part{}

// runGuest is this program in a guest.
func runGuest(args []string) error {
	run := guestParts[args[0]]
	if run == nil {
		return fmt.Errorf("no part %q runs in a guest", args[0])
	}
	dir, err := os.MkdirTemp("", "hareconcile-bench-")
	if err != nil {
		return err
	}
	return errors.Join((&bench{dir: dir, out: os.Stdout, quick: args[1] == "true"}).measure(context.Background(), run), os.RemoveAll(dir))
}

// static builds a program that needs no libraries, once.
func static(ctx context.Context, pkg, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, bytes.TrimSpace(out))
	}
	return nil
}

// progressMark begins the lines of a guest's console that are for people.
const progressMark = "bench: "

// progress tells people how far it is.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, progressMark+format+"\n", args...)
}

// A tail shows lines of progress at once and keeps the others.
type tail struct {
	w    *os.File
	line []byte
	kept *bytes.Buffer
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	for _, c := range b {
		if t.line = append(t.line, c); c != '\n' {
			continue
		}
		if bytes.HasPrefix(t.line, []byte(progressMark)) {
			_, _ = t.w.Write(bytes.ReplaceAll(t.line, []byte("\r"), nil)) // nobody may be reading
		} else {
			t.kept.Write(t.line)
		}
		t.line = t.line[:0]
	}
	return len(b), nil
}
