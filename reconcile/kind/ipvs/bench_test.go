package ipvs

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/mdlayher/netlink"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// acker is a socket to a kernel that has nothing, takes everything and needs no time.
type acker struct{ answer []byte }

// Send implements socket.
func (a *acker) Send(b []byte) error {
	last := b
	for rest := b; len(rest) > 0; rest = rest[binary.NativeEndian.Uint32(rest):] {
		last = rest
	}
	typ, flags := uint16(netlink.Error), uint16(0)
	if netlink.HeaderFlags(binary.NativeEndian.Uint16(last[6:]))&netlink.Dump == netlink.Dump {
		typ, flags = uint16(netlink.Done), uint16(netlink.Multi)
	}
	a.answer = binary.NativeEndian.AppendUint32(a.answer[:0], 20)
	a.answer = binary.NativeEndian.AppendUint16(a.answer, typ)
	a.answer = binary.NativeEndian.AppendUint16(a.answer, flags)
	a.answer = append(a.answer, last[8:16]...)
	a.answer = append(a.answer, 0, 0, 0, 0)
	return nil
}

// Receive implements socket.
func (a *acker) Receive(b []byte) (int, error) { return copy(b, a.answer), nil }

// Close implements socket.
func (a *acker) Close() error { return nil }

// director is a cluster of one node with n services of five servers.
func director(n int) *spec.Cluster {
	c := &spec.Cluster{
		Name: "bench", Node: "ka1", Nodes: []spec.Node{{Name: "ka1", Address: netip.MustParseAddr("10.99.0.1")}},
		Instances: []spec.VRRPInstance{{Name: "vip", Interface: "lo", VRID: 1, Version: 3, Priority: map[string]uint8{"ka1": 100}}},
	}
	p := spec.Pool{Name: "web", Port: 80, OnFail: "remove"}
	for i := range 5 {
		p.Servers = append(p.Servers, spec.Server{Name: fmt.Sprint("s", i), Address: netip.AddrFrom4([4]byte{10, 97, 0, byte(1 + i)}), Port: 80, Weight: 10})
	}
	c.Pools = append(c.Pools, p)
	for i := range n {
		c.VirtualServers = append(c.VirtualServers, spec.VirtualServer{
			Name: fmt.Sprint("web", i), On: "vip", Scheduler: "wlc", Forward: "dr", Pool: "web",
			Services: []spec.Service{{Protocol: "tcp", Address: netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)}), Port: 80}},
		})
	}
	return c
}

// BenchmarkFill is what filling an empty table costs this program, by stage.
func BenchmarkFill(b *testing.B) {
	dial := func() (socket, uint16, error) { return &acker{}, 25, nil }
	for _, n := range []int{1000, 5000} {
		c := director(n)
		handlers := func(b *testing.B) []reconcile.Handler {
			l, err := ledger.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			return []reconcile.Handler{newServices(dial, l, "/"), newServers(dial, l)}
		}
		t, err := reconcile.Desired(c, "ka1", &reconcile.Facts{})
		if err != nil {
			b.Fatal(err)
		}
		for id := range t.Set {
			if id.Kind != resource.KindIPVSService && id.Kind != resource.KindIPVSServer {
				delete(t.Set, id)
			}
		}
		live, err := reconcile.Observe(b.Context(), handlers(b))
		if err != nil {
			b.Fatal(err)
		}
		plan := reconcile.Diff(live, t)
		for _, stage := range []struct {
			name string
			f    func(b *testing.B)
		}{
			{"desired", func(*testing.B) { _, _ = reconcile.Desired(c, "ka1", &reconcile.Facts{}) }},
			{"diff", func(*testing.B) { reconcile.Diff(live, t) }},
			{"apply", func(b *testing.B) {
				if err := plan.Apply(b.Context(), handlers(b), nil); err != nil {
					b.Fatal(err)
				}
			}},
		} {
			b.Run(fmt.Sprintf("%s/%d", stage.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					stage.f(b)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(t.Set)), "ns/object")
			})
		}
	}
}
