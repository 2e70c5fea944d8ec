package sysctl_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/sysctl"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	ignore   = "net/ipv4/conf/lo/arp_ignore"
	announce = "net/ipv4/conf/all/arp_announce"
)

func open(t *testing.T, dir string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t *testing.T, root, key, value string) {
	t.Helper()
	path := filepath.Join(root, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil && root != "/proc/sys" {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(value+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, root, key string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, key))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// each runs f on a tree of files and on the kernel's.
func each(t *testing.T, f func(t *testing.T, root string)) {
	t.Run("files", func(t *testing.T) {
		root := t.TempDir()
		write(t, root, ignore, "0")
		write(t, root, announce, "0")
		f(t, root)
	})
	t.Run("kernel", func(t *testing.T) {
		nstest.New(t).Do(func() { f(t, "/proc/sys") })
	})
}

func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, root string) {
		write(t, root, announce, "1")
		reconciletest.Test(t, sysctl.New(root, open(t, t.TempDir())),
			reconciletest.Set(resource.Sysctl{Key: ignore, Value: "1"}),
			reconciletest.Set(resource.Sysctl{Key: ignore, Value: "2"}, resource.Sysctl{Key: announce, Value: "2"}),
			reconciletest.Set(resource.Sysctl{Key: announce, Value: "1"}))
		if i, a := read(t, root, ignore), read(t, root, announce); i != "0" || a != "1" {
			t.Errorf("values after everything was deleted = %s, %s, want the prior 0, 1", i, a)
		}
	})
}

func TestARestartKeepsThePriorValue(t *testing.T) {
	each(t, func(t *testing.T, root string) {
		dir := t.TempDir()
		for _, value := range []string{"1", "2"} { // each with a handler and a ledger of its own
			hs := []reconcile.Handler{sysctl.New(root, open(t, dir))}
			reconciletest.Apply(t, hs, reconciletest.Set(resource.Sysctl{Key: ignore, Value: value}))
		}
		reconciletest.Apply(t, []reconcile.Handler{sysctl.New(root, open(t, dir))}, resource.Set{})
		if got := read(t, root, ignore); got != "0" {
			t.Errorf("value after deletion = %s, want 0", got)
		}
	})
}

func TestAValueFlippedByHandIsADifference(t *testing.T) {
	each(t, func(t *testing.T, root string) {
		hs := []reconcile.Handler{sysctl.New(root, open(t, t.TempDir()))}
		want := reconciletest.Set(resource.Sysctl{Key: ignore, Value: "1"})
		reconciletest.Apply(t, hs, want)
		write(t, root, ignore, "0")
		if plan := reconciletest.Apply(t, hs, want); plan.Count(reconcile.Update) != 1 || len(plan.Changes) != 1 {
			t.Errorf("plan = %+v, want one update", plan)
		}
		if got := read(t, root, ignore); got != "1" {
			t.Errorf("value = %s, want 1", got)
		}
	})
}

func TestAVanishedInterfaceIsNotInTheWay(t *testing.T) {
	ns := nstest.New(t)
	ns.Run("ip", "link", "add", "dummy.0", "type", "bridge")
	ns.Do(func() {
		l := open(t, t.TempDir())
		hs := []reconcile.Handler{sysctl.New("/proc/sys", l)}
		s := resource.Sysctl{Key: "net/ipv4/conf/dummy.0/arp_ignore", Value: "1"}
		reconciletest.Apply(t, hs, reconciletest.Set(s))
		ns.Run("ip", "link", "del", "dummy.0")
		if live := reconciletest.Observe(t, hs...); len(live.Owned) != 0 {
			t.Errorf("owned = %v, want nothing", live.Owned)
		}
		c := reconcile.Change{Action: reconcile.Delete, ID: s.ID(), Before: s}
		if err := hs[0].Apply(t.Context(), c); err != nil || l.Has(s.ID()) {
			t.Errorf("delete = %v, still in the ledger: %v", err, l.Has(s.ID()))
		}
	})
}

func TestKeysAndValuesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "sys")
	write(t, root, ignore, "0")
	write(t, dir, "secret/file", "kept")
	if err := os.Symlink("../../../secret", filepath.Join(root, "net/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "secret"), filepath.Join(root, "net/absolute")); err != nil {
		t.Fatal(err)
	}
	h := sysctl.New(root, open(t, t.TempDir()))
	for _, s := range []resource.Sysctl{
		{Key: "", Value: "1"},
		{Key: "net", Value: "1"},
		{Key: "/net/ipv4", Value: "1"},
		{Key: "net/", Value: "1"},
		{Key: "net//ipv4", Value: "1"},
		{Key: "net/../../secret/file", Value: "1"},
		{Key: "net/./ipv4", Value: "1"},
		{Key: "net/link/file", Value: "1"},
		{Key: "net/absolute/file", Value: "1"},
		{Key: "net/ipv4", Value: "1"}, // a folder
		{Key: "net/ipv4/none", Value: "1"},
		{Key: "net/\x00", Value: "1"},
		{Key: "net/" + strings.Repeat("a", 300), Value: "1"},
		{Key: ignore, Value: ""},
		{Key: ignore, Value: "1\n2"},
		{Key: ignore, Value: "1\x00"},
		{Key: ignore, Value: strings.Repeat("1", 2000)},
	} {
		c := reconcile.Change{Action: reconcile.Create, ID: s.ID(), After: s}
		if err := h.Apply(t.Context(), c); err == nil {
			t.Errorf("Apply(%q = %.20q) succeeded, want an error", s.Key, s.Value)
		}
	}
	if got := read(t, dir, "secret/file"); got != "kept" {
		t.Errorf("a file outside the tree = %q, want it untouched", got)
	}
	if live := reconciletest.Observe(t, h); len(live.Owned) != 0 {
		t.Errorf("owned = %v, want nothing", live.Owned)
	}
}

// TestWhatIsRightIsNotWritten: in a container whose owner has set the values, /proc/sys
// cannot be written.
func TestWhatIsRightIsNotWritten(t *testing.T) {
	root, past := t.TempDir(), time.Unix(1000, 0)
	write(t, root, ignore, "1")
	if err := os.Chtimes(filepath.Join(root, ignore), past, past); err != nil {
		t.Fatal(err)
	}
	hs := []reconcile.Handler{sysctl.New(root, open(t, t.TempDir()))}
	for _, want := range []resource.Set{reconciletest.Set(resource.Sysctl{Key: ignore, Value: "1"}), {}} {
		reconciletest.Apply(t, hs, want)
		info, err := os.Stat(filepath.Join(root, ignore))
		if err != nil || !info.ModTime().Equal(past) {
			t.Errorf("with %v the file was written (%v)", want, err)
		}
	}
}

// TestWithoutIPVSTheRestIsSet has a value of a module that is not loaded before one that a
// router needs: it is said, and holds nothing else up.
func TestWithoutIPVSTheRestIsSet(t *testing.T) {
	root := t.TempDir()
	write(t, root, "net/ipv6/conf/all/forwarding", "0")
	hs := []reconcile.Handler{sysctl.New(root, open(t, t.TempDir()))}
	want := reconciletest.Set(
		resource.Sysctl{Key: "net/ipv4/vs/expire_nodest_conn", Value: "1"},
		resource.Sysctl{Key: "net/ipv6/conf/all/forwarding", Value: "1"})
	err := reconciletest.Plan(t, hs, want).Apply(t.Context(), hs, nil)
	if !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), "modprobe ip_vs") {
		t.Errorf("Apply() = %v, want it to name the module", err)
	}
	if got := read(t, root, "net/ipv6/conf/all/forwarding"); got != "1" {
		t.Errorf("forwarding = %s, want 1", got)
	}
}
