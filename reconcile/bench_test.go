package reconcile_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func BenchmarkDiff(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		live := reconcile.Live{Owned: resource.Set{}}
		want := reconcile.Target{Set: resource.Set{}, FactsKnown: true}
		for i := range n {
			a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			v := resource.Address{Prefix: netip.PrefixFrom(a, 32), Device: "lo"}
			live.Owned[v.ID()] = v
			if i%100 != 0 {
				want.Set[v.ID()] = v
			}
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				reconcile.Diff(live, want)
			}
		})
	}
}
