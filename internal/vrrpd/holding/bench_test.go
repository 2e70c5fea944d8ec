package holding

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// many are the wants of a router with n addresses, most of them excluded.
func many(n int) Wants {
	wants := Wants{Device: "v0", VRID: 7}
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, 2, byte(i / 250), byte(i%250 + 1)})
		wants.Excluded = append(wants.Excluded, resource.VirtualAddress{Prefix: netip.PrefixFrom(a, 16)})
	}
	return wants
}

// BenchmarkAcquire puts 5,000 addresses on the host and takes them off it.
func BenchmarkAcquire(b *testing.B) {
	ns := nstest.New(b)
	ns.Run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "p0")
	ns.Run("ip", "link", "set", "v0", "up")
	ns.Do(func() {
		c, err := rtnl.Open()
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		benchmark(b, c)
	})
}

// BenchmarkAcquireInAFake leaves out what the kernel's own work costs.
func BenchmarkAcquireInAFake(b *testing.B) {
	benchmark(b, &silentKernel{&fakeKernel{links: []rtnl.Link{eth(3, "v0")}}})
}

// A silentKernel takes every request.
type silentKernel struct{ *fakeKernel }

func (silentKernel) Do([]rtnl.Request, []error) error { return nil }

func benchmark(b *testing.B, k Kernel) {
	b.Helper()
	t := New(k, slog.New(slog.DiscardHandler))
	links, err := k.Links()
	if err != nil {
		b.Fatal(err)
	}
	for i := range links {
		t.Heard(&rtnl.Event{Kind: rtnl.LinkEvent, Link: links[i]})
	}
	t.Want("a", many(5000))
	t.Sync()
	b.ReportAllocs()
	for b.Loop() {
		t.Acquire("a")
		if len(t.Held("a")) != 5000 {
			b.Fatal("not all are held")
		}
		t.Release("a")
	}
}
