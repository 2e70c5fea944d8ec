package haproxy_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile"
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
