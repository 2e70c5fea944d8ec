package agent

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestAnAddressIsBackBeforeSlowKindsWereLookedAt takes the address from a real server whose
// IPVS table takes a second to read.
func TestAnAddressIsBackBeforeSlowKindsWereLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Node = "rs1"
		r := lab("aaaaaaa", 2)
		r.Cluster.Node = "rs1"
		r.Cluster.Nodes = append(r.Cluster.Nodes, spec.Node{Name: "rs1", Address: netip.MustParseAddr("172.25.254.110")})
		w.origin.push(r)
		defer w.start(t)()
		synctest.Wait()
		vip := resource.Address{Prefix: netip.MustParsePrefix("172.25.254.100/32"), Device: "lo"}
		if got := w.host.get(vip.ID()); got != any(vip) {
			t.Fatalf("address = %v, want %v", got, vip)
		}
		w.host.mu.Lock()
		w.host.slow = time.Second
		delete(w.host.owned, vip.ID())
		w.host.mu.Unlock()
		w.KernelChanged()
		synctest.Wait()
		if got := w.host.get(vip.ID()); got != any(vip) {
			t.Errorf("address right after the event = %v, want %v", got, vip)
		}
		after(5 * time.Second)
		if d := w.Status().Drift; d.Total != 1 || d.Last[0].Resource != vip.ID().String() {
			t.Errorf("drift = %+v, want the address once", d)
		}
	})
}
