package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A master is the process that a reload goes to.
type master struct {
	procs haproxy.Procs
	exe   string
	argv  []string
	env   []string
	cwd   string
}

// master finds the one that answers on m's master socket.
func (n *node) master(ctx context.Context, m Managed) (master, error) {
	asking, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	// What it says is a process whose program we run with our rights.
	reply, err := gone(m.MasterSocket)(socket.AskOwn(asking, m.MasterSocket, "show proc"))
	if errors.Is(err, socket.ErrStranger) {
		return master{}, fmt.Errorf("%w: %w", reconcile.ErrRefused, err)
	}
	if err != nil {
		return master{}, err
	}
	procs, err := haproxy.ParseProcs(reply)
	if err != nil {
		return master{}, fmt.Errorf("ask haproxy on %s: %w", m.MasterSocket, err)
	}
	out := master{procs: procs}
	dir := n.pid(procs.Master.PID)
	if out.exe, err = os.Readlink(filepath.Join(dir, "exe")); err != nil {
		return master{}, fmt.Errorf("find haproxy's program: %w", err)
	}
	// After an upgrade a reload starts the new program, which has the same name.
	out.exe = strings.TrimSuffix(out.exe, " (deleted)")
	if out.cwd, err = os.Readlink(filepath.Join(dir, "cwd")); err != nil {
		return master{}, fmt.Errorf("find haproxy's folder: %w", err)
	}
	if out.argv, err = words(filepath.Join(dir, "cmdline")); err != nil {
		return master{}, err
	}
	if out.env, err = words(filepath.Join(dir, "environ")); err != nil {
		return master{}, err
	}
	out.env = slices.DeleteFunc(out.env, func(v string) bool { return strings.HasPrefix(v, "HAPROXY_") })
	return out, nil
}

// pid returns a process's folder.
func (n *node) pid(pid int) string { return filepath.Join(n.Proc, fmt.Sprint(pid)) }

// words reads what /proc separates by zero bytes.
func words(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("look at haproxy: %w", err)
	}
	b = bytes.TrimSuffix(b, []byte{0})
	return strings.Split(string(b), "\x00"), nil
}

// loads reports whether the master reads path at a reload.
func (m master) loads(path string) bool {
	for _, name := range haproxy.ConfigArgs(m.argv) {
		name = absolute(m.cwd, name)
		if sameFile(name, path) || filepath.Ext(path) == ".cfg" && sameFile(filepath.Join(name, filepath.Base(path)), path) && isFolder(name) {
			return true
		}
	}
	return false
}

func isFolder(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// absolute returns the path that name is for a process in cwd.
func absolute(cwd, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(cwd, name)
}

// sameFile reports whether two absolute paths are one file, which need not be there.
func sameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	if filepath.Base(a) != filepath.Base(b) {
		return false
	}
	x, err := filepath.EvalSymlinks(filepath.Dir(a))
	y, err2 := filepath.EvalSymlinks(filepath.Dir(b))
	return err == nil && err2 == nil && x == y
}
