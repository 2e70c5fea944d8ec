package agent

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestADrainByHandIsToldOf and stands in the way of nothing: not of a push, which comes just after
// it, and not of converging.
func TestADrainByHandIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		at := netip.MustParseAddrPort("192.0.2.1:80")
		drained := resource.HAProxyServer{Socket: "/run/h.sock", Backend: "app", Name: "a", Address: at, Weight: 10, Admin: "ready"}
		w.host.put(drained)
		drained.Admin = "drain"
		w.host.mu.Lock()
		w.host.foreign[drained.ID()] = drained
		w.host.mu.Unlock()
		r := lab("bbbbbbb", 5)
		r.Cluster.HAProxies = []spec.HAProxy{{
			Name: "edge", Nodes: []string{w.cfg.Node}, ConfigDir: "/etc/h.d", RuntimeSocket: "/run/h.sock", MasterSocket: "/run/m.sock",
			Backends: []spec.HAProxyBackend{{Name: "app", Servers: []spec.HAProxyEntry{{Name: "a", Address: at.Addr(), Port: at.Port(), Weight: 10, Admin: "ready"}}}},
		}}
		w.origin.push(r)
		after(time.Minute)
		s := w.Status()
		if s.Phase != control.Converged || s.Revision.Commit != "bbbbbbb" || s.Message != "" {
			t.Errorf("%s at %s: %q; want the push in force", s.Phase, s.Revision.Commit, s.Message)
		}
		if len(s.Conflicts) != 1 || !s.Conflicts[0].ByHand || !strings.Contains(s.Conflicts[0].Detail, "To undo it: echo 'set server app/a state ready' | socat - /run/h.sock") {
			t.Errorf("conflicts = %+v, want the drain and what to do", s.Conflicts)
		}
	})
}
