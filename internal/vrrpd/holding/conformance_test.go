package holding

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/announce"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A gateway is a host between a segment, on which a neighbour is, and one far behind it.
// The neighbour's way there leads by the virtual addresses.
type gateway struct {
	t               *testing.T
	host, peer, far *nstest.NS
	physical        string
	p               *process
	wants           Wants
}

const virtualMAC = "00:00:5e:00:01:07"

var (
	virtuals  = []string{"10.0.0.100", "fd00::100", "fe80::100%eth0"}
	distant   = []string{"10.20.0.2", "fd20::2"}
	gatewayIP = []string{"10.0.0.100", "fe80::100"}
)

// onGateway runs f with a Table on the host that has one router, not active.
func onGateway(t *testing.T, vmac bool, f func(g *gateway)) {
	t.Helper()
	g := &gateway{t: t, host: nstest.New(t), peer: nstest.New(t), far: nstest.New(t)}
	for _, n := range []*nstest.NS{g.host, g.peer, g.far} {
		n.Run("sh", "-c", "cd /proc/sys/net/ipv6/conf; echo 0 > all/accept_dad; echo 0 > default/accept_dad; echo 0 > all/accept_ra")
	}
	g.host.Run("sh", "-c", "cd /proc/sys/net; for f in ipv4/ip_forward ipv6/conf/all/forwarding; do echo 1 > $f; done")
	nstest.Bridge(t, nstest.Host{NS: g.host, Device: "eth0", Addresses: []string{"10.0.0.1/24", "fd00::1/64"}},
		nstest.Host{NS: g.peer, Device: "eth0", Addresses: []string{"10.0.0.2/24", "fd00::2/64"}})
	nstest.Bridge(t, nstest.Host{NS: g.host, Device: "eth1", Addresses: []string{"10.20.0.1/24", "fd20::1/64"}},
		nstest.Host{NS: g.far, Device: "eth0", Addresses: []string{"10.20.0.2/24", "fd20::2/64"}})
	g.far.Run("ip", "route", "add", "default", "via", "10.20.0.1")
	g.far.Run("ip", "route", "add", "default", "via", "fd20::1")
	g.peer.Run("ip", "route", "add", "10.20.0.0/24", "via", gatewayIP[0])
	g.peer.Run("ip", "route", "add", "fd20::/64", "via", gatewayIP[1], "dev", "eth0")
	g.physical = strings.Fields(g.host.Run("ip", "-br", "link", "show", "eth0"))[2]
	g.host.Do(func() {
		w := &realWorld{t: t}
		w.restart()
		defer func() { _, _ = w.events.Close(), w.Close() }()
		g.p = newProcess(t, w)
		g.wants = Wants{Device: "eth0", VRID: 7, VirtualMAC: vmac}
		for _, s := range []string{"10.0.0.100/24", "fd00::100/64", "fe80::100/64"} {
			g.wants.Addresses = append(g.wants.Addresses, resource.VirtualAddress{Prefix: mustPrefix(s)})
		}
		g.p.Want("a", g.wants)
		g.settle()
		for _, own := range []string{"10.0.0.1", "fd00::1"} {
			eventually(t, own+" to answer", func() bool { return g.reaches(own) })
		}
		for _, own := range []string{"10.20.0.1", "fd20::1"} {
			eventually(t, own+" to answer what is far", func() (ok bool) {
				g.far.Do(func() { ok = connects(t, own, "") })
				return ok
			})
		}
		f(g)
	})
}

func (g *gateway) settle() {
	g.t.Helper()
	if r := g.p.settle(); r.Err != nil {
		g.t.Fatal(r.Err)
	}
}

// reaches reports whether the neighbour has an answer from an address.
func (g *gateway) reaches(address string) (ok bool) {
	g.peer.Do(func() { ok = connects(g.t, address, "") })
	return ok
}

// resolved is what the neighbour has in its caches for an address that it just tried, and
// whether it had an answer from there.
func (g *gateway) resolved(address string) (string, bool) {
	g.t.Helper()
	g.peer.Run("ip", "neigh", "flush", "dev", "eth0")
	ok := g.reaches(address)
	return strings.TrimSpace(g.peer.Run("ip", "neigh", "show", strings.TrimSuffix(address, "%eth0"))), ok
}

// groups are the multicast addresses that the host listens to.
func (g *gateway) groups() string { return g.host.Run("ip", "maddr", "show") }

// toVirtualMAC makes the neighbour send whatever is for an address to the virtual MAC.
func (g *gateway) toVirtualMAC(address string) {
	g.peer.Run("ip", "neigh", "replace", address, "lladdr", virtualMAC, "dev", "eth0", "nud", "permanent")
}

const solicitedNode = "ff02::1:ff00:100"

func (g *gateway) wantBackup() {
	g.t.Helper()
	for _, address := range virtuals {
		if got, ok := g.resolved(address); ok || strings.Contains(got, "lladdr") {
			g.t.Errorf("a backup answered for %s: %q, and accepted a packet: %v", address, got, ok)
		}
	}
	for i, address := range distant {
		g.toVirtualMAC(gatewayIP[i])
		if g.reaches(address) {
			g.t.Errorf("a backup forwarded a packet to %s that was sent to the virtual MAC", address)
		}
	}
	for _, address := range []string{"10.0.0.1", "fd00::1"} {
		g.toVirtualMAC(address)
		if g.reaches(address) {
			g.t.Errorf("a backup accepted a packet to its own %s that was sent to the virtual MAC", address)
		}
		g.peer.Run("ip", "neigh", "del", address, "dev", "eth0")
	}
	for _, address := range gatewayIP {
		g.peer.Run("ip", "neigh", "del", address, "dev", "eth0")
	}
	if got := g.groups(); strings.Contains(got, solicitedNode) {
		g.t.Errorf("a backup listens to %s:\n%s", solicitedNode, got)
	}
}

func (g *gateway) wantMaster(mac string, accepts bool) {
	g.t.Helper()
	for _, address := range virtuals {
		got, ok := g.resolved(address)
		if !strings.Contains(got, mac) || !strings.Contains(address, ".") && !strings.Contains(got, "router") {
			g.t.Errorf("for %s the neighbour has %q, want %s, and a router over IPv6", address, got, mac)
		}
		if !strings.Contains(address, ".") {
			g.wantProbesAnswered(strings.TrimSuffix(address, "%eth0"), mac)
		}
		if ok != accepts {
			g.t.Errorf("a packet to %s is accepted: %v, want %v", address, !accepts, accepts)
		}
	}
	for _, address := range distant {
		if !g.reaches(address) {
			g.t.Errorf("a packet to %s is not forwarded", address)
		}
	}
	if got := g.groups(); !strings.Contains(got, solicitedNode) {
		g.t.Errorf("a master does not listen to %s:\n%s", solicitedNode, got)
	}
}

// wantProbesAnswered lets the neighbour ask whether an address is still there: that is a
// solicitation to the address itself, not to a group.
func (g *gateway) wantProbesAnswered(address, mac string) {
	g.t.Helper()
	g.peer.Run("ip", "neigh", "replace", address, "lladdr", mac, "dev", "eth0", "nud", "probe")
	eventually(g.t, address+" to answer a probe", func() bool {
		return strings.Contains(g.peer.Run("ip", "neigh", "show", address), "REACHABLE")
	})
}

// TestMasterAndBackupOnASegment has RFC 9568, sections 6.4.2 and 6.4.3, as a neighbour
// sees it: who answers, what is forwarded, and what is accepted.
func TestMasterAndBackupOnASegment(t *testing.T) {
	for name, vmac := range map[string]bool{"virtual MAC": true, "physical MAC": false} {
		t.Run(name, func(t *testing.T) {
			onGateway(t, vmac, func(g *gateway) {
				mac := g.physical
				if vmac {
					mac = virtualMAC
				}
				g.wantBackup()
				g.p.Acquire("a")
				g.settle()
				g.wantMaster(mac, true)
				g.wants.NoAccept = true // neighbours are answered all the same
				g.p.Want("a", g.wants)
				g.settle()
				g.wantMaster(mac, false)
				g.p.Release("a")
				g.settle()
				g.wantBackup()
			})
		})
	}
}

// TestNoIdentifierIsMadeOfTheVirtualMAC has RFC 5798 and RFC 9568, section 7.4.
func TestNoIdentifierIsMadeOfTheVirtualMAC(t *testing.T) {
	onGateway(t, true, func(g *gateway) {
		g.p.Acquire("a")
		g.settle()
		all := g.host.Run("ip", "-6", "-o", "addr", "show")
		if strings.Contains(all, "5eff:fe00") {
			t.Errorf("an address was made of the virtual MAC:\n%s", all)
		}
		if own := g.host.Run("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link"); !strings.Contains(own, "ff:fe") {
			t.Errorf("eth0 has no identifier made in the usual way:\n%s", own)
		}
		if got := g.host.Run("ip", "-6", "-o", "addr", "show", "dev", "vrrp4-7"); strings.Count(got, "inet6") != 2 {
			t.Errorf("addresses on the macvlan, want the two virtual ones:\n%s", got)
		}
	})
}

// TestVirtualMACOfAMasterHasNoAddressOfItsOwn has RFC 9568, section 7.4, where a MASTER gets
// a virtual MAC: its macvlan is made and goes up at once.
func TestVirtualMACOfAMasterHasNoAddressOfItsOwn(t *testing.T) {
	inKernel(t, func(t *testing.T, w world) {
		p := newProcess(t, w)
		p.Want("a", full(false, false))
		p.Acquire("a")
		p.settle()
		p.Want("a", full(true, false))
		p.settle()
		links, err := w.Links()
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(links, func(l rtnl.Link) bool { return l.Name == "vrrp4-7" })
		if at < 0 || !links[at].Up {
			t.Fatalf("links %+v, want vrrp4-7 up", links)
		}
		have, err := w.Addresses()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range have {
			if a.Index == links[at].Index && !a.Marked {
				t.Errorf("%v is on the macvlan, and nobody asked for it", a.Prefix)
			}
		}
	})
}

// TestNothingIsAnnouncedBeforeItIsThere has RFC 9568, sections 8.1.2 and 8.2.2: the
// addresses and the virtual MAC come first.
func TestNothingIsAnnouncedBeforeItIsThere(t *testing.T) {
	onGateway(t, true, func(g *gateway) {
		if got := g.p.Targets("a"); len(got) != 0 {
			t.Errorf("targets before: %+v", got)
		}
		g.p.Acquire("a")
		got := g.p.Targets("a")
		if len(got) != 3 {
			t.Fatalf("targets %+v, want three", got)
		}
		for _, target := range got {
			device := g.host.Run("ip", "-o", "addr", "show", "to", target.Address.String())
			if fmt.Sprintf("%x", target.MAC) != "00005e000107" || !strings.Contains(device, "vrrp4-7") {
				t.Errorf("%v is announced from %x, and is on %q", target.Address, target.MAC, device)
			}
		}
		if link := g.host.Run("ip", "-br", "link", "show", "vrrp4-7"); !strings.Contains(link, virtualMAC) || strings.Contains(link, "DOWN") {
			t.Errorf("the macvlan is %q, want it up with %s", link, virtualMAC)
		}
	})
}

// TestOwnersAddressIsAnnounced has RFC 9568, section 6.4.1: the owner announces addresses
// that are the host's own, which this process neither adds nor removes.
func TestOwnersAddressIsAnnounced(t *testing.T) {
	tab, k := started(t)
	if err := k.addAddress(rtnl.Address{Index: 3, Prefix: vip, Forever: true}, false); err != nil {
		t.Fatal(err)
	}
	tab.Want("a", wants(vip))
	settle(t, tab, k)
	if got := tab.Targets("a"); len(got) != 0 {
		t.Errorf("targets of a backup: %+v", got)
	}
	tab.Acquire("a")
	r := settle(t, tab, k)
	want := []announce.Target{{Index: 3, MAC: tab.links[3].MAC, Address: vip.Addr()}}
	if d := cmp.Diff(want, tab.Targets("a"), cmp.Comparer(func(a, b announce.Target) bool { return a == b })); d != "" || !slices.Equal(r.Fresh, []string{"a"}) {
		t.Errorf("fresh %v, targets (-want +got):\n%s", r.Fresh, d)
	}
	tab.Recheck()
	if r := settle(t, tab, k); len(r.Fresh) != 0 || r.Repairs != 0 {
		t.Errorf("report of another comparison %+v, want nothing new", r)
	}
	tab.Release("a")
	settle(t, tab, k)
	if wantAddresses(t, k, vip); k.addrs[0].Marked || len(tab.Targets("a")) != 0 {
		t.Errorf("address %+v, targets %+v", k.addrs[0], tab.Targets("a"))
	}
}

// TestNothingRoutesMulticast has RFC 9568, sections 5.1.1.2 and
// 5.1.2.2: no setting that a Table makes lets the kernel route multicast.
func TestNothingRoutesMulticast(t *testing.T) {
	onGateway(t, true, func(g *gateway) {
		g.p.Acquire("a")
		g.settle()
		for _, device := range []string{"all", "eth0", "eth1", "vrrp4-7"} {
			for _, family := range []string{"ipv4", "ipv6"} {
				b, err := os.ReadFile("/proc/sys/net/" + family + "/conf/" + device + "/mc_forwarding")
				if err == nil && strings.TrimSpace(string(b)) != "0" {
					t.Errorf("%s on %s routes multicast", family, device)
				}
			}
		}
	})
}

// TestRedirects has what Linux does about RFC 9568, sections 8.1.1 and 8.2.1: with a virtual
// MAC it redirects nobody, and otherwise in the name of the interface's own address.
func TestRedirects(t *testing.T) {
	for name, vmac := range map[string]bool{"virtual MAC": true, "physical MAC": false} {
		t.Run(name, func(t *testing.T) {
			onGateway(t, vmac, func(g *gateway) {
				g.p.Acquire("a")
				g.settle()
				counters := func() string {
					return g.peer.Run("sh", "-c", "awk '/^Icmp:/ && $2 ~ /[0-9]/ {print $9}' /proc/net/snmp; awk '/Icmp6InRedirects/ {print $2}' /proc/net/snmp6")
				}
				if got := counters(); got != "0\n0\n" {
					t.Fatalf("redirects before: %q", got)
				}
				g.peer.Run("ip", "route", "add", "10.0.0.3/32", "via", gatewayIP[0])
				g.peer.Run("ip", "route", "add", "fd00::3/128", "via", gatewayIP[1], "dev", "eth0")
				for _, address := range []string{"10.0.0.3", "fd00::3"} { // on the segment: there is a shorter way
					g.reaches(address)
					g.reaches(address)
				}
				if got := counters(); (got == "0\n0\n") != vmac {
					t.Errorf("the neighbour heard redirects: %q", got)
				}
				for _, address := range []string{"10.0.0.3", "fd00::3"} {
					if got := g.peer.Run("ip", "route", "get", address); !strings.Contains(got, "via") {
						t.Errorf("the neighbour followed a redirect: %q", got)
					}
				}
			})
		})
	}
}

// TestSolicitationsTellNothingOfTheVirtualAddress has what Linux does about RFC 9568,
// section 8.2.2: it asks in the name of the interface, also for who uses a virtual address.
func TestSolicitationsTellNothingOfTheVirtualAddress(t *testing.T) {
	onGateway(t, true, func(g *gateway) {
		g.p.Acquire("a")
		g.settle()
		for range 3 {
			g.host.Run("ip", "neigh", "flush", "dev", "eth0")
			g.peer.Run("ip", "neigh", "flush", "dev", "eth0")
			if !connects(t, "fd00::2", "fd00::100") {
				t.Error("the host does not reach its neighbour")
			}
			if got := g.peer.Run("ip", "neigh", "show"); strings.Contains(got, "fd00::100 dev eth0 lladdr "+g.physical) ||
				!strings.Contains(got, "fd00::100 dev eth0 lladdr "+virtualMAC) || !strings.Contains(got, "lladdr "+g.physical) {
				t.Errorf("the neighbour has learnt %q", got)
			}
		}
	})
}
