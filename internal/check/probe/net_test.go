package probe

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/echo"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// segment is our host and the server's on a link, with both families.
func segment(t *testing.T) (us, them, bridge *nstest.NS) {
	t.Helper()
	nstest.Need(t, "root", "netns", "nsenter", "ip")
	us, them = nstest.New(t), nstest.New(t)
	for _, n := range []*nstest.NS{us, them} { // no waiting for duplicate address detection
		n.Run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0")
	}
	bridge = nstest.Bridge(t,
		nstest.Host{NS: us, Device: "eth0", Addresses: []string{"10.9.0.1/24", "10.9.0.11/24", "fd09::1/64", "fd09::11/64"}},
		nstest.Host{NS: them, Device: "eth0", Addresses: []string{"10.9.0.2/24", "fd09::2/64", "fe80::9/64"}})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 1000 { // until both ends of the link know that it is up
		if us.Run("ip", "-6", "address", "show", "tentative")+them.Run("ip", "-6", "address", "show", "tentative") == "" {
			return us, them, bridge
		}
		<-tick.C
	}
	t.Fatal("addresses stay tentative")
	return us, them, bridge
}

// in makes c's one look at addr from a namespace.
func in(t *testing.T, n *nstest.NS, c spec.Check, addr string) (out Outcome) {
	t.Helper()
	n.Do(func() { out = see(t, c, netip.MustParseAddrPort(addr)) })
	return out
}

func TestPing(t *testing.T) {
	us, them, bridge := segment(t)
	ping := spec.Check{Type: "ping", Timeout: 5 * time.Second}
	answers := func(c spec.Check, addr string) {
		t.Helper()
		if out := in(t, us, c, addr); out.Err != nil || !strings.HasPrefix(out.Message, "answered in ") {
			t.Errorf("ping of %s = %+v", addr, out)
		}
	}
	answers(ping, "10.9.0.2:0")
	answers(ping, "[fd09::2]:0")
	answers(ping, "[fe80::9%eth0]:0")
	answers(ping, "127.0.0.1:0")
	from := ping
	from.Source, from.Device, from.Mark = netip.MustParseAddr("10.9.0.11"), "eth0", 7
	answers(from, "10.9.0.2:0")
	from.Source = netip.MustParseAddr("fd09::11")
	answers(from, "[fd09::2]:0")

	ping.Timeout = timeout
	for _, gone := range []string{"10.9.0.3:0", "[fd09::3]:0"} {
		compare(t, in(t, us, ping, gone), "", "")
	}
	compare(t, in(t, us, ping, "10.10.0.1:0"), "", "send: network is unreachable")
	from.Device = "eth9"
	if out := in(t, us, from, "[fd09::2]:0"); !out.Unmeasured {
		t.Errorf("ping over a device that is not there = %+v, want unmeasured", out)
	}
	them.Run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
	compare(t, in(t, us, ping, "10.9.0.2:0"), "", "timed out after 300ms")
	bridge.Run("ip", "link", "set", "p0", "down")
	if out := in(t, us, ping, "[fd09::2]:0"); out.Err == nil { // the kernel may have noticed
		t.Errorf("ping over a link that is down = %+v", out)
	}
	if _, err := New(ping, Target{Address: netip.MustParseAddrPort("224.0.0.1:0")}, Options{}); err == nil {
		t.Error("New with a multicast address = nil, want an error")
	}
}

// TestPingOfStrangers: replies that another has made up do not count, however many.
func TestPingOfStrangers(t *testing.T) {
	us, them, _ := segment(t)
	them.Run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
	var forger *echo.Socket
	them.Do(func() {
		var err error
		if forger, err = echo.Open(false, 0); err != nil {
			t.Fatal(err)
		}
	})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer forger.Close()
		to := &unix.SockaddrInet4{Addr: [4]byte{10, 9, 0, 1}}
		for m := (echo.Message{}); ; m.ID++ {
			select {
			case <-stop:
				return
			default:
			}
			b := m.AppendRequest(nil, false)
			b[0] = 0 // a reply; the checksum goes up by what the type went down
			b[2] += 8
			_ = unix.Sendto(forger.FD, b, 0, to)
		}
	}()
	compare(t, in(t, us, spec.Check{Type: "ping", Timeout: timeout}, "10.9.0.2:0"), "", "timed out after 300ms")
	close(stop)
	<-done
}

// TestPingWithoutPrivileges takes CAP_NET_RAW from one thread, in a namespace that lets
// everybody ping. The sysctl of the host stays as it is.
func TestPingWithoutPrivileges(t *testing.T) {
	us, _, _ := segment(t)
	ping := spec.Check{Type: "ping", Timeout: 5 * time.Second}
	look := func(addr string) (out Outcome) {
		us.Do(func() {
			back := withoutRaw(t)
			defer back()
			out = see(t, ping, netip.MustParseAddrPort(addr))
		})
		return out
	}
	if out := look("10.9.0.2:0"); !out.Unmeasured {
		t.Errorf("ping without a right to = %+v, want unmeasured", out)
	}
	us.Run("sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
	for _, addr := range []string{"10.9.0.2:0", "[fd09::2]:0"} {
		if out := look(addr); out.Err != nil {
			t.Errorf("ping of %s over a socket for everybody = %+v", addr, out)
		}
	}
}

// withoutRaw takes CAP_NET_RAW from this thread until back is called.
func withoutRaw(t *testing.T) (back func()) {
	t.Helper()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		t.Fatal(err)
	}
	less := data
	less[0].Effective &^= 1 << unix.CAP_NET_RAW
	if err := unix.Capset(&head, &less[0]); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Capset(&head, &data[0]); err != nil {
			t.Errorf("give CAP_NET_RAW back: %v", err)
		}
	}
}

// TestPacketsAreWhatTheCheckSays looks from the server at where connections come from.
func TestPacketsAreWhatTheCheckSays(t *testing.T) {
	us, them, _ := segment(t)
	froms := make(chan string, 1)
	for _, addr := range []string{"10.9.0.2:80", "[fd09::2]:80"} {
		var l net.Listener
		them.Do(func() {
			var err error
			if l, err = net.Listen("tcp", addr); err != nil {
				t.Fatal(err)
			}
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				froms <- netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().String()
				_, _ = io.WriteString(c, "hello")
				c.Close()
			}
		}()
		t.Cleanup(func() { l.Close(); <-done })
	}
	c := spec.Check{Type: "tcp", Timeout: 5 * time.Second, TCP: &spec.TCPCheck{Expect: "hello"}}
	for _, tt := range []struct{ source, addr string }{{"10.9.0.11", "10.9.0.2:80"}, {"fd09::11", "[fd09::2]:80"}} {
		c.Source, c.Device, c.Mark = netip.MustParseAddr(tt.source), "eth0", 42
		compare(t, in(t, us, c, tt.addr), `answered "hello"`, "")
		if got := <-froms; got != tt.source {
			t.Errorf("connection from %s, want %s", got, tt.source)
		}
	}
	// Packets with the mark have no way: it is on them.
	us.Run("ip", "rule", "add", "fwmark", "42", "unreachable")
	c.Source, c.Device = netip.Addr{}, ""
	compare(t, in(t, us, c, "10.9.0.2:80"), "", "connect: network is unreachable")
	c.Mark = 41
	compare(t, in(t, us, c, "10.9.0.2:80"), `answered "hello"`, "")
	<-froms
	for name, change := range map[string]func(*spec.Check){
		"an address that is not ours": func(c *spec.Check) { c.Source = netip.MustParseAddr("10.9.0.99") },
		"a device that is not there":  func(c *spec.Check) { c.Device = "eth9" },
	} {
		c := c
		change(&c)
		if out := in(t, us, c, "10.9.0.2:80"); out.Err == nil || !out.Unmeasured {
			t.Errorf("%s: probe = %+v, want unmeasured", name, out)
		}
	}
	c.Source = netip.MustParseAddr("fd09::11")
	if _, err := New(c, Target{Address: netip.MustParseAddrPort("10.9.0.2:80")}, Options{}); err == nil {
		t.Error("New with a source of another family = nil, want an error")
	}
}

// TestAnotherAddressMayBeAsked: a check's own address and port go before the server's.
func TestAnotherAddressMayBeAsked(t *testing.T) {
	addr := serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "hello") })
	c := spec.Check{Type: "tcp", Timeout: 5 * time.Second, Address: addr.Addr(), Port: addr.Port(), TCP: &spec.TCPCheck{Expect: "hello"}}
	compare(t, see(t, c, netip.MustParseAddrPort("192.0.2.1:1")), `answered "hello"`, "")
}

func TestSlowServersAreDegraded(t *testing.T) {
	c := spec.Check{Type: "tcp", Timeout: 5 * time.Second, DegradedAfter: 50 * time.Millisecond, TCP: &spec.TCPCheck{Expect: "hello"}}
	slow := serve(t, func(c net.Conn) {
		<-time.After(60 * time.Millisecond)
		_, _ = io.WriteString(c, "hello")
	})
	if out := see(t, c, slow); out.Err != nil || !out.Degraded || !strings.HasPrefix(out.Message, `answered "hello", after `) {
		t.Errorf("probe = %+v, want degraded", out)
	}
	c.DegradedAfter = 4 * time.Second
	if out := see(t, c, slow); out.Err != nil || out.Degraded {
		t.Errorf("probe = %+v, want a pass", out)
	}
}

// TestWantOfDescriptorsIsOurFault: what this host lacks says nothing of the server.
func TestWantOfDescriptorsIsOurFault(t *testing.T) {
	for _, errno := range lacks {
		w := within(spec.Check{Timeout: time.Second}, func(context.Context) (Outcome, error) {
			return Outcome{}, &net.OpError{Op: "dial", Err: &net.OpError{Op: "socket", Err: errno}}
		})
		if out := w(t.Context()); !out.Unmeasured {
			t.Errorf("%v = %+v, want unmeasured", errno, out)
		}
	}
	var asked atomic.Bool
	w := within(spec.Check{Timeout: time.Second}, func(context.Context) (Outcome, error) {
		asked.Store(true)
		return Outcome{}, syscall.ECONNREFUSED
	})
	if out := w(t.Context()); out.Unmeasured || !asked.Load() {
		t.Errorf("a refusal = %+v, want a measurement", out)
	}
}
