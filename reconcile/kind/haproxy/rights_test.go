package haproxy_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
)

// capabilities are the bits of those that the agent's unit names (capability.h).
var capabilities = map[string]int{
	"CAP_CHOWN": unix.CAP_CHOWN, "CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE, "CAP_KILL": unix.CAP_KILL,
	"CAP_SETGID": unix.CAP_SETGID, "CAP_SETUID": unix.CAP_SETUID, "CAP_SETPCAP": unix.CAP_SETPCAP,
	"CAP_NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_NET_RAW": unix.CAP_NET_RAW,
	"CAP_SYS_PTRACE": unix.CAP_SYS_PTRACE, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN,
}

// unit returns the agent's unit.
func unit(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../../dist/hareconcile.service")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// confined runs f with the rights that dist/hareconcile.service leaves the agent.
func confined(t *testing.T, f func()) {
	t.Helper()
	var set [2]uint32
	for line := range strings.Lines(unit(t)) {
		names, ok := strings.CutPrefix(line, "CapabilityBoundingSet=")
		if !ok {
			continue
		}
		for _, name := range strings.Fields(names) {
			bit, known := capabilities[name]
			if !known {
				t.Fatalf("the unit has %s, which this test does not know", name)
			}
			set[bit/32] |= 1 << (bit % 32)
		}
	}
	done := make(chan error, 1) // one answer, also where f ends the goroutine
	go func() {
		runtime.LockOSThread() // and never unlock: no other goroutine gets the thread
		defer close(done)
		h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		d := [2]unix.CapUserData{{Effective: set[0], Permitted: set[0]}, {Effective: set[1], Permitted: set[1]}}
		for bit := range unix.CAP_LAST_CAP + 1 {
			if set[bit/32]&(1<<(bit%32)) == 0 {
				if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(bit), 0, 0, 0); err != nil {
					done <- err
					return
				}
			}
		}
		if err := unix.Capset(&h, &d[0]); err != nil {
			done <- err
			return
		}
		f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestTheUnitsRightsSuffice for a haproxy that has more than the agent, and whose worker is
// another user's.
func TestTheUnitsRightsSuffice(t *testing.T) {
	nstest.Need(t, "root")
	h := prepared(t)
	h.write("user.cfg", strings.Replace(h.read(h.path("user.cfg")), "global\n", "global\n user nobody\n", 1))
	h.start("-f", "conf")
	var taken net.Listener
	for port := 1023; taken == nil && port > 900; port-- {
		taken, _ = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) // the next one
	}
	if taken == nil {
		t.Fatal("no port below 1024 is free")
	}
	defer taken.Close()
	c := h.plain()
	confined(t, func() {
		reconciletest.Apply(t, h.hs, h.set(c))
		c.client = "9s"
		reconciletest.Apply(t, h.hs, h.set(c))
		c.lines = []string{fmt.Sprintf("bind *:%d", taken.Addr().(*net.TCPAddr).Port)}
		if err := h.apply(h.file(c)); err == nil || !strings.Contains(err.Error(), "another program listens on port") {
			t.Errorf("Apply = %v, want a refusal for the port", err)
		}
	})
	if n := h.procs().Master.Reloads; n != 2 {
		t.Errorf("%d reloads, want 2", n)
	}
}

// TestTheUnitLetsHAProxyBeChecked: what the unit forbids, it forbids `haproxy -c` as well.
func TestTheUnitLetsHAProxyBeChecked(t *testing.T) {
	text := unit(t)
	if strings.Contains(text, "\nMemoryDenyWriteExecute=yes") {
		t.Error("haproxy -c refuses regular expressions where no memory may become executable (PCRE2's JIT)")
	}
	if !strings.Contains(text, "\nReadWritePaths=-/etc/haproxy\n") {
		t.Error("the agent may not write below /etc/haproxy")
	}
}

// TestTheSocketsFolderOutlivesAReboot: /run is empty then, and haproxy, which may start before
// hareconcile, does not start without the folder.
func TestTheSocketsFolderOutlivesAReboot(t *testing.T) {
	example, err := os.ReadFile("../../../examples/haproxy/cluster.hcl")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`runtime_socket += "(.+)"`).FindSubmatch(example)
	if m == nil {
		t.Fatal("the example has no runtime_socket")
	}
	made, err := os.ReadFile("../../../dist/tmpfiles.d/hareconcile.conf")
	if want := fmt.Sprintf("\nd %s 0755 root root -\n", filepath.Dir(string(m[1]))); err != nil || !strings.Contains(string(made), want) {
		t.Errorf("tmpfiles.d has\n%s(%v)\nwant the line %q", made, err, want)
	}
	if !strings.Contains(unit(t), "\nRuntimeDirectoryPreserve=yes\n") {
		t.Error("a stop of the agent would remove the folder under haproxy's socket")
	}
}

// TestAMasterOfAnotherUser is none: whoever may write to its folder could have root run a program.
func TestAMasterOfAnotherUser(t *testing.T) {
	nstest.Need(t, "root", "setpriv")
	h := prepared(t)
	if err := os.Chmod(h.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		haproxy = "/usr/sbin/haproxy"
	}
	h.cmd = exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", haproxy, "-W", "-S", h.managed.MasterSocket, "-f", "user.cfg", "-f", "conf")
	h.cmd.Dir = h.dir
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.stop)
	h.procs()
	if err := h.apply(h.file(h.plain())); !errors.Is(err, reconcile.ErrRefused) || !errors.Is(err, socket.ErrStranger) {
		t.Errorf("Apply = %v, want a refusal", err)
	}
	if _, err := os.Stat(h.managed.Path); err == nil {
		t.Error("the file was written")
	}
}
