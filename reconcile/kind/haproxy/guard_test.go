package haproxy_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/haproxy"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const secret = "-----BEGIN PRIVATE KEY-----\nhunter2\n"

// TestAForeignFileIsNotShown: a definition can name any file as a map, and plans are read by
// people who may not read that file. The text that is wanted anyway lets it be adopted.
func TestAForeignFileIsNotShown(t *testing.T) {
	h := newHost(t)
	m := resource.HAProxyMap{Socket: h.managed.RuntimeSocket, Path: h.path("hosts.map"), Text: "a b\n"}
	h.managed.Maps, h.managed.Texts = []string{m.Path}, map[string]string{m.Path: m.Text}
	h.write("hosts.map", secret)
	want := resource.Set{m.ID(): m}
	p := reconciletest.Plan(t, h.hs, want)
	if len(p.Conflicts) != 1 {
		t.Fatalf("plan = %+v, want a conflict", p)
	}
	shown := p.Conflicts[0].Live.(resource.HAProxyMap).Text
	if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "SHA-256") {
		t.Errorf("the plan shows %q", shown)
	}
	h.write("hosts.map", m.Text)
	reconciletest.Apply(t, h.hs, want)
	m.Text = "a c\n"
	reconciletest.Apply(t, h.hs, resource.Set{m.ID(): m})
	if got := h.read(m.Path); got != m.Text {
		t.Errorf("the map is %q after it was adopted, want %q", got, m.Text)
	}
}

// TestWhatIsNoFile: neither a FIFO, which nobody ever opens for writing, nor a link keeps the
// agent from looking at the rest, and a link at the map's place is replaced, not followed.
func TestWhatIsNoFile(t *testing.T) {
	h := newHost(t)
	for _, n := range []string{"fifo.map", "site.pem"} {
		if err := syscall.Mkfifo(h.path(n), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	m := resource.HAProxyMap{Socket: h.managed.RuntimeSocket, Path: h.path("hosts.map"), Text: "a b\n"}
	h.managed.Maps, h.managed.Certificates = []string{h.path("fifo.map"), m.Path}, []string{h.path("site.pem")}
	reconciletest.Apply(t, h.hs, resource.Set{m.ID(): m})
	h.write("key", secret)
	if err := os.Chmod(h.path("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.Path); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"hosts.map", "hosts.map.new"} {
		if err := os.Symlink("key", h.path(n)); err != nil {
			t.Fatal(err)
		}
	}
	live, err := reconcile.Observe(t.Context(), h.hs)
	if err != nil {
		t.Fatalf("Observe = %v", err)
	}
	if seen := live.Owned[m.ID()].(resource.HAProxyMap).Text; strings.Contains(seen, "hunter2") {
		t.Errorf("the plan would show %q", seen)
	}
	reconciletest.Apply(t, h.hs, resource.Set{m.ID(): m})
	if h.read(m.Path) != m.Text || h.read(h.path("key")) != secret {
		t.Errorf("the map is %q, the key %q", h.read(m.Path), h.read(h.path("key")))
	}
	if st, err := os.Stat(h.path("key")); err != nil || st.Mode() != 0o600 {
		t.Errorf("the key has mode %v (%v), want it as it was", st.Mode(), err)
	}
}

// TestWhatTheOwnerDoesNotAllow is neither looked at nor changed.
func TestWhatTheOwnerDoesNotAllow(t *testing.T) {
	h := newHost(t)
	m := resource.HAProxyMap{Socket: h.managed.RuntimeSocket, Path: h.path("hosts.map"), Text: "a b\n"}
	h.write("hosts.map", secret)
	h.managed.Maps = []string{m.Path}
	h.managed.Refused = "cluster.hcl:7: haproxy.edge: because"
	want := h.set(h.plain())
	want[m.ID()] = m
	p := reconciletest.Plan(t, h.hs, want)
	if len(p.Conflicts) > 0 {
		t.Errorf("plan = %+v, want nothing looked at", p)
	}
	problems := p.Preflight(t.Context(), h.hs)
	if len(problems) == 0 {
		t.Error("there is no problem, want one that says why")
	}
	for _, x := range problems {
		if !errors.Is(x.Err, reconcile.ErrRefused) || !strings.Contains(x.Err.Error(), h.managed.Refused) {
			t.Errorf("problem = %v, want one that says why", x.Err)
		}
	}
	for _, c := range p.Changes {
		for _, x := range h.hs {
			if x.Kind() != c.ID.Kind {
				continue
			}
			if err := x.Apply(t.Context(), c); !errors.Is(err, reconcile.ErrRefused) {
				t.Errorf("Apply of %s = %v, want a refusal", c.ID, err)
			}
		}
	}
	if _, err := os.Lstat(h.managed.Path); err == nil || h.read(m.Path) != secret {
		t.Errorf("a file was written: %v", err)
	}
}

// TestAPlanThatSomebodyWrote brings a map that no definition has, and a file that the host's owner
// does not allow.
func TestAPlanThatSomebodyWrote(t *testing.T) {
	h := prepared(t)
	m := resource.HAProxyMap{Socket: h.managed.RuntimeSocket, Path: h.path("cron"), Text: "* * * * * root id\n"}
	h.write("key", secret)
	gone := m
	gone.Path = h.path("key")
	h.hs = haproxy.New(haproxy.Config{
		Managed: func() []haproxy.Managed { return []haproxy.Managed{h.managed} }, State: h.path("state"),
		Refuse: func(text string) string {
			if strings.Contains(text, "/etc/shadow") {
				return "because"
			}
			return ""
		},
	})
	c := h.plain()
	c.lines = []string{"http-request return file /etc/shadow"}
	f := h.file(c)
	for _, change := range []reconcile.Change{
		{Action: reconcile.Create, ID: m.ID(), After: m}, {Action: reconcile.Delete, ID: gone.ID(), Before: gone},
		{Action: reconcile.Create, ID: f.ID(), After: f},
	} {
		for _, x := range h.hs {
			if x.Kind() != change.ID.Kind {
				continue
			}
			if err := x.Apply(t.Context(), change); !errors.Is(err, reconcile.ErrRefused) {
				t.Errorf("Apply of %s = %v, want a refusal", change.ID, err)
			}
		}
	}
	for _, name := range []string{m.Path, h.managed.Path} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	if h.read(h.path("key")) != secret {
		t.Error("the key was removed")
	}
}

// TestTheSocketReplacesNoFile: haproxy renames its socket over whatever is there.
func TestTheSocketReplacesNoFile(t *testing.T) {
	h := newHost(t)
	h.write("precious", secret)
	h.managed.RuntimeSocket = h.path("precious")
	if err := h.apply(h.file(h.plain())); !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), "in the place of") {
		t.Errorf("Apply = %v, want a refusal", err)
	}
	if h.read(h.path("precious")) != secret || h.procs().Master.Reloads != 0 {
		t.Error("haproxy was reloaded")
	}
}

// readOnly lets nobody write to a folder until the returned function is called.
func readOnly(t *testing.T, dir string) (undo func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		return func() { _ = os.Chmod(dir, 0o755) }
	}
	for _, flags := range []uintptr{unix.MS_BIND, unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY} {
		if err := unix.Mount(dir, dir, "", flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	return func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }
}

// TestADiskThatTakesNothing has folders where no file can be made.
func TestADiskThatTakesNothing(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	for _, blocked := range []string{h.path("conf"), h.path("state")} {
		undo := readOnly(t, blocked)
		before := h.procs().Master.Reloads
		c := h.plain()
		c.client = "9s"
		if err := h.apply(h.file(c)); err == nil {
			t.Errorf("%s: Apply succeeded", blocked)
		}
		if n := h.procs().Master.Reloads; n != before || h.read(h.managed.Path) != string(h.file(h.plain()).Text) {
			t.Errorf("%s: %d reloads, want %d, and the file as it was", blocked, n, before)
		}
		undo()
	}
	c := h.plain()
	c.client = "10s"
	reconciletest.Apply(t, h.hs, h.set(c))
}
