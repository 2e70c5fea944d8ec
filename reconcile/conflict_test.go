package reconcile_test

import (
	"net/netip"
	"testing"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestConflictsSayWhatToDo(t *testing.T) {
	server := resource.HAProxyServer{Socket: "/run/h.sock", Backend: "app", Name: "a", Address: netip.MustParseAddrPort("192.0.2.1:80"), Weight: 10, Admin: "ready"}
	drained, both, elsewhere := server, server, server
	drained.Admin = "drain"
	both.Admin, both.Weight = "maint", 3
	elsewhere.MaxConn = 7
	address := resource.Address{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Device: "lo"}
	for name, row := range map[string]struct {
		live, want any
		id         resource.ID
		byHand     bool
		detail     string
	}{
		"an object of somebody else": {address, address, address.ID(), false, "exists and was not made by hareconcile"},
		"a drain": {drained, server, server.ID(), true, "is drain and not ready: somebody set that on haproxy's socket, and it stays (ignore_runtime). " +
			"To undo it: echo 'set server app/a state ready' | socat - /run/h.sock. To keep it: write admin = \"drain\" in the cluster file"},
		"a weight too": {both, server, server.ID(), true, "is maint and not ready, of weight 3 and not 10: somebody set that on haproxy's socket, and it stays (ignore_runtime). " +
			"To undo it: echo 'set server app/a state ready; set server app/a weight 10' | socat - /run/h.sock. To keep it: write admin = \"maint\" and weight = 3 in the cluster file"},
		"another value": {elsewhere, server, server.ID(), true, "is not as wanted in the running haproxy"},
	} {
		c := reconcile.Conflict{ID: row.id, Live: row.live, Want: row.want}
		if c.ByHand() != row.byHand || c.Detail() != row.detail {
			t.Errorf("%s: by hand %v: %s, want %v: %s", name, c.ByHand(), c.Detail(), row.byHand, row.detail)
		}
	}
}
