package probe

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// datagrams answers every datagram with handle until the test ends.
func datagrams(t *testing.T, handle func(b []byte, reply func([]byte))) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			handle(buf[:n], func(b []byte) { _, _ = c.WriteToUDPAddrPort(b, from) })
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

// zone answers as one that has example.com. IN A 192.0.2.1, with change applied.
func zone(change func(m *dns.Msg)) func(b []byte) []byte {
	return func(b []byte) []byte {
		q, m := new(dns.Msg), new(dns.Msg)
		if q.Unpack(b) != nil {
			return nil
		}
		m.SetReply(q)
		rr, err := dns.NewRR("example.com. 60 IN A 192.0.2.1")
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
		change(m)
		b, err = m.Pack()
		if err != nil {
			panic(err)
		}
		return b
	}
}

func TestDNS(t *testing.T) {
	same := func(*dns.Msg) {}
	empty := func(m *dns.Msg) { m.Answer = nil }
	refused := func(m *dns.Msg) { m.Rcode, m.Answer = dns.RcodeRefused, nil }
	for _, tt := range []struct {
		name    string
		check   spec.DNSCheck
		server  func(b []byte) []byte
		message string
		err     string
	}{
		{"an answer passes", spec.DNSCheck{Query: "A", Answer: true, Contains: "192.0.2.1"}, zone(same), "NOERROR, 1 record", ""},
		{"no record passes", spec.DNSCheck{Query: "a"}, zone(empty), "NOERROR, 0 records", ""},
		{"unless one is wanted", spec.DNSCheck{Query: "A", Answer: true}, zone(empty), "", "NOERROR without an answer"},
		{"a record that is wanted", spec.DNSCheck{Query: "A", Contains: "192.0.2.2"}, zone(same), "", `no record of the answer contains "192.0.2.2"`},
		{"the name is no data", spec.DNSCheck{Query: "A", Contains: "example"}, zone(same), "", `no record of the answer contains "example"`},
		{"another code is a failure", spec.DNSCheck{}, zone(refused), "", "REFUSED, want NOERROR"},
		{"unless that is wanted", spec.DNSCheck{Rcodes: []string{"NXDOMAIN", "refused"}}, zone(refused), "REFUSED, 0 records", ""},
		{"one that does not repeat the question it refuses", spec.DNSCheck{Rcodes: []string{"REFUSED"}}, zone(func(m *dns.Msg) { refused(m); m.Question = nil }), "REFUSED, 0 records", ""},
		{"half an answer is none", spec.DNSCheck{Query: "A"}, zone(func(m *dns.Msg) { m.Truncated = true }), "", "the answer is truncated: ask over tcp"},
		{"a wrong id", spec.DNSCheck{Query: "A"}, zone(func(m *dns.Msg) { m.Id++ }), "", "answered to something that was not asked"},
		{"a question back", spec.DNSCheck{Query: "A"}, zone(func(m *dns.Msg) { m.Response = false }), "", "answered to something that was not asked"},
		{"another name", spec.DNSCheck{Query: "A"}, zone(func(m *dns.Msg) { m.Question[0].Name = "example.org." }), "", "answered to another question"},
		{"another type", spec.DNSCheck{Query: "A"}, zone(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }), "", "answered to another question"},
		{"no question", spec.DNSCheck{Query: "A"}, zone(func(m *dns.Msg) { m.Question = nil }), "", "answered to another question"},
		{"other letters of the name are the name", spec.DNSCheck{Query: "A"}, zone(func(m *dns.Msg) { m.Question[0].Name = "eXample.COM." }), "NOERROR, 1 record", ""},
		{"garbage", spec.DNSCheck{Query: "A"}, func([]byte) []byte { return []byte("\xff\xff\xc0\xc0") }, "", "answered with something that is no DNS message"},
		{"a pointer to itself", spec.DNSCheck{Query: "A"}, func(b []byte) []byte { return append(b[:12:12], 0xc0, 12, 0, 1, 0, 1) }, "", "answered with something that is no DNS message"},
	} {
		for _, transport := range []string{"udp", "tcp"} {
			t.Run(tt.name+"/"+transport, func(t *testing.T) {
				t.Parallel()
				var addr netip.AddrPort
				if transport == "udp" {
					addr = datagrams(t, func(b []byte, reply func([]byte)) { reply(tt.server(b)) })
				} else {
					addr = serve(t, func(c net.Conn) { stream(c, tt.server) })
				}
				c := tt.check
				c.Name, c.Transport = "example.com", transport
				compare(t, see(t, spec.Check{Type: "dns", Timeout: timeout, DNS: &c}, addr), tt.message, tt.err)
			})
		}
	}
}

// stream answers one message of TCP.
func stream(c net.Conn, server func([]byte) []byte) {
	var length [2]byte
	if _, err := c.Read(length[:]); err != nil {
		return
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := c.Read(b); err != nil {
		return
	}
	b = server(b)
	_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	hang(c)
}

func TestDNSOverTLS(t *testing.T) {
	a := newAuthority(t)
	addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{a.server("good", expires)}, NextProtos: []string{"dot"}},
		func(c net.Conn) { stream(c, zone(func(*dns.Msg) {})) })
	c := spec.Check{Type: "dns", Timeout: 5 * time.Second, TLS: &spec.TLS{CA: a.file}, DNS: &spec.DNSCheck{Transport: "tls", Name: "example.com", Query: "A"}}
	compare(t, see(t, c, addr), "NOERROR, 1 record, certificate until 2099-01-02", "")
	c.TLS = nil
	compare(t, see(t, c, addr), "", "certificate signed by unknown authority")
}

// TestGuessesAreNoAnswers: over UDP anybody can send something to the port that asks. What
// is wrong is passed over, and what comes from elsewhere is not seen.
func TestGuessesAreNoAnswers(t *testing.T) {
	stranger, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	right, wrong := zone(func(*dns.Msg) {}), zone(func(m *dns.Msg) { m.Id++; m.Rcode = dns.RcodeServerFailure })
	var honest atomic.Bool
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = stranger.WriteToUDPAddrPort(right(buf[:n]), from)
			_, _ = server.WriteToUDPAddrPort([]byte("garbage"), from)
			_, _ = server.WriteToUDPAddrPort(wrong(buf[:n]), from)
			if honest.Load() {
				_, _ = server.WriteToUDPAddrPort(right(buf[:n]), from)
			}
		}
	}()
	defer func() { server.Close(); <-done }()
	c := spec.Check{Type: "dns", Timeout: timeout, DNS: &spec.DNSCheck{Name: "example.com", Query: "A"}}
	addr := netip.MustParseAddrPort(server.LocalAddr().String())
	compare(t, see(t, c, addr), "", "answered to something that was not asked")
	honest.Store(true)
	c.Timeout = 5 * time.Second
	compare(t, see(t, c, addr), "NOERROR, 1 record", "")
}

func TestSilentAndFloodingDNS(t *testing.T) {
	c := spec.Check{Type: "dns", Timeout: timeout, DNS: &spec.DNSCheck{Name: "example.com", Query: "A"}}
	compare(t, see(t, c, datagrams(t, func([]byte, func([]byte)) {})), "", "timed out after 300ms")
	compare(t, see(t, c, datagrams(t, func(_ []byte, reply func([]byte)) {
		for range 5000 {
			reply(make([]byte, 1000))
		}
	})), "", "answered ")
	compare(t, see(t, c, closedUDP(t)), "", "read: connection refused")
}

// closedUDP is a port that nobody has.
func closedUDP(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

func TestNewDNSRefusesWhatCannotBeAsked(t *testing.T) {
	for _, c := range []*spec.DNSCheck{
		nil, {Name: "example.com", Query: "NOTHING"}, {Name: "a..b"}, {Name: "a", Rcodes: []string{"OK"}}, {Name: "a", Transport: "quic"},
	} {
		if _, err := New(spec.Check{Type: "dns", DNS: c}, Target{}, Options{}); err == nil {
			t.Errorf("New(%+v) = nil, want an error", c)
		}
	}
}
