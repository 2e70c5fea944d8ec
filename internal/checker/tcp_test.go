package checker

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

func TestTCP(t *testing.T) {
	banner := func(c net.Conn) { _, _ = c.Write([]byte("220 ")); _, _ = c.Write([]byte("ready\r\n")); hang(c) }
	slowly := func(c net.Conn) {
		for _, line := range []string{"220-", strings.Repeat("x", 1000) + "\r\n220 rea", "dy"} {
			_, _ = c.Write([]byte(line))
			<-time.After(20 * time.Millisecond) // so that each is a segment
		}
		hang(c)
	}
	echo := func(c net.Conn) { b := make([]byte, 100); n, _ := c.Read(b); _, _ = c.Write(b[:n]) }
	tcp := func(c spec.TCPCheck) spec.Check { return spec.Check{Type: "tcp", Timeout: timeout, TCP: &c} }
	for _, tt := range []struct {
		name    string
		check   spec.Check
		addr    netip.AddrPort
		verdict reconcile.Verdict
		message string
	}{
		{"a listener is up", spec.Check{Type: "tcp"}, serve(t, hang), reconcile.Up, "tcp: connected"},
		{"one who closes at once too", spec.Check{Type: "tcp"}, serve(t, func(net.Conn) {}), reconcile.Up, "tcp: connected"},
		{"nobody is down", spec.Check{Type: "tcp"}, refusing(t), reconcile.Down, "tcp: connect: connection refused"},
		{"http needs a listener", spec.Check{Type: "http", HTTP: &spec.HTTPCheck{Path: "/"}}, refusing(t), reconcile.Down, "http: connect: connection refused"},
		{"a port may be written", spec.Check{Type: "tcp", Port: refusing(t).Port()}, serve(t, hang), reconcile.Down, "tcp: connect: connection refused"},
		{"an address may be written", spec.Check{Type: "tcp", Address: netip.MustParseAddr("127.0.0.9")}, netip.MustParseAddrPort("192.0.2.1:1"), reconcile.Down, "tcp: connect: connection refused"},
		{"a banner is heard", tcp(spec.TCPCheck{Expect: "220 ready"}), serve(t, banner), reconcile.Up, `tcp: answered "220 ready...`},
		{"a pattern matches", tcp(spec.TCPCheck{Regex: "^2.. r"}), serve(t, banner), reconcile.Up, "tcp: answered ..."},
		{"a long banner's last words are heard", tcp(spec.TCPCheck{Expect: "ready"}), serve(t, slowly), reconcile.Up, `tcp: answered ...`},
		{"and match a pattern", tcp(spec.TCPCheck{Regex: "ready$"}), serve(t, slowly), reconcile.Up, `tcp: answered ...`},
		{"another banner is too late", tcp(spec.TCPCheck{Expect: "421"}), serve(t, banner), reconcile.Down, "tcp: timed out after 300ms"},
		{"what was sent comes back", tcp(spec.TCPCheck{Send: []byte("PING\r\n"), Expect: "PING"}), serve(t, echo), reconcile.Up, `tcp: answered "PING...`},
		{"something else comes back", tcp(spec.TCPCheck{Send: []byte("PING\r\n"), Expect: "PONG"}), serve(t, echo), reconcile.Down, `tcp: answered "PING...`},
		{"sending may be all", tcp(spec.TCPCheck{Send: []byte("PING\r\n")}), serve(t, echo), reconcile.Up, "tcp: connected"},
		{"silence is no answer", tcp(spec.TCPCheck{Expect: "x"}), serve(t, func(net.Conn) {}), reconcile.Down, "tcp: connection closed without an answer"},
		{"a flood without it is an end", tcp(spec.TCPCheck{Send: []byte("\r\n"), Expect: "y"}), serve(t, forever("", strings.Repeat("x", 1<<16), 0)), reconcile.Down, "tcp: answered ..."},
		{"an unknown type is down", spec.Check{Type: "gopher"}, refusing(t), reconcile.Down, `gopher: check of unknown type "gopher"`},
		{"a source of another family is a mistake", spec.Check{Type: "tcp", Source: netip.MustParseAddr("::1")}, refusing(t), reconcile.Down, "tcp: source ::1 is of another family than 127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want(t, see(t, tt.check, tt.addr), tt.verdict, tt.message)
		})
	}
}

// TestNothingIsDownForWantOfOurs: what this host lacks says nothing of a server.
func TestNothingIsDownForWantOfOurs(t *testing.T) {
	addr := serve(t, hang)
	for name, c := range map[string]spec.Check{
		"an address to send from": {Type: "tcp", Source: netip.MustParseAddr("192.0.2.77")},
		"a device":                {Type: "tcp", Device: "nosuch0"},
	} {
		e := quiet()
		c = once(c)
		e.Set([]Job{{Ref: "web/rs1", Address: addr, Checks: []spec.Check{c}, Initial: reconcile.Up}})
		start(t, e)
		s := await(t, e, func(s Stats) bool { return s.Unmeasured > 2 })
		if s.Complaint.Key != "web/rs1" || !strings.Contains(s.Complaint.Message, "could not measure: ") || s.Complaint.At.IsZero() {
			t.Errorf("without %s the complaint is %+v", name, s.Complaint)
		}
		select {
		case r := <-e.Results():
			t.Errorf("without %s: %+v, want no verdict", name, r)
		default:
		}
	}
}

// await waits until the engine's figures are as they should be.
func await(t testing.TB, e *Engine, ok func(Stats) bool) Stats {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		s := e.Stats()
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s the figures are %+v", s)
		}
	}
}

// TestOwnPackets looks at a connection from the server's side, in a namespace.
func TestOwnPackets(t *testing.T) {
	nstest.Need(t, "root", "netns")
	ns := nstest.New(t)
	ns.Do(func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		from := make(chan net.Addr, 1)
		go func() { // ends with the listener
			for {
				c, err := l.Accept()
				if err != nil {
					close(from)
					return
				}
				select {
				case from <- c.RemoteAddr():
				default:
				}
				reply("HTTP/1.0 200 OK\r\n\r\n")(c)
				c.Close()
			}
		}()
		f := newForm(&spec.Check{Type: "http", Source: netip.MustParseAddr("127.0.0.5"), Device: "lo", Mark: 7})
		p := &plan{form: f}
		p.server.Address = netip.MustParseAddrPort(l.Addr().String())
		p.prepare(quiet())
		fd, fault := p.open()
		if fault.err != nil {
			t.Fatal(fault)
		}
		mark, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK)
		device, err2 := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
		if err := errors.Join(err, err2); err != nil || mark != 7 || device != "lo" {
			t.Errorf("mark %d, device %q, %v, want 7 and lo", mark, device, err)
		}
		file := os.NewFile(uintptr(fd), "connection")
		got := <-from
		if host, _, _ := net.SplitHostPort(got.String()); host != "127.0.0.5" {
			t.Errorf("the server sees %v, want 127.0.0.5", got)
		}
		file.Close()
		l.Close()
		for range from {
		}
	})
}

// TestIPv6 asks a server by a global and by a link-local address, in a namespace.
func TestIPv6(t *testing.T) {
	nstest.Need(t, "root", "netns", "ip")
	ns := nstest.New(t)
	ns.Run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
	ns.Run("ip", "addr", "add", "fe80::7/64", "dev", "eth0", "nodad")
	ns.Run("ip", "link", "set", "eth0", "up")
	ns.Run("ip", "link", "set", "eth1", "up")
	ns.Do(func() { // the loop is run by hand, to stay here
		server, err := net.Listen("tcp", "[::]:0")
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		port := netip.MustParseAddrPort(server.Addr().String()).Port()
		c := once(spec.Check{Type: "tcp"})
		for _, addr := range []string{"::1", "fe80::7%eth0"} {
			l, err := newLoop(quiet())
			if err != nil {
				t.Fatal(err)
			}
			l.set(targets([]Job{{Ref: "web/rs1", Address: netip.AddrPortFrom(netip.MustParseAddr(addr), port), Checks: []spec.Check{c}}}))
			for range 100 {
				if err := l.turn(); err != nil {
					t.Fatal(err)
				}
				if l.list.Verdict("web/rs1") != check.Unknown {
					break
				}
			}
			r, _ := l.engine.outbox.head()
			if r.Verdict != check.Up || r.Message != "tcp: connected" {
				t.Errorf("%s is %q: %s", addr, r.Verdict, r.Message)
			}
			l.close()
		}
	})
}
