package holding

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// full are the wants of a router with one of everything.
func full(vmac, noAccept bool) Wants {
	addr := func(s string) resource.VirtualAddress {
		a, err := resource.ParseVirtualAddress(s)
		if err != nil {
			panic(err)
		}
		return a
	}
	route := func(s string) resource.VirtualRoute {
		r, err := resource.ParseVirtualRoute(s)
		if err != nil {
			panic(err)
		}
		return r
	}
	rule := func(s string) resource.VirtualRule {
		r, err := resource.ParseVirtualRule(s)
		if err != nil {
			panic(err)
		}
		return r
	}
	return Wants{
		Device: "v0", VRID: 7, VirtualMAC: vmac, NoAccept: noAccept,
		Addresses: []resource.VirtualAddress{addr("10.0.0.100/24"), addr("10.0.0.101/24")},
		Excluded:  []resource.VirtualAddress{addr("fd00::100/64"), addr("10.3.0.100/24 dev v1 label v1:x scope link noprefixroute")},
		Routes: []resource.VirtualRoute{
			route("10.9.0.0/16 via 10.0.0.254 dev v0 src 10.0.0.100 metric 5 mtu 1400"), route("blackhole 10.8.0.0/16 table 1000"),
			route("unreachable fd08::/32"), route("fd09::/64 via fe80::fe dev v0 onlink"), route("10.7.0.0/16 dev v1"),
		},
		Rules: []resource.VirtualRule{
			rule("ipv4 priority 100 from 10.0.0.0/24 table 1000"), rule("ipv6 priority 100 to fd00::/16 iif v0 prohibit"),
			rule("ipv4 priority 101 fwmark 0x1/0xff oif v1 table 1000"),
		},
	}
}

func TestEverythingComesAndGoes(t *testing.T) {
	for _, vmac := range []bool{false, true} {
		t.Run(fmt.Sprintf("virtual MAC %v", vmac), func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w world) {
				before := see(t, w)
				p := newProcess(t, w)
				p.Want("a", full(vmac, true))
				if r := p.settle(); r.Err != nil || r.Repairs != 0 {
					t.Fatalf("report %+v", r)
				}
				p.Acquire("a")
				after := see(t, w)
				if d := cmp.Diff(before.others, after.others); d != "" {
					t.Errorf("others' objects (-before +after):\n%s", d)
				}
				want := 4 + 5 + 3
				if vmac {
					want++
				}
				if len(after.ours) != want {
					t.Errorf("ours are %d, want %d:\n%s", len(after.ours), want, strings.Join(after.ours, "\n"))
				}
				if r := p.settle(); r.Err != nil || r.Repairs != 0 || len(r.Fresh) != 0 {
					t.Errorf("report after the failover %+v, want nothing", r)
				}
				if d := cmp.Diff(after, see(t, w), cmp.AllowUnexported(seen{})); d != "" {
					t.Errorf("the comparison changed something:\n%s", d)
				}
				if got, whole, err := w.Refused(); len(got) != 4 || !whole || err != nil {
					t.Errorf("refused %v, %v, %v", got, whole, err)
				}
				p.Release("a")
				if left := see(t, w).ours; len(left) != want-12 {
					t.Errorf("left after the release:\n%s", strings.Join(left, "\n"))
				}
				if r := p.settle(); r.Err != nil || r.Repairs != 0 {
					t.Errorf("report after the release %+v", r)
				}
				p.Forget("a")
				p.settle()
				if d := cmp.Diff(before, see(t, w), cmp.AllowUnexported(seen{})); d != "" {
					t.Errorf("left in the end (-before +after):\n%s", d)
				}
				if got, whole, err := w.Refused(); len(got) != 0 || whole || err != nil {
					t.Errorf("refused %v, %v, %v", got, whole, err)
				}
			})
		})
	}
}

func TestWhatSomebodyDeletesComesBack(t *testing.T) {
	inWorlds(t, func(t *testing.T, w world) {
		p := newProcess(t, w)
		p.Want("a", full(false, true))
		p.Acquire("a")
		p.settle()
		want := see(t, w)
		for _, s := range []string{
			"addr del 10.0.0.100/24 dev v0", "addr del fd00::100/64 dev v0", "addr change 10.0.0.101/24 dev v0 valid_lft 1000 preferred_lft 1000",
			"route del 10.9.0.0/16 metric 5", "route del blackhole 10.8.0.0/16 table 1000", "route del fd09::/64 via fe80::fe dev v0 -6",
			"rule del priority 100", "rule del priority 100 -6", "route change 10.9.0.0/16 metric 5 via 10.0.0.253 proto 118",
		} {
			if !w.ip(s) {
				t.Errorf("ip %s was refused", s)
			}
			r := p.settle()
			if d := cmp.Diff(want, see(t, w), cmp.AllowUnexported(seen{})); d != "" || r.Repairs == 0 || r.Err != nil {
				t.Errorf("after ip %s: %+v (-want +got):\n%s", s, r, d)
			}
		}
		if err := w.RefuseNothing(); err != nil {
			t.Fatal(err)
		}
		p.Poll()
		p.settle()
		if got, whole, err := w.Refused(); len(got) != 4 || !whole || err != nil {
			t.Errorf("refused %v, %v, %v", got, whole, err)
		}
	})
}

func TestRoutesReturnWithTheirDevice(t *testing.T) {
	inWorlds(t, func(t *testing.T, w world) {
		p := newProcess(t, w)
		p.Want("a", full(false, false))
		p.Acquire("a")
		p.settle()
		want := see(t, w)
		w.ip("link set v1 down")
		if r := p.settle(); r.Err != nil {
			t.Errorf("while the device is down: %+v", r)
		}
		w.ip("link set v1 up")
		p.settle()
		if d := cmp.Diff(want, see(t, w), cmp.AllowUnexported(seen{})); d != "" {
			t.Errorf("after the device returned (-want +got):\n%s", d)
		}
		w.ip("link del v1")
		p.settle()
		w.ip(setting[4])
		w.ip(setting[5])
		w.ip(setting[6])
		w.ip(setting[7])
		p.settle()
		if d := cmp.Diff(want, see(t, w), cmp.AllowUnexported(seen{})); d != "" {
			t.Errorf("after the device was made anew (-want +got):\n%s", d)
		}
	})
}

func TestSettingsOfAVirtualMACAreVerified(t *testing.T) {
	inWorlds(t, func(t *testing.T, w world) {
		p := newProcess(t, w)
		p.Want("a", full(true, false))
		p.Acquire("a")
		p.settle()
		const conf = "net/ipv4/conf/"
		want := map[string]string{conf + "vrrp4-7/arp_ignore": "1", conf + "v0/arp_ignore": "1", conf + "v0/arp_announce": "2", "net/ipv6/conf/vrrp4-7/accept_ra": "0"}
		for name, value := range want {
			if got, err := w.Sysctl(name); got != value || err != nil {
				t.Errorf("%s = %s, %v, want %s", name, got, err, value)
			}
			if err := w.SetSysctl(name, "0"); err != nil {
				t.Fatal(err)
			}
			p.Poll()
			if r := p.settle(); r.Err != nil || len(r.Fresh) != 0 {
				t.Errorf("report %+v", r)
			}
			if got, _ := w.Sysctl(name); got != value {
				t.Errorf("%s = %s after somebody set it, want %s", name, got, value)
			}
		}
	})
}

func TestVirtualMACFollowsTheHostsFilter(t *testing.T) {
	inKernel(t, func(t *testing.T, w world) {
		p := newProcess(t, w)
		p.Want("a", full(true, false))
		p.settle()
		for _, c := range []struct{ all, want string }{{"1", "2"}, {"0", "0"}, {"2", "2"}} {
			if err := w.SetSysctl("net/ipv4/conf/all/rp_filter", c.all); err != nil {
				t.Fatal(err)
			}
			p.Poll()
			p.settle()
			if got, err := w.Sysctl("net/ipv4/conf/vrrp4-7/rp_filter"); got != c.want || err != nil {
				t.Errorf("all %s: rp_filter = %s, %v, want %s", c.all, got, err, c.want)
			}
			if got, _ := w.Sysctl("net/ipv4/conf/all/rp_filter"); got != c.all {
				t.Errorf("all.rp_filter = %s, want %s untouched", got, c.all)
			}
		}
	})
}

func TestOthersStayWhenAVirtualAddressWasTheirPrimary(t *testing.T) {
	inWorlds(t, func(t *testing.T, w world) {
		p := newProcess(t, w)
		wants := full(false, false)
		wants.Addresses = []resource.VirtualAddress{{Prefix: mustPrefix("10.5.0.100/24")}, {Prefix: mustPrefix("10.5.0.101/24")}}
		wants.Routes = nil
		p.Want("a", wants)
		p.Acquire("a")
		p.settle()
		w.ip("addr add 10.5.0.1/24 dev v0") // a secondary of ours
		w.ip("addr add 10.5.0.2/24 dev v0")
		p.settle()
		want := see(t, w).others
		p.Release("a")
		p.settle()
		if d := cmp.Diff(want, see(t, w).others); d != "" {
			t.Errorf("others' addresses (-want +got):\n%s", d)
		}
		p.Forget("a")
		p.settle()
		if v, err := w.Sysctl("net/ipv4/conf/v0/promote_secondaries"); v != "0" || err != nil {
			t.Errorf("promote_secondaries = %s, %v; want it as before", v, err)
		}
	})
}

func TestOthersRoutesAndRules(t *testing.T) {
	inWorlds(t, func(t *testing.T, w world) {
		for _, s := range []string{
			"route add 10.7.0.0/16 dev v1", "route add 10.9.0.0/16 via 10.0.0.253 metric 5", "rule add priority 100 from 10.0.0.0/24 table 1000",
		} {
			w.ip(s)
		}
		before := see(t, w)
		p := newProcess(t, w)
		p.Want("a", full(false, false))
		p.Acquire("a")
		if r := p.settle(); r.Err != nil {
			t.Errorf("report %+v", r)
		}
		if got := p.Conflicts("a"); len(got) != 1 || !strings.Contains(got[0], "10.9.0.0/16") {
			t.Errorf("conflicts %q, want the different route only", got)
		}
		w.ip("rule del priority 100")
		w.ip("route del 10.7.0.0/16")
		w.ip("route del 10.9.0.0/16 metric 5")
		p.settle()
		if got := see(t, w); len(got.ours) != 12 || len(p.Conflicts("a")) != 0 {
			t.Errorf("after the others went: conflicts %q, ours\n%s", p.Conflicts("a"), strings.Join(got.ours, "\n"))
		}
		p.Release("a")
		p.settle()
		for _, s := range []string{
			"route add 10.7.0.0/16 dev v1", "route add 10.9.0.0/16 via 10.0.0.253 metric 5", "rule add priority 100 from 10.0.0.0/24 table 1000",
		} {
			w.ip(s)
		}
		p.Acquire("a")
		p.Release("a") // before any comparison
		p.Forget("a")
		p.settle()
		if d := cmp.Diff(before, see(t, w), cmp.AllowUnexported(seen{})); d != "" {
			t.Errorf("in the end (-before +after):\n%s", d)
		}
	})
}

func TestSharedRouteEndsWithItsLastOwner(t *testing.T) {
	inWorlds(t, func(t *testing.T, w world) {
		p := newProcess(t, w)
		a, b := full(false, false), full(false, false)
		a.Addresses, a.Excluded, b.Addresses, b.Excluded = a.Addresses[:1], nil, b.Addresses[:1], nil
		p.Want("a", a)
		p.Want("b", b)
		p.Acquire("a")
		p.Acquire("b")
		if r := p.settle(); r.Err != nil {
			t.Fatalf("report %+v", r)
		}
		want := see(t, w)
		p.Release("a")
		p.settle()
		if d := cmp.Diff(want, see(t, w), cmp.AllowUnexported(seen{})); d != "" {
			t.Errorf("after the first let go (-want +got):\n%s", d)
		}
		p.Release("b")
		if left := see(t, w).ours; len(left) != 0 {
			t.Errorf("left:\n%s", strings.Join(left, "\n"))
		}
	})
}

func TestSuccessorFindsEverything(t *testing.T) {
	for _, vmac := range []bool{false, true} {
		inWorlds(t, func(t *testing.T, w world) {
			p := newProcess(t, w)
			p.Want("a", full(vmac, true))
			p.settle()
			p.Acquire("a")
			p.settle()
			want, held := see(t, w), p.Held("a")
			w.restart()
			p = newProcess(t, w)
			p.Want("a", full(vmac, true))
			p.Adopt("a", held)
			p.Acquire("a")
			if r := p.settle(); r.Err != nil || r.Repairs != 0 || len(r.Fresh) != 0 {
				t.Errorf("report %+v, want nothing", r)
			}
			if d := cmp.Diff(want, see(t, w), cmp.AllowUnexported(seen{})); d != "" {
				t.Errorf("after the restart (-want +got):\n%s", d)
			}
			w.restart()
			p = newProcess(t, w) // without any configuration
			p.settle()
			if left := see(t, w).ours; len(left) != 0 {
				t.Errorf("left:\n%s", strings.Join(left, "\n"))
			}
			if v, _ := w.Sysctl("net/ipv4/conf/v0/arp_ignore"); v != "0" {
				t.Errorf("arp_ignore = %s, want it as before", v)
			}
		})
	}
}

func TestManyAddresses(t *testing.T) {
	inKernel(t, func(t *testing.T, w world) {
		p := newProcess(t, w)
		took := func(what string, f func()) {
			start := time.Now()
			f()
			t.Logf("%s: %v", what, time.Since(start))
		}
		p.settle()
		took("want", func() { p.Want("a", many(5000)); p.settle() })
		took("acquire", func() { p.Acquire("a") })
		if n := len(p.Held("a")); n != 5000 {
			t.Fatalf("holds %d addresses, want 5000", n)
		}
		took("settle", func() { p.settle() })
		w.ip("addr del 10.2.0.1/16 dev v0") // the primary
		took("repair", func() {
			if r := p.settle(); r.Repairs != 1 {
				t.Errorf("%d repairs, want 1", r.Repairs)
			}
		})
		took("release", func() { p.Release("a") })
		took("settle", func() { p.settle() })
		if left := see(t, w).ours; len(left) != 0 {
			t.Errorf("%d addresses are left", len(left))
		}
	})
}

func TestPacketsThatAreNotAcceptedAreDropped(t *testing.T) {
	inKernel(t, func(t *testing.T, w world) {
		p := newProcess(t, w)
		wants := full(false, true)
		wants.Routes, wants.Rules = nil, nil
		p.Want("a", wants)
		p.settle()
		p.Acquire("a")
		for _, s := range []string{"10.0.0.100", "fd00::100"} {
			if connects(t, s, "") {
				t.Errorf("%s answers, want its packets dropped", s)
			}
		}
		if !connects(t, "10.0.0.1", "") {
			t.Error("the host's own address does not answer")
		}
		wants.NoAccept = false
		p.Want("a", wants)
		p.settle()
		for _, s := range []string{"10.0.0.100", "fd00::100"} {
			if !connects(t, s, "") {
				t.Errorf("%s does not answer, want it accepted", s)
			}
		}
	})
}
