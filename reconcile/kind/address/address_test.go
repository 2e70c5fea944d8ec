package address

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/sys"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func addr(prefix, device string) resource.Address {
	return resource.Address{Prefix: netip.MustParsePrefix(prefix), Device: device}
}

// each runs f in a namespace with a second device, with marks and with the ledger that old
// kernels need.
func each(t *testing.T, f func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler)) {
	t.Run("mark", func(t *testing.T) { inNamespace(t, &handler{}, f) })
	t.Run("ledger", func(t *testing.T) {
		ns := nstest.New(t)
		ns.Do(func() {
			l, err := ledger.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			inNamespace(t, &handler{ledger: l}, f)
		})
	})
}

func inNamespace(t *testing.T, h *handler, f func(*testing.T, *nstest.NS, []reconcile.Handler)) {
	ns := nstest.New(t)
	ns.Run("ip", "link", "add", "br0", "type", "bridge")
	ns.Run("ip", "link", "set", "br0", "up")
	ns.Do(func() { f(t, ns, []reconcile.Handler{h}) })
}

func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
		ns.Run("ip", "addr", "add", "198.51.100.7/24", "dev", "br0")
		ns.Run("ip", "addr", "add", "2001:db8:f::7/128", "dev", "lo")
		reconciletest.TestAll(t, hs,
			reconciletest.Set(addr("192.0.2.1/32", "lo")),
			reconciletest.Set(addr("192.0.2.1/32", "lo"), addr("2001:db8::1/128", "lo"), addr("192.0.2.2/24", "br0")),
			reconciletest.Set(addr("192.0.2.1/24", "lo"), addr("192.0.2.2/32", "lo")),
			reconciletest.Set(addr("2001:db8::1/64", "br0"), addr("2001:db8::2/128", "lo")),
			reconciletest.Set(addr("2001:db8::2/128", "br0")),
			reconciletest.Set(addr("192.0.2.1/24", "br0")))
	})
}

func TestAdoption(t *testing.T) {
	each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
		ns.Run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
		reconciletest.Adopt(t, hs, addr("192.0.2.1/32", "lo"))
	})
}

func TestAnAddressElsewhereIsAConflict(t *testing.T) {
	for _, foreign := range [][]string{{"192.0.2.1/32", "br0"}, {"192.0.2.1/24", "lo"}} {
		each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
			ns.Run("ip", "addr", "add", foreign[0], "dev", foreign[1])
			reconciletest.Conflict(t, hs, addr("192.0.2.1/32", "lo"))
			reconciletest.TakeOver(t, hs, addr("192.0.2.1/32", "lo"))
		})
	}
}

// TestOursElsewhereTooIsAConflict has the address on lo and, by hand, on a device that
// answers ARP: the whole service would come to this real server.
func TestOursElsewhereTooIsAConflict(t *testing.T) {
	each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
		vip := addr("192.0.2.1/32", "lo")
		reconciletest.Apply(t, hs, reconciletest.Set(vip))
		ns.Run("ip", "addr", "add", "192.0.2.1/24", "dev", "br0")
		reconciletest.Conflict(t, hs, vip)
		reconciletest.TakeOver(t, hs, vip)
	})
}

func TestWhatSomebodyElsePutsThereFirstIsAdopted(t *testing.T) {
	each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
		reconciletest.Apply(t, hs, reconciletest.Set(addr("192.0.2.1/24", "br0")))
		ns.Run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
		want := reconciletest.Set(addr("192.0.2.1/32", "lo"))
		reconciletest.Apply(t, hs, want)
		reconciletest.Apply(t, hs, want) // finishes the move
		live := reconciletest.Observe(t, hs...)
		if diff := cmp.Diff(want, live.Owned, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("owned (-want +got):\n%s", diff)
		}
	})
}

func TestAnAddressOfVRRPIsNotOurs(t *testing.T) {
	each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
		vip := sys.Address{Prefix: netip.MustParsePrefix("192.0.2.1/24"), Device: "br0", Proto: sys.VRRPProto}
		if err := sys.AddAddress(vip); err != nil {
			t.Fatal(err)
		}
		live := reconciletest.Observe(t, hs...)
		id := addr("192.0.2.1/24", "br0").ID()
		if live.Owned[id] != nil || live.Foreign[id] != nil {
			t.Errorf("live = %v, want nothing of vrrpd", live)
		}
		c := reconcile.Change{Action: reconcile.Delete, ID: id}
		if err := hs[0].Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		all, err := sys.Addresses()
		if err != nil || !slices.ContainsFunc(all, func(a sys.Address) bool { return a.Prefix == vip.Prefix && a.Proto == sys.VRRPProto }) {
			t.Errorf("addresses = %v, %v, want vrrpd's still there", all, err)
		}
	})
}

func TestAMoveThatWasBrokenOffIsFinished(t *testing.T) {
	both := []resource.Address{addr("192.0.2.1/32", "lo"), addr("192.0.2.1/24", "br0")}
	for _, want := range both {
		each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
			for _, a := range both {
				if err := hs[0].(*handler).add(a); err != nil {
					t.Fatal(err)
				}
			}
			if plan := reconciletest.Apply(t, hs, reconciletest.Set(want)); plan.Count(reconcile.Update) != 1 {
				t.Errorf("plan = %+v, want one update", plan)
			}
			if plan := reconciletest.Plan(t, hs, reconciletest.Set(want)); !plan.Empty() {
				t.Errorf("second plan = %+v, want nothing", plan)
			}
			reconciletest.Apply(t, hs, resource.Set{})
			if got := ns.Run("ip", "-o", "addr", "show", "to", "192.0.2.1"); got != "" {
				t.Errorf("addresses = %s, want none left", got)
			}
		})
	}
}

func TestAnAddressDeletedByHandComesBack(t *testing.T) {
	each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
		want := reconciletest.Set(addr("192.0.2.1/32", "lo"))
		reconciletest.Apply(t, hs, want)
		ns.Run("ip", "addr", "del", "192.0.2.1/32", "dev", "lo")
		if plan := reconciletest.Apply(t, hs, want); len(plan.Changes) != 1 {
			t.Errorf("plan = %+v, want one change", plan)
		}
		if live := reconciletest.Observe(t, hs...); live.Owned[addr("192.0.2.1/32", "lo").ID()] == nil {
			t.Errorf("owned = %v, want the address back", live.Owned)
		}
	})
}

func TestDeletingTheFirstOfASubnetLeavesTheOthers(t *testing.T) {
	each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/br0/promote_secondaries", []byte("0"), 0o644); err != nil {
			t.Fatal(err)
		}
		reconciletest.Apply(t, hs, reconciletest.Set(addr("192.0.2.1/24", "br0")))
		ns.Run("ip", "addr", "add", "192.0.2.7/24", "dev", "br0")
		reconciletest.Apply(t, hs, resource.Set{})
		live := reconciletest.Observe(t, hs...)
		if foreign := addr("192.0.2.7/24", "br0"); live.Foreign[foreign.ID()] != any(foreign) || len(live.Owned) != 0 {
			t.Errorf("live = %v, want %v to be foreign and nothing owned", live, foreign)
		}
	})
}

// TestAVirtualAddressIsNoSource has a host whose own address is on lo too, as with BGP to the
// host. The virtual address would be the better source by RFC 6724, section 5, rule 8.
func TestAVirtualAddressIsNoSource(t *testing.T) {
	each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
		ns.Run("ip", "addr", "add", "2001:db8:f::1/128", "dev", "lo")
		ns.Run("ip", "-6", "route", "add", "2001:db8:0:1::/64", "dev", "br0")
		source := func() string { return ns.Run("ip", "-6", "route", "get", "2001:db8:0:1::9") }
		ns.Run("ip", "addr", "add", "2001:db8:0:1::1/128", "dev", "lo", "nodad")
		if out := source(); !strings.Contains(out, "src 2001:db8:0:1::1 ") {
			t.Fatalf("route = %s: the test proves nothing", out)
		}
		ns.Run("ip", "addr", "del", "2001:db8:0:1::1/128", "dev", "lo")
		reconciletest.Apply(t, hs, reconciletest.Set(addr("2001:db8:0:1::1/128", "lo")))
		if out := source(); !strings.Contains(out, "src 2001:db8:f::1 ") {
			t.Errorf("route = %s, want the host's own address as source", out)
		}
		if out := ns.Run("ip", "-6", "addr", "show", "to", "2001:db8:0:1::1"); !strings.Contains(out, "deprecated") || !strings.Contains(out, "valid_lft forever preferred_lft 0sec") {
			t.Errorf("address = %s, want it deprecated and valid forever", out)
		}
	})
}

// TestAVirtualAddressIsNotProbed: two real servers have the address, and neither waits.
func TestAVirtualAddressIsNotProbed(t *testing.T) {
	each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
		want := reconciletest.Set(addr("2001:db8::1/128", "br0"))
		reconciletest.Apply(t, hs, want)
		if out := ns.Run("ip", "-6", "addr", "show", "dev", "br0", "to", "2001:db8::1"); !strings.Contains(out, "nodad") || strings.Contains(out, "tentative") {
			t.Errorf("address = %s, want it at once and without a probe", out)
		}
	})
}

func TestADeviceThatDoesNotExist(t *testing.T) {
	each(t, func(t *testing.T, ns *nstest.NS, hs []reconcile.Handler) {
		a := addr("192.0.2.1/32", "none0")
		c := reconcile.Change{Action: reconcile.Create, ID: a.ID(), After: a}
		if err := hs[0].Apply(t.Context(), c); err == nil {
			t.Error("Apply succeeded, want an error")
		}
	})
}
