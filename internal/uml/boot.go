// Package uml runs a program in a User-Mode Linux kernel on the host's own file system:
// a real kernel with ip_vs, as an ordinary process, in about two seconds.
package uml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Program is the kernel that Debian's package user-mode-linux installs.
const Program = "linux.uml"

// bootEnv names the variable that tells the guest's first process where its Config is.
const bootEnv = "HARECONCILE_UML"

// A Mount shares a folder of the host with the guest, writable.
type Mount struct {
	Host  string `json:"host"`
	Guest string `json:"guest"` // best below /run; GuestSetup makes it
}

// A Config describes one guest.
type Config struct {
	// Mem is the guest's memory as the kernel reads it; default "512M".
	Mem string
	// Init is the guest's first process, a program on the host's file system, and its
	// arguments, which must be free of spaces and quotes.
	Init []string
	// Env, Dir and Mounts take effect in GuestSetup.
	Env    []string
	Dir    string
	Mounts []Mount
	// Stdout gets the guest's console; nil drops it.
	Stdout io.Writer
	// Serial, if not nil, is the host's end of the guest's /dev/ttyS0.
	Serial *os.File
	// Linger lets the guest outlive the process that booted it. Otherwise the guest dies with it.
	Linger bool
}

// boot is what GuestSetup reads.
type boot struct {
	Env    []string `json:"env"`
	Dir    string   `json:"dir"`
	Mounts []Mount  `json:"mounts"`
}

// A Guest is a running kernel.
type Guest struct {
	cmd  *exec.Cmd
	dir  string
	done chan struct{} // closed when the kernel has ended
	err  error         // valid once done is closed
}

// Lookup returns the path of the kernel, or an error that says which package has it.
func Lookup() (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if _, err := os.Stat(filepath.Join(dir, "modprobe")); err == nil {
			path, err := exec.LookPath(Program)
			if err != nil {
				return "", fmt.Errorf("no %s (Debian package user-mode-linux): %w", Program, err)
			}
			return path, nil
		}
	}
	return "", errors.New("no modprobe (Debian package kmod)")
}

// Boot starts a guest. The end of ctx kills it.
func Boot(ctx context.Context, c Config) (*Guest, error) {
	kernel, err := Lookup()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "hareconcile-uml-")
	if err != nil {
		return nil, fmt.Errorf("boot user-mode linux: %w", err)
	}
	g := &Guest{dir: dir, done: make(chan struct{})}
	if err := g.prepare(ctx, kernel, c); err != nil {
		return nil, errors.Join(fmt.Errorf("boot user-mode linux: %w", err), os.RemoveAll(dir))
	}
	started := make(chan error)
	go g.run(started)
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("boot user-mode linux: %w", err), os.RemoveAll(dir))
	}
	return g, nil
}

// prepare writes the boot file and makes the command.
func (g *Guest) prepare(ctx context.Context, kernel string, c Config) error {
	args, err := commandLine(g.dir, c)
	if err != nil {
		return err
	}
	b, err := json.Marshal(boot{c.Env, c.Dir, c.Mounts})
	if err != nil {
		return err
	}
	if err := os.WriteFile(g.bootFile(), b, 0o600); err != nil {
		return err
	}
	g.cmd = exec.CommandContext(ctx, kernel, args...)
	g.cmd.Dir = "/"
	g.cmd.Stdout = c.Stdout
	if c.Serial != nil {
		g.cmd.ExtraFiles = []*os.File{c.Serial}
	}
	// A session of its own: a terminal's Ctrl-C is for the program that booted the guest.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !c.Linger {
		// Unlike SIGKILL, SIGTERM lets the kernel end the processes that run its programs.
		g.cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
	g.cmd.Cancel = func() error { return g.kill() }
	g.cmd.WaitDelay = 2 * time.Second
	return nil
}

func (g *Guest) bootFile() string { return filepath.Join(g.dir, "boot.json") }

// kill ends the kernel and the processes that run the guest's programs for it.
func (g *Guest) kill() error {
	return syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
}

// run waits for the guest on the thread that started it, because the kernel sends
// Pdeathsig when that thread ends (prctl(2)).
func (g *Guest) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := g.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	g.err = g.cmd.Wait()
	_ = g.kill() // what is left when the kernel itself died
	_ = os.RemoveAll(g.dir)
	close(g.done)
}

// Wait waits until the guest has halted.
func (g *Guest) Wait() error {
	<-g.done
	return g.err
}

// Pid returns the kernel's process id on the host.
func (g *Guest) Pid() int { return g.cmd.Process.Pid }

// commandLine returns the kernel's arguments.
func commandLine(dir string, c Config) ([]string, error) {
	if len(c.Init) == 0 || !filepath.IsAbs(c.Init[0]) {
		return nil, fmt.Errorf("init program %q is not an absolute path", c.Init)
	}
	for _, a := range append([]string{dir}, c.Init...) {
		if a == "" || strings.ContainsAny(a, " \t\r\n\"'") {
			return nil, fmt.Errorf("%q is empty or has a space or a quote, which a kernel's command line cannot carry", a)
		}
	}
	mem := c.Mem
	if mem == "" {
		mem = "512M"
	}
	args := []string{
		"mem=" + mem, "uml_dir=" + dir + "/",
		"root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
		"init=" + c.Init[0],
		// Without console= the kernel appends one, behind the arguments of init.
		"console=tty0", "con=null", "con0=null,fd:1", "quiet",
	}
	if c.Serial != nil {
		args = append(args, "ssl0=fd:3")
	}
	args = append(args, bootEnv+"="+filepath.Join(dir, "boot.json"), "--")
	return append(args, c.Init[1:]...), nil
}
