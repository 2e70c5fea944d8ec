package ipvs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// The addresses that clients ask, by family.
var vips = map[int]netip.Addr{4: netip.MustParseAddr("10.0.0.100"), 6: netip.MustParseAddr("2001:db8::100")}

// A host is one namespace with our handlers in it.
type host struct {
	name string
	ns   *nstest.NS
	hs   []reconcile.Handler
}

// A world is a client, the director lb1 and the real servers rs1 and rs2 on one segment, and
// the servers nat1 and nat2 on another, to which only the director leads.
type world struct {
	client *nstest.NS
	hosts  map[string]*host
	port   int // of the last connection or datagram from the client
}

// addressesOf returns a host's addresses by family. The client has a second one, 10.0.0.2.
func addressesOf(name string) map[int]netip.Addr {
	last := map[string]int{"client": 1, "lb1": 10, "rs1": 11, "rs2": 12, "nat1": 21, "nat2": 22}[name]
	segment := 0
	if strings.HasPrefix(name, "nat") {
		segment = 1
	}
	return map[int]netip.Addr{
		4: netip.MustParseAddr(fmt.Sprintf("10.%d.0.%d", segment, last)),
		6: netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::%d", segment, last)),
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{client: nstest.New(t), hosts: map[string]*host{}, port: 10000}
	front := []nstest.Host{{NS: w.client, Device: "eth0"}}
	var back []nstest.Host
	for _, name := range []string{"lb1", "rs1", "rs2", "nat1", "nat2"} {
		h := &host{name: name, ns: nstest.New(t)}
		h.ns.Do(func() { h.hs = handlers(t) })
		w.hosts[name] = h
		if strings.HasPrefix(name, "nat") {
			back = append(back, nstest.Host{NS: h.ns, Device: "eth0"})
		} else {
			front = append(front, nstest.Host{NS: h.ns, Device: "eth0"})
		}
	}
	lb := w.hosts["lb1"].ns
	nstest.Bridge(t, front...)
	nstest.Bridge(t, append(back, nstest.Host{NS: lb, Device: "eth1"})...)
	configure(t, w.client, append(give("client"), "addr add 10.0.0.2/24 dev eth0")...)
	// What vrrpd does. Were the address the source of tunnels, real servers, which have it too,
	// would take nothing from them (ip6_tnl_rcv_ctl).
	configure(t, lb, append(give("lb1"),
		"addr add 10.1.0.1/24 dev eth1", "addr add 2001:db8:1::1/64 dev eth1 nodad",
		"addr add "+vips[4].String()+"/32 dev eth0", "addr add "+vips[6].String()+"/128 dev eth0 nodad preferred_lft 0")...)
	for _, name := range []string{"nat1", "nat2"} {
		configure(t, w.hosts[name].ns, append(give(name), "route add default via 10.1.0.1", "route add default via 2001:db8:1::1")...)
	}
	for _, name := range []string{"rs1", "rs2"} {
		configure(t, w.hosts[name].ns, give(name)...)
		w.hosts[name].ns.Run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1") // some distributions are strict
	}
	w.serve(t)
	return w
}

// give returns the commands that give a host its addresses.
func give(name string) []string {
	a := addressesOf(name)
	return []string{"addr add " + a[4].String() + "/24 dev eth0", "addr add " + a[6].String() + "/64 dev eth0 nodad"}
}

// configure runs commands of ip(8) in a namespace, all in one process.
func configure(t *testing.T, ns *nstest.NS, commands ...string) {
	t.Helper()
	cmd := ns.Cmd("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip %q: %v\n%s", commands, err, out)
	}
}

// serve starts the services: on the virtual addresses, which the hosts need not have yet,
// and where the director translates, on the servers' own.
func (w *world) serve(t *testing.T) {
	for name, h := range w.hosts {
		on := vips
		if name == "lb1" {
			continue
		}
		if strings.HasPrefix(name, "nat") {
			on = addressesOf(name)
		}
		for _, a := range on {
			for _, port := range []uint16{80, 8080} {
				h.listen(t, netip.AddrPortFrom(a, port))
			}
		}
	}
}

// listen answers on TCP with the host's name and then with whatever comes, and on UDP with
// the name for each datagram, until the test ends.
func (h *host) listen(t *testing.T, at netip.AddrPort) {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1) }), err)
	}}
	var l net.Listener
	var u net.PacketConn
	h.ns.Do(func() {
		var err1, err2 error
		l, err1 = lc.Listen(t.Context(), "tcp", at.String())
		u, err2 = lc.ListenPacket(t.Context(), "udp", at.String())
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
	})
	context.AfterFunc(t.Context(), func() { _, _ = l.Close(), u.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go h.echo(c)
		}
	}()
	go func() {
		b := make([]byte, 1500)
		for {
			_, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = u.WriteTo([]byte(h.name), from)
		}
	}()
}

func (h *host) echo(c net.Conn) {
	defer c.Close()
	b := append(make([]byte, 0, 1500), h.name...)
	for n, err := len(h.name), error(nil); err == nil; n, err = c.Read(b[:cap(b)]) {
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

// apply makes the hosts what c says.
func (w *world) apply(t *testing.T, c *spec.Cluster, f *reconcile.Facts) {
	t.Helper()
	for _, n := range c.Nodes {
		h := w.hosts[n.Name]
		to := target(t, c, n.Name, f)
		h.ns.Do(func() {
			if err := plan(t, h.hs, to).Apply(t.Context(), h.hs, nil); err != nil {
				t.Fatalf("%s: %v", n.Name, err)
			}
			if again := plan(t, h.hs, to); !again.Empty() {
				t.Fatalf("%s: second plan = %+v, want nothing", n.Name, again)
			}
		})
	}
}

// clear takes everything of ours off the hosts.
func (w *world) clear(t *testing.T) {
	t.Helper()
	for _, h := range w.hosts {
		h.ns.Do(func() {
			if err := plan(t, h.hs, reconcile.Target{FactsKnown: true}).Apply(t.Context(), h.hs, nil); err != nil {
				t.Fatalf("%s: %v", h.name, err)
			}
			live, err := reconcile.Observe(t.Context(), h.hs)
			if err != nil || len(live.Owned) > 0 {
				t.Fatalf("%s still has %v (%v)", h.name, live.Owned, err)
			}
		})
	}
}

// patience is how long a client waits for an answer.
const patience = 5 * time.Second

// dial connects the client, from one of its addresses if that is not the zero value. Every
// connection has a port of its own: IPVS remembers those that ended, and of services that
// were deleted.
func (w *world) dial(t *testing.T, network string, from netip.Addr, to netip.AddrPort) net.Conn {
	t.Helper()
	w.port++
	if !from.IsValid() {
		from = addressesOf("client")[4]
		if to.Addr().Is6() {
			from = addressesOf("client")[6]
		}
	}
	d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, uint16(w.port)))}
	if network == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, uint16(w.port)))
	}
	var c net.Conn
	w.client.Do(func() {
		var err error
		if c, err = d.Dial(network, to.String()); err != nil {
			t.Fatal(err)
		}
	})
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// say sends a text, if there is one, and returns what comes back.
func say(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	if text != "" {
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 1500)
	n, err := c.Read(b)
	if err != nil {
		t.Fatalf("%s -> %s: %v", c.LocalAddr(), c.RemoteAddr(), err)
	}
	return string(b[:n])
}

// ask asks n times on connections of their own, and returns how often each server answered.
func (w *world) ask(t *testing.T, network string, from netip.Addr, to netip.AddrPort, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		c := w.dial(t, network, from, to)
		text := ""
		if network == "udp" {
			text = "x"
		}
		got[say(t, c, text)]++
		_ = c.Close()
	}
	return got
}
