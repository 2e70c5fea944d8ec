package compile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// big returns a cluster of 10,000 virtual servers that share a pool of five servers, and a
// plan that makes them all.
func big(tb testing.TB) (*spec.Cluster, reconcile.Plan) {
	tb.Helper()
	c := &spec.Cluster{
		Name: "big", Node: "ka1", Nodes: []spec.Node{{Name: "ka1", Address: netip.MustParseAddr("10.0.0.1")}},
		Instances: []spec.VRRPInstance{{Name: "web", Interface: "eth0", VRID: 1, Version: 3, Priority: map[string]uint8{"ka1": 100},
			Addresses: []spec.VirtualAddress{{Prefix: netip.MustParsePrefix("192.0.2.1/24")}}}},
	}
	pool := spec.Pool{Name: "web", OnFail: "weight_zero"}
	for k := range 5 {
		pool.Servers = append(pool.Servers, spec.Server{Name: fmt.Sprint("rs", k), Address: netip.AddrFrom4([4]byte{10, 9, byte(k), 1}), Port: 80, Weight: 1})
	}
	c.Pools = []spec.Pool{pool}
	for i := range 10_000 {
		name := fmt.Sprintf("web[%q]", fmt.Sprint("s", i))
		c.VirtualServers = append(c.VirtualServers, spec.VirtualServer{
			Origin: spec.Origin{Address: "virtual_server." + name, File: "cluster.hcl", Line: 9}, Name: name,
			On: "web", Scheduler: "wrr", Forward: "nat", Pool: "web", Quorum: 1,
			Services: []spec.Service{{Protocol: "tcp", Address: netip.MustParseAddr("192.0.2.1"), Port: uint16(i + 1)}},
		})
	}
	t, err := reconcile.Desired(c, "ka1", nil)
	if err != nil {
		tb.Fatal(err)
	}
	return c, reconcile.Diff(reconcile.Live{}, t)
}

func BenchmarkPolicyStage(b *testing.B) {
	c, plan := big(b)
	for _, tt := range []struct {
		name string
		j    judgement
		plan reconcile.Plan
	}{
		{"nothing", judgement{Node: "ka1", Next: c, Same: true, Managed: 60_000}, reconcile.Plan{}},
		{"everything", judgement{Node: "ka1", Next: c}, plan},
	} {
		b.Run(tt.name, func(b *testing.B) {
			var file bytes.Buffer
			if err := planfile.New(planfile.Meta{Node: "ka1"}, tt.plan, 0, nil).Encode(&file); err != nil {
				b.Fatal(err)
			}
			tt.j.Plan = file.Bytes()
			in, err := json.Marshal(tt.j)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				if _, err := policyStage(b.Context(), bytes.NewReader(in), func(string) {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
