package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// frrPrograms is where Debian has FRR's daemons.
const frrPrograms = "/usr/lib/frr/"

// An frr is FRR's vrrpd beside the zebra that it needs. Its addresses are on macvlans that
// were there first; a backup's macvlans are kept down.
type frr struct {
	process // vrrpd
	zebra   process
	plan    plan
}

// newFRR makes the macvlans, too. Over IPv6 FRR sends from the macvlan's address.
func newFRR(t testing.TB, ns *nstest.NS, p plan) *frr {
	t.Helper()
	nstest.Need(t, frrPrograms+"vrrpd", frrPrograms+"zebra")
	dir, err := os.MkdirTemp("", "frr") // its user may not enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &frr{process: newProcess(t, ns, "vrrpd", dir), zebra: newProcess(t, ns, "zebra", dir), plan: p}
	who, err := user.Lookup("frr")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	f.write("vrrpd.conf", frrConf(p))
	f.write("zebra.conf", "")
	for _, name := range []string{"", "vrrpd.conf", "zebra.conf"} {
		if err := os.Chown(f.path(name), uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	for n, v := range p.routers {
		f.macvlan(n, v)
	}
	f.zebra.run(frrPrograms+"zebra", "-f", f.path("zebra.conf"), "-i", f.path("zebra.pid"),
		"-z", f.path("zserv"), "--vty_socket", f.dir, "-P", "0", "--log", "stdout")
	eventually(t, "zebra's socket", 10*time.Second, func() bool {
		_, err := os.Stat(f.path("zserv"))
		return err == nil
	})
	t.Cleanup(func() {
		for _, p := range []*process{&f.process, &f.zebra} {
			if p.cmd != nil {
				p.end(syscall.SIGKILL)
			}
		}
	})
	return f
}

// macvlan makes what carries the n-th router's addresses.
func (f *frr) macvlan(n int, v virtual) {
	f.t.Helper()
	kind := byte(1) // of the virtual MAC: RFC 9568, section 7.3
	if f.plan.family == resource.IPv6 {
		kind = 2
	}
	f.ns.Do(func() {
		parent, err := netlink.LinkByName(v.device)
		if err != nil {
			f.t.Fatal(err)
		}
		link := &netlink.Macvlan{Mode: netlink.MACVLAN_MODE_BRIDGE, LinkAttrs: netlink.LinkAttrs{
			Name: fmt.Sprintf("vrrp%d", n), ParentIndex: parent.Attrs().Index,
			HardwareAddr: net.HardwareAddr{0, 0, 0x5e, 0, kind, v.vrid},
		}}
		if err := netlink.LinkAdd(link); err != nil {
			f.t.Fatalf("add macvlan: %v", err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			f.t.Fatal(err)
		}
		prefixes := v.vips
		if f.plan.family == resource.IPv6 { // FRR takes the first link-local address, which is the last one made
			prefixes = append(slices.Clone(prefixes), netip.PrefixFrom(f.plan.own, 64))
		}
		for _, p := range prefixes {
			a := &netlink.Addr{
				IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
				Flags: unix.IFA_F_NODAD,
			}
			if err := netlink.AddrAdd(link, a); err != nil {
				f.t.Fatalf("add %v: %v", p, err)
			}
		}
	})
}

// frrConf says p in FRR's words.
func frrConf(p plan) string {
	var b strings.Builder
	for _, v := range p.routers {
		fmt.Fprintf(&b, "interface %s\n vrrp %d version %d\n vrrp %d priority %d\n", v.device, v.vrid, p.version, v.vrid, p.priority)
		fmt.Fprintf(&b, " vrrp %d advertisement-interval %d\n", v.vrid, p.interval.Milliseconds())
		if p.neverPreempt {
			fmt.Fprintf(&b, " no vrrp %d preempt\n", v.vrid)
		}
		word := "ip"
		if p.family == resource.IPv6 {
			word = "ipv6"
		}
		for _, vip := range v.vips {
			fmt.Fprintf(&b, " vrrp %d %s %v\n", v.vrid, word, vip.Addr())
		}
	}
	return b.String()
}

func (f *frr) start() {
	f.t.Helper()
	_ = os.Remove(f.path("vrrpd.pid"))
	f.run(frrPrograms+"vrrpd", "-f", f.path("vrrpd.conf"), "-i", f.path("vrrpd.pid"),
		"-z", f.path("zserv"), "--vty_socket", f.dir, "-P", "0", "--log", "stdout")
}

func (f *frr) stop() { f.end(syscall.SIGTERM) }

func (f *frr) kill() { f.end(syscall.SIGKILL) }

// frrRouter is what matters of `show vrrp json`.
type frrRouter struct {
	VRID   uint8 `json:"vrid"`
	V4, V6 struct {
		Status string `json:"status"`
	}
}

func (f *frr) states() map[uint8]string {
	f.t.Helper()
	var all []frrRouter
	out := map[uint8]string{}
	if f.cmd == nil || json.Unmarshal(f.ask("show vrrp json"), &all) != nil {
		return out
	}
	for _, r := range all {
		status := r.V4.Status
		if f.plan.family == resource.IPv6 {
			status = r.V6.Status
		}
		if status == "Initialize" {
			status = "FAULT" // it waits for an interface
		}
		out[r.VRID] = strings.ToUpper(status)
	}
	return out
}

// ask sends one command to the socket of vtysh: the command and the answer end with a zero
// byte, the answer's followed by two more and a status.
func (f *frr) ask(command string) []byte {
	c, err := net.Dial("unix", f.path("vrrpd.vty"))
	if err != nil {
		return nil // it has not started yet
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write(append([]byte(command), 0)); err != nil {
		return nil
	}
	var out []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		out = append(out, buf[:n]...)
		if i := len(out) - 4; i >= 0 && out[i] == 0 && out[i+1] == 0 && out[i+2] == 0 {
			return out[:i]
		}
		if err != nil {
			if err != io.EOF {
				f.t.Logf("vty: %v", err)
			}
			return nil
		}
	}
}

// held leaves out what is on macvlans that FRR keeps down.
func (f *frr) held() map[netip.Addr]bool {
	f.t.Helper()
	up, out := map[string]bool{}, map[netip.Addr]bool{}
	f.ns.Do(func() {
		links, err := netlink.LinkList()
		if err != nil {
			f.t.Fatal(err)
		}
		for _, l := range links {
			up[l.Attrs().Name] = l.Attrs().OperState == netlink.OperUp
		}
	})
	for a, device := range f.ns.Addresses() {
		out[a] = up[device]
	}
	return out
}
