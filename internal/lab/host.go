package lab

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A host is one machine of the lab: a thread with network, mount and UTS namespaces of its
// own. What the thread starts is on that host; the namespaces end with the process.
type host struct {
	plan  hostPlan
	calls chan func() // never closed
	net   int         // a descriptor of the network namespace, for links to be moved to
	ports []netlink.Link
	cut   bool // guarded by the daemon's lock
}

// newHost makes the namespaces of a host and what is in them, but no links.
func newHost(p hostPlan, repo string) (*host, error) {
	h := &host{plan: p, calls: make(chan func())}
	go h.run()
	err := h.do(func() error { return h.enter(repo) })
	if err != nil {
		return nil, fmt.Errorf("make host %s: %w", p.Name, err)
	}
	return h, nil
}

// run executes calls on one thread, which ends with the goroutine since it is never unlocked.
func (h *host) run() {
	runtime.LockOSThread()
	for f := range h.calls {
		f()
	}
}

// do runs f on the host and returns what it returns.
func (h *host) do(f func() error) error {
	done := make(chan error, 1) // f must not wait for us
	h.calls <- func() { done <- f() }
	return <-done
}

// start starts a command on the host with a priority (setpriority(2)). The caller waits for
// it with wait.
func (h *host) start(cmd *exec.Cmd, nice int) error {
	return started.add(func() (int, error) {
		err := h.do(func() error {
			// A priority belongs to the thread, and the command inherits it.
			if err := unix.Setpriority(unix.PRIO_PROCESS, 0, nice); err != nil {
				return err
			}
			return errors.Join(cmd.Start(), unix.Setpriority(unix.PRIO_PROCESS, 0, 0))
		})
		if err != nil {
			return 0, err
		}
		return cmd.Process.Pid, nil
	})
}

// wait waits for a command that start started.
func wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	started.remove(cmd.Process.Pid)
	return err
}

// enter makes the calling thread a machine.
func (h *host) enter(repo string) error {
	err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS)
	if err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	if h.net, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	return errors.Join(
		unix.Sethostname([]byte(h.plan.Name)),
		private(),
		freshRun(repo),
		h.closeRepository(repo),
		mount("sysfs", "/sys", "sysfs", ""),
		ownFolder("/etc", append(h.plan.own("/etc"), "hareconcile", "hosts", "passwd", "group")...),
		ownFolder("/var/lib", append(h.plan.own("/var/lib"), "hareconcile")...),
		accounts(h.plan.Git),
		h.writeFiles(),
		loopbackUp(),
	)
}

// closeRepository lets nobody write the repository but the git server.
func (h *host) closeRepository(repo string) error {
	if h.plan.Git {
		return nil
	}
	return readOnly(repo)
}

func (h *host) writeFiles() error {
	for _, dir := range append([]string{"/run/hareconcile", "/etc/hareconcile", "/var/lib/hareconcile"}, h.plan.Folders...) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, f := range h.plan.Files {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f.Path, []byte(f.Content), cmp.Or(f.Mode, 0o644)); err != nil {
			return err
		}
	}
	return nil
}
