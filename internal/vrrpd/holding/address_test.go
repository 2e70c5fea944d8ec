package holding

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/announce"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

var (
	vip   = netip.MustParsePrefix("10.0.0.100/24")
	vip2  = netip.MustParsePrefix("10.0.0.101/24")
	other = netip.MustParsePrefix("10.0.0.1/24")
	vip6  = netip.MustParsePrefix("fe80::100/64")
)

func eth(index int, name string) rtnl.Link {
	return rtnl.Link{Index: index, Name: name, Up: true, Running: true, ARP: true}
}

// started returns a Table on a fake kernel with eth0, which has compared everything.
func started(t *testing.T) (*Table, *fakeKernel) {
	t.Helper()
	k := &fakeKernel{}
	k.addLink(eth(3, "eth0"))
	tab := New(k, slog.New(slog.DiscardHandler))
	settle(t, tab, k)
	return tab, k
}

// settle hands the events over and syncs until there is nothing to do.
func settle(t *testing.T, tab *Table, k *fakeKernel) Report {
	t.Helper()
	var all Report
	for range 10 {
		for _, ev := range k.queue {
			tab.Heard(&ev)
		}
		k.queue = nil
		if !tab.Dirty() {
			return all
		}
		r := tab.Sync()
		all.Fresh, all.Repairs = append(all.Fresh, r.Fresh...), all.Repairs+r.Repairs
		all.Retry, all.Err = all.Retry || r.Retry, r.Err
		if r.Retry {
			return all
		}
	}
	t.Fatal("the table is never content")
	return all
}

func wants(prefixes ...netip.Prefix) Wants {
	w := Wants{Device: "eth0", VRID: 7}
	for _, p := range prefixes {
		w.Addresses = append(w.Addresses, resource.VirtualAddress{Prefix: p})
	}
	return w
}

func (k *fakeKernel) prefixes(index int) []string {
	var out []string
	for _, a := range k.addrs {
		if a.Index == index {
			out = append(out, a.Prefix.String())
		}
	}
	slices.Sort(out)
	return out
}

func wantAddresses(t *testing.T, k *fakeKernel, want ...netip.Prefix) {
	t.Helper()
	list := []string(nil)
	for _, p := range want {
		list = append(list, p.String())
	}
	slices.Sort(list)
	if d := cmp.Diff(list, k.prefixes(3)); d != "" {
		t.Errorf("addresses on eth0 (-want +got):\n%s", d)
	}
}

func TestAcquireAndRelease(t *testing.T) {
	tab, k := started(t)
	tab.Want("a", wants(vip, vip2, vip6))
	settle(t, tab, k)
	wantAddresses(t, k)
	k.lists = 0
	tab.Acquire("a")
	wantAddresses(t, k, vip, vip2, vip6)
	if k.lists != 0 {
		t.Errorf("%d lists before a failover, want none", k.lists)
	}
	if d := cmp.Diff([]string{vip.String(), vip2.String(), vip6.String()}, tab.Held("a")); d != "" {
		t.Errorf("Held (-want +got):\n%s", d)
	}
	settle(t, tab, k)
	tab.Release("a")
	wantAddresses(t, k)
	if r := settle(t, tab, k); r.Repairs != 0 || len(r.Fresh) != 0 {
		t.Errorf("report %+v, want nothing", r)
	}
	if len(tab.Held("a")) != 0 || len(tab.addrs) != 0 {
		t.Error("something is still held")
	}
}

func TestDeletedAddressIsPutBack(t *testing.T) {
	for _, p := range []netip.Prefix{vip, vip6} {
		tab, k := started(t)
		tab.Want("a", wants(p))
		tab.Acquire("a")
		settle(t, tab, k)
		k.deleteAddress(3, p)
		r := settle(t, tab, k)
		if wantAddresses(t, k, p); r.Repairs != 1 || !slices.Equal(r.Fresh, []string{"a"}) {
			t.Errorf("report %+v, want one repair and a fresh", r)
		}
	}
}

func TestAlteredAddressIsMended(t *testing.T) {
	tab, k := started(t)
	tab.Want("a", wants(vip))
	tab.Acquire("a")
	settle(t, tab, k)
	if err := k.addAddress(rtnl.Address{Index: 3, Prefix: vip}, true); err != nil {
		t.Fatal(err)
	}
	if r := settle(t, tab, k); r.Repairs != 1 || !k.addrs[0].Marked || !k.addrs[0].Forever {
		t.Errorf("report %+v, address %+v", r, k.addrs[0])
	}
}

func TestForeignAddressIsAConflictAndStays(t *testing.T) {
	tab, k := started(t)
	if err := k.addAddress(rtnl.Address{Index: 3, Prefix: vip, Forever: true}, false); err != nil {
		t.Fatal(err)
	}
	tab.Want("a", wants(vip))
	settle(t, tab, k)
	want := []string{vip.String() + " on eth0"}
	if d := cmp.Diff(want, tab.Conflicts("a")); d != "" {
		t.Errorf("as backup (-want +got):\n%s", d)
	}
	tab.Acquire("a")
	settle(t, tab, k)
	if d := cmp.Diff(want, tab.Conflicts("a")); d != "" || len(tab.Held("a")) != 0 {
		t.Errorf("as master (-want +got):\n%s", d)
	}
	tab.Release("a")
	tab.Forget("a")
	settle(t, tab, k)
	if wantAddresses(t, k, vip); k.addrs[0].Marked {
		t.Error("somebody else's address carries our mark")
	}
}

func TestForeignAddressThatGoesMakesRoom(t *testing.T) {
	tab, k := started(t)
	_ = k.addAddress(rtnl.Address{Index: 3, Prefix: vip, Forever: true}, false)
	tab.Want("a", wants(vip))
	tab.Acquire("a")
	settle(t, tab, k)
	k.deleteAddress(3, vip)
	r := settle(t, tab, k)
	if len(tab.Conflicts("a")) != 0 || !slices.Equal(r.Fresh, []string{"a"}) || len(tab.Held("a")) != 1 {
		t.Errorf("report %+v, conflicts %v", r, tab.Conflicts("a"))
	}
}

func TestAddressThatMovesBetweenOwnersStays(t *testing.T) {
	tab, k := started(t)
	tab.Want("a", wants(vip))
	tab.Want("b", wants(vip2))
	tab.Acquire("a")
	tab.Acquire("b")
	settle(t, tab, k)
	k.asked = 0
	tab.Want("a", wants(vip2))
	tab.Want("b", wants(vip))
	settle(t, tab, k)
	if wantAddresses(t, k, vip, vip2); k.asked != 0 {
		t.Errorf("%d requests, want none", k.asked)
	}
	tab.Want("a", wants())
	settle(t, tab, k)
	wantAddresses(t, k, vip)
}

func TestSharedAddressEndsWithItsLastOwner(t *testing.T) {
	tab, k := started(t)
	for _, o := range []string{"a", "b"} {
		tab.Want(o, wants(vip))
		tab.Acquire(o)
	}
	settle(t, tab, k)
	tab.Release("a")
	wantAddresses(t, k, vip)
	tab.Release("b")
	wantAddresses(t, k)
}

func TestRestartAdoptsWhatIsMarked(t *testing.T) {
	for _, noMarks := range []bool{false, true} {
		tab, k := started(t)
		k.noMarks = noMarks
		tab.Want("a", wants(vip, vip6))
		tab.Acquire("a")
		held := tab.Held("a")
		k.asked = 0
		next := New(k, slog.New(slog.DiscardHandler))
		k.tell(rtnl.Event{Kind: rtnl.LinkEvent, Link: eth(3, "eth0")})
		for _, ev := range k.queue {
			next.Heard(&ev)
		}
		next.Want("a", wants(vip, vip6))
		next.Adopt("a", held)
		next.Acquire("a")
		if r := settle(t, next, k); r.Repairs != 0 || k.asked != 0 || len(r.Fresh) != 0 {
			t.Errorf("marks %v: report %+v and %d requests, want the addresses untouched", !noMarks, r, k.asked)
		}
		next.Release("a")
		wantAddresses(t, k)
	}
}

func TestRestartAsBackupWithdraws(t *testing.T) {
	tab, k := started(t)
	tab.Want("a", wants(vip))
	tab.Acquire("a")
	if err := k.addAddress(rtnl.Address{Index: 3, Prefix: other, Forever: true}, false); err != nil {
		t.Fatal(err)
	}
	k.links[0].Conf.Promote = 1
	next := New(k, slog.New(slog.DiscardHandler))
	settle(t, next, k)
	wantAddresses(t, k, other)
}

func TestLinkThatReturnsWithAnotherIndexGetsItsAddresses(t *testing.T) {
	tab, k := started(t)
	tab.Want("a", wants(vip, vip6))
	tab.Acquire("a")
	settle(t, tab, k)
	k.deleteLink(3)
	settle(t, tab, k)
	if len(tab.Held("a")) != 0 {
		t.Errorf("Held = %v without the link", tab.Held("a"))
	}
	k.addLink(eth(9, "eth0"))
	settle(t, tab, k)
	if got := k.prefixes(9); len(got) != 2 || len(tab.Held("a")) != 2 {
		t.Errorf("addresses %v, held %v", got, tab.Held("a"))
	}
	k.deleteLink(9)
	k.addLink(eth(9, "eth0"))
	settle(t, tab, k)
	if got := k.prefixes(9); len(got) != 2 {
		t.Errorf("addresses %v after the same index came back", got)
	}
}

func TestRenamedLinkIsLeft(t *testing.T) {
	tab, k := started(t)
	tab.Want("a", wants(vip))
	tab.Acquire("a")
	settle(t, tab, k)
	k.addLink(eth(3, "eth9"))
	settle(t, tab, k)
	wantAddresses(t, k)
	k.addLink(eth(3, "eth0"))
	settle(t, tab, k)
	wantAddresses(t, k, vip)
}

func TestOtherDeviceAndLabel(t *testing.T) {
	tab, k := started(t)
	k.addLink(eth(4, "eth1"))
	w := wants(vip)
	w.Excluded = []resource.VirtualAddress{{Prefix: vip2, Device: "eth1", Label: "eth1:x", Scope: "link", NoPrefixRoute: true}}
	tab.Want("a", w)
	tab.Acquire("a")
	settle(t, tab, k)
	if d := cmp.Diff([]string{vip.String(), vip2.String() + " dev eth1"}, tab.Held("a")); d != "" {
		t.Errorf("Held (-want +got):\n%s", d)
	}
	a := k.addrs[1]
	if a.Index != 4 || a.Label != "eth1:x" || a.Scope != 253 || !a.NoPrefixRoute {
		t.Errorf("address %+v", a)
	}
	w.Excluded = []resource.VirtualAddress{{Prefix: vip2, Device: "eth1", Label: "eth1:y"}}
	tab.Want("a", w)
	r := settle(t, tab, k)
	if a := k.addrs[1]; a.Label != "eth1:y" || a.NoPrefixRoute || r.Repairs != 0 {
		t.Errorf("address %+v, report %+v", a, r)
	}
}

func TestRefusalIsTriedAgain(t *testing.T) {
	for name, fail := range map[string]func(k *fakeKernel, err error){
		"refused":    func(k *fakeKernel, err error) { k.deny = err },
		"unanswered": func(k *fakeKernel, err error) { k.silent = err },
	} {
		t.Run(name, func(t *testing.T) {
			tab, k := started(t)
			tab.Want("a", wants(vip, vip6))
			settle(t, tab, k)
			fail(k, unix.EPERM)
			tab.Acquire("a")
			if len(tab.Held("a")) != 0 || len(tab.Targets("a")) != 0 {
				t.Errorf("Held = %v, want nothing that is not known to be there", tab.Held("a"))
			}
			if !tab.Dirty() {
				t.Error("nobody learns of the refusal")
			}
			first := tab.Sync()
			if !first.Retry || !errors.Is(first.Err, unix.EPERM) {
				t.Errorf("report %+v, want EPERM to be tried again", first)
			}
			fail(k, nil)
			tab.Recheck()
			r := settle(t, tab, k)
			if len(first.Fresh)+len(r.Fresh) != 1 || len(tab.Held("a")) != 2 || first.Repairs+r.Repairs != 0 {
				t.Errorf("reports %+v, %+v, held %v", first, r, tab.Held("a"))
			}
		})
	}
}

func TestTargetsAreWhatIsHeld(t *testing.T) {
	tab, k := started(t)
	l := eth(3, "eth0")
	l.MAC = [6]byte{2, 0, 0, 0, 0, 1}
	k.addLink(l)
	tab.Want("a", wants(vip, vip6))
	settle(t, tab, k)
	if got := tab.Targets("a"); len(got) != 0 {
		t.Errorf("targets of a backup are %+v", got)
	}
	tab.Acquire("a")
	tab.Heard(&rtnl.Event{Kind: rtnl.ForwardEvent, Index: 3, IPv6: true, Forwarding: true})
	want := []announce.Target{{Index: 3, MAC: l.MAC, Address: vip.Addr()}, {Index: 3, MAC: l.MAC, Address: vip6.Addr(), Router: true}}
	if d := cmp.Diff(want, tab.Targets("a"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("targets (-want +got):\n%s", d)
	}
	if index, mac := tab.Transmit("a"); index != 3 || mac != l.MAC {
		t.Errorf("Transmit = %d, %x", index, mac)
	}
	if index, _ := tab.Transmit("nobody"); index != 0 {
		t.Errorf("Transmit of nobody = %d", index)
	}
}
