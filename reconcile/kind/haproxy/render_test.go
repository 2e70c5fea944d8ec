package haproxy_test

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	parse "github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestARenderedFile takes servers through every state, beginning with the file that starts
// them so. Only the first file needs a reload.
func TestARenderedFile(t *testing.T) {
	h := newHost(t)
	h.managed.IgnoreRuntime = []string{"admin_state"}
	local := netip.MustParseAddr("127.0.0.1")
	edge := spec.HAProxy{
		Name: "edge", ConfigDir: filepath.Dir(h.managed.Path), RuntimeSocket: h.managed.RuntimeSocket,
		Defaults: []spec.HAProxyDefaults{{Name: "http", Mode: "http", Timeouts: []spec.HAProxyTime{
			{Name: "client", Time: time.Second}, {Name: "connect", Time: time.Second}, {Name: "server", Time: time.Second},
		}}},
		Frontends: []spec.HAProxyFrontend{{Name: "web", From: "http", DefaultBackend: "app",
			Binds: []spec.HAProxyBind{{Name: "http", Address: local, Port: h.port, Nonlocal: "none"}}}},
		Backends: []spec.HAProxyBackend{{Name: "app", From: "http", Balance: "roundrobin"}},
	}
	want := func(states ...string) resource.Set {
		out := resource.Set{}
		edge.Backends[0].Servers = nil
		for i, state := range states {
			s := h.server(string(rune('a'+i)), 10+i)
			s.Admin = state
			out[s.ID()] = s
			edge.Backends[0].Servers = append(edge.Backends[0].Servers, spec.HAProxyEntry{
				Name: s.Name, Address: local, Port: h.user, Weight: s.Weight, Admin: state,
			})
		}
		file := parse.Render(edge, "test")
		f := resource.HAProxyFile{Path: file.Path, Text: file.Text, Structure: file.Structure}
		out[f.ID()] = f
		return out
	}
	for _, states := range [][]string{
		{"ready", "drain", "maint"}, {"maint", "ready", "drain"}, {"drain", "maint", "ready"}, {"ready", "drain", "maint"}, {"ready", "ready", "ready"},
	} {
		reconciletest.Apply(t, h.hs, want(states...))
		if p := reconciletest.Plan(t, h.hs, want(states...)); !p.Empty() {
			t.Errorf("%v: what is left is %+v", states, p)
		}
	}
	if n := h.procs().Master.Reloads; n != 1 {
		t.Errorf("%d reloads, want 1", n)
	}
	// The third server started in maintenance; now somebody puts it there.
	h.ask("set server app/c state maint")
	reconciletest.Apply(t, h.hs, want("ready", "ready", "ready"))
	for _, mode := range []string{"", "tcp"} { // the second needs a reload
		edge.Backends[0].Mode, edge.Frontends[0].Mode = mode, mode
		reconciletest.Apply(t, h.hs, want("ready", "ready", "ready"))
		if p := reconciletest.Plan(t, h.hs, want("ready", "ready", "ready")); len(p.Changes) > 0 || len(p.Conflicts) != 1 {
			t.Errorf("mode %q: what is left is %+v, want a conflict over the maintenance", mode, p)
		}
	}
	if n := h.procs().Master.Reloads; n != 2 {
		t.Errorf("%d reloads, want 2", n)
	}
}
