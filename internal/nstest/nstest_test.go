package nstest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

func TestDoRunsInTheNamespace(t *testing.T) {
	ns := nstest.New(t)
	before, _ := os.Readlink("/proc/thread-self/ns/net")
	inside := ""
	ns.Do(func() { inside, _ = os.Readlink("/proc/thread-self/ns/net") })
	if inside == before || inside == "" {
		t.Errorf("namespace inside Do = %s, want another than %s", inside, before)
	}
	if got := strings.TrimSpace(ns.Run("readlink", "/proc/self/ns/net")); got != inside {
		t.Errorf("namespace of Cmd = %s, want %s", got, inside)
	}
}

func TestBridgeJoins(t *testing.T) {
	nstest.Need(t, "ping")
	a, b := nstest.New(t), nstest.New(t)
	nstest.Bridge(t,
		nstest.Host{NS: a, Device: "eth0", Addresses: []string{"10.77.0.1/24"}},
		nstest.Host{NS: b, Device: "eth0", Addresses: []string{"10.77.0.2/24"}})
	a.Run("ping", "-c1", "-W2", "10.77.0.2")
}

func TestUML(t *testing.T) {
	if nstest.UML(t) {
		return
	}
	t.Run("the kernel has IPVS", func(t *testing.T) {
		b, err := os.ReadFile("/proc/net/ip_vs")
		if err != nil || !strings.HasPrefix(string(b), "IP Virtual Server") {
			t.Errorf("/proc/net/ip_vs = %q, %v", b, err)
		}
	})
	t.Run("namespaces work", func(t *testing.T) {
		a, b := nstest.New(t), nstest.New(t)
		nstest.Bridge(t,
			nstest.Host{NS: a, Device: "eth0", Addresses: []string{"10.77.0.1/24"}},
			nstest.Host{NS: b, Device: "eth0", Addresses: []string{"10.77.0.2/24"}})
		if out := a.Run("ip", "-o", "addr", "show", "eth0"); !strings.Contains(out, "10.77.0.1/24") {
			t.Errorf("eth0 = %s", out)
		}
	})
	t.Run("files can be written", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(t.TempDir(), "x"), nil, 0o644); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat("nstest_test.go"); err != nil {
			t.Error(err)
		}
	})
}
