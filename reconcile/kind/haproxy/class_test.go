package haproxy_test

import (
	"testing"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestClasses has a plan of each class. Blocked is what Preflight refuses.
func TestClasses(t *testing.T) {
	h := newHost(t)
	h.managed.AddServers = "always"
	h.managed.Maps = []string{h.path("hosts.map")}
	c := h.plain()
	m := resource.HAProxyMap{Socket: h.managed.RuntimeSocket, Path: h.path("hosts.map"), Text: "a b\n"}
	c.lines = []string{"use_backend %[req.hdr(host),map(" + m.Path + ",app)]"}
	set := func() resource.Set {
		s := h.set(c)
		s[m.ID()] = m
		return s
	}
	file, server := h.file(c).ID(), c.servers[0].ID()
	// classes wants just these classes in the plan, by the kind of what they are of.
	classes := func(what string, want map[resource.ID]reconcile.Class) {
		t.Helper()
		p := reconciletest.Plan(t, h.hs, set())
		got := p.Classify(t.Context(), h.hs)
		for id, class := range want {
			if got[id] != class {
				t.Errorf("%s: %s is %q, want %q", what, id, got[id], class)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: classes are %v, want %v", what, got, want)
		}
		if want == nil && !p.Empty() {
			t.Errorf("%s: plan = %+v, want nothing", what, p)
		}
	}
	type kinds = map[resource.ID]reconcile.Class
	classes("nothing there", kinds{file: reconcile.ClassReload})
	reconciletest.Apply(t, h.hs, set())
	classes("in sync", nil)

	c.servers[0].Weight = 11
	classes("a weight", kinds{file: reconcile.ClassFileOnly, server: reconcile.ClassRuntime})
	reconciletest.Apply(t, h.hs, set())
	h.ask("set server app/a weight 3", "set map "+m.Path+" a mine")
	classes("a weight and an entry that somebody set", kinds{server: reconcile.ClassDrift, m.ID(): reconcile.ClassDrift})
	c.servers[1].Weight = 21
	classes("and a weight of ours", kinds{file: reconcile.ClassFileOnly, server: reconcile.ClassDrift, m.ID(): reconcile.ClassDrift, c.servers[1].ID(): reconcile.ClassRuntime})
	m.Text = "a c\n"
	reconciletest.Apply(t, h.hs, set())
	classes("put right", nil)
	m.Text = "a d\n"
	classes("an entry", kinds{m.ID(): reconcile.ClassRuntime})
	reconciletest.Apply(t, h.hs, set())

	c.servers = append(c.servers, h.server("c", 1))
	classes("a server", kinds{file: reconcile.ClassRuntime})
	h.managed.AddServers = "never"
	classes("a server by a reload", kinds{file: reconcile.ClassReload})
	reconciletest.Apply(t, h.hs, set())

	h.write("conf/50-hareconcile.cfg", h.read(h.managed.Path)+"# note\n")
	classes("a file that somebody changed", kinds{file: reconcile.ClassHandEdited})
	h.managed.Overwrite = true
	classes("a file that somebody changed, and may not", kinds{file: reconcile.ClassHandEdited})
	reconciletest.Apply(t, h.hs, set())

	h.stop()
	c.client = "9s"
	classes("no haproxy", kinds{file: reconcile.ClassRestart})
	h.start("-V")
	classes("a haproxy without our folder", kinds{file: reconcile.ClassRestart})
}
