// Package nstest gives tests network namespaces and real kernels.
package nstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/uml"
)

// RequireEnv names the variable that lists, separated by commas, what Need must find;
// "all" stands for everything.
const RequireEnv = "HARECONCILE_TEST_REQUIRE"

// Need skips the test if something that it needs is missing, or fails it if RequireEnv
// asks for that thing. A need is "root", "netns", "ip_vs", "fou", "sctp", "uml" or
// the name of a program; "haproxy3" is the one of Debian's next release.
func Need(t testing.TB, what ...string) {
	t.Helper()
	required := strings.Split(os.Getenv(RequireEnv), ",")
	for _, w := range what {
		reason := missing(w)
		switch {
		case reason == "":
		case slices.Contains(required, "all"), slices.Contains(required, w):
			t.Fatalf("needs %s: %s (%s=%s forbids skipping)", w, reason, RequireEnv, os.Getenv(RequireEnv))
		default:
			t.Skipf("needs %s: %s", w, reason)
		}
	}
}

// missing returns why w is not to be had, or "".
func missing(w string) string {
	switch w {
	case "root":
		if os.Geteuid() != 0 {
			return "not root"
		}
	case "netns":
		return noNamespaces()
	case "ip_vs":
		if !hasIPVS() {
			return "the kernel has no module ip_vs"
		}
	case "fou", "sctp":
		if !load(w) {
			return "the kernel has no module " + w
		}
	case "uml":
		if _, err := uml.Lookup(); err != nil {
			return err.Error()
		}
	default:
		if _, err := program(w); err != nil {
			return err.Error()
		}
	}
	return ""
}

// Program returns the path of a program that the test needs.
func Program(t testing.TB, name string) string {
	t.Helper()
	Need(t, name)
	path, err := program(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// program finds a program also where users other than root do not look, and a haproxy3 where
// test/haproxies.sh puts it.
func program(name string) (string, error) {
	if name == "haproxy3" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		name = filepath.Join(cache, "hareconcile/haproxy-trixie/usr/sbin/haproxy")
	}
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/lib/frr"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p, nil
		}
	}
	return "", err
}

var noNamespaces = sync.OnceValue(func() string {
	reason := make(chan string)
	go func() {
		runtime.LockOSThread() // and never unlock: the namespace ends with the thread
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			reason <- "cannot make a network namespace: " + err.Error()
			return
		}
		reason <- ""
	}()
	return <-reason
})

// hasIPVS reports whether this process can use the kernel's IPVS, and loads it if it may.
var hasIPVS = sync.OnceValue(func() bool {
	if os.Geteuid() != 0 {
		return false
	}
	if _, err := os.Stat("/proc/net/ip_vs"); err == nil {
		return true
	}
	return load("ip_vs")
})

// load loads a module with the kernel's own helper (the sysctl kernel.modprobe), which finds
// the modules of a guest too. A kernel that has no modules has no helper.
func load(module string) bool {
	helper := "modprobe"
	if b, err := os.ReadFile("/proc/sys/kernel/modprobe"); err == nil {
		helper = strings.TrimSpace(string(b))
	}
	path, err := program(helper)
	return err == nil && exec.Command(path, "-q", "--", module).Run() == nil
}
