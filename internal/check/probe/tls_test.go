package probe

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// serveTLS answers every connection with handle after a handshake.
func serveTLS(t *testing.T, config *tls.Config, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	return serve(t, func(c net.Conn) {
		s := tls.Server(c, config)
		if s.Handshake() == nil {
			handle(s)
		}
	})
}

func TestCertificates(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	ours.client("client")
	theirs.client("stranger")
	good := &tls.Config{Certificates: []tls.Certificate{ours.server("good", expires)}}
	expired := &tls.Config{Certificates: []tls.Certificate{ours.server("expired", time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC))}}
	foreign := &tls.Config{Certificates: []tls.Certificate{theirs.server("foreign", expires)}}
	old := &tls.Config{Certificates: good.Certificates, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	clients := x509.NewCertPool()
	clients.AddCert(ours.cert)
	strict := &tls.Config{Certificates: good.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	hello := says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	const passes = "status 200, certificate until 2099-01-02"
	shown := func(name string, a *authority) *spec.TLS {
		return &spec.TLS{CA: ours.file, Cert: a.path(name + ".pem"), Key: a.path(name + ".key")}
	}
	for _, tt := range []struct {
		name       string
		server     *tls.Config
		tls        *spec.TLS
		host       string
		message    string
		err        string
		unmeasured bool
	}{
		{"one of the authority passes for its address", good, &spec.TLS{CA: ours.file}, "", passes, "", false},
		{"and for the host that is asked", good, &spec.TLS{CA: ours.file}, "www.example.com:443", passes, "", false},
		{"and for the name that is written, whatever the host", good, &spec.TLS{CA: ours.file, Name: "www.example.com"}, "other", passes, "", false},
		{"another name is a failure", good, &spec.TLS{CA: ours.file, Name: "db.example.com"}, "", "", "certificate is valid for www.example.com, not db.example.com", false},
		{"another host is a failure", good, &spec.TLS{CA: ours.file}, "db.example.com", "", "certificate is valid for www.example.com, not db.example.com", false},
		{"one that has expired is a failure", expired, &spec.TLS{CA: ours.file}, "", "", "certificate has expired or is not yet valid: ", false},
		{"one of another authority is a failure", foreign, &spec.TLS{CA: ours.file}, "", "", "certificate signed by unknown authority", false},
		{"without an authority the host's own are asked", good, nil, "", "", "certificate signed by unknown authority", false},
		{"it is not looked at if that is said", foreign, &spec.TLS{Insecure: true}, "", passes, "", false},
		{"TLS 1.1 is none", old, &spec.TLS{CA: ours.file}, "", "", "remote error: tls: protocol version not supported", false},
		{"a certificate of ours opens a strict server", strict, shown("client", ours), "", passes, "", false},
		{"a strict server wants one", strict, &spec.TLS{CA: ours.file}, "", "", "remote error: tls: certificate required", false},
		{"a strict server wants the right one", strict, shown("stranger", theirs), "", "", "remote error: tls: ", false},
		{"an authority that is not there is our fault", good, &spec.TLS{CA: ours.path("none")}, "", "", "stat ", true},
		{"an authority that is none is our fault", good, &spec.TLS{CA: ours.path("client.key")}, "", "", "has no certificates", true},
		{"a key of another is our fault", strict, &spec.TLS{Cert: ours.path("client.pem"), Key: ours.path("good.key")}, "", "", "certificate ", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := spec.Check{Type: "https", Timeout: 5 * time.Second, TLS: tt.tls, HTTP: &spec.HTTPCheck{Host: tt.host}}
			out := see(t, c, serveTLS(t, tt.server, hello))
			if tt.unmeasured {
				if !out.Unmeasured || !strings.Contains(out.Err.Error(), tt.err) {
					t.Errorf("probe = %+v, want %q, unmeasured", out, tt.err)
				}
				return
			}
			compare(t, out, tt.message, tt.err)
		})
	}
}

// TestServerName: a name is sent, an address is not (RFC 6066, section 3).
func TestServerName(t *testing.T) {
	a := newAuthority(t)
	names := make(chan string, 1)
	pair := a.server("good", expires)
	addr := serveTLS(t, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		names <- h.ServerName
		return &pair, nil
	}}, func(net.Conn) {})
	for _, tt := range []struct{ host, name, want string }{
		{"", "", ""}, {"www.example.com", "", "www.example.com"}, {"a", "b.example.com", "b.example.com"}, {"192.0.2.1:443", "", ""},
	} {
		see(t, spec.Check{Type: "https", Timeout: 5 * time.Second, TLS: &spec.TLS{Insecure: true, Name: tt.name}, HTTP: &spec.HTTPCheck{Host: tt.host}}, addr)
		if got := <-names; got != tt.want {
			t.Errorf("host %q, name %q: asked for %q, want %q", tt.host, tt.name, got, tt.want)
		}
	}
}

// TestRenewedFilesAreRead: a probe lives long, certificates do not.
func TestRenewedFilesAreRead(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{b.server("good", expires)}}, func(net.Conn) {})
	p, err := New(spec.Check{Type: "tcp", Timeout: 5 * time.Second, TLS: &spec.TLS{CA: a.file}}, Target{Address: addr}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if out := p(t.Context()); out.Err == nil {
		t.Fatalf("probe = %+v, want an error", out)
	}
	pem, err := os.ReadFile(b.file)
	if err == nil {
		err = os.WriteFile(a.file, append(pem, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	compare(t, p(t.Context()), "connected, certificate until 2099-01-02", "")
	if err := os.Remove(a.file); err != nil {
		t.Fatal(err)
	}
	if out := p(t.Context()); !out.Unmeasured {
		t.Errorf("probe = %+v, want unmeasured: the authority is gone", out)
	}
}

func TestTCPOverTLS(t *testing.T) {
	a := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{a.server("good", expires)}}
	echo := serveTLS(t, config, func(c net.Conn) { _, _ = io.Copy(c, c) })
	c := spec.Check{Type: "tcp", Timeout: timeout, TLS: &spec.TLS{CA: a.file}, TCP: &spec.TCPCheck{Send: []byte("hello"), Expect: "ell"}}
	c.Timeout = 5 * time.Second
	compare(t, see(t, c, echo), `answered "hello", certificate until 2099-01-02`, "")
	c.TCP = &spec.TCPCheck{Send: []byte("hello"), Expect: "other"}
	c.Timeout = timeout
	compare(t, see(t, c, echo), "", `answered "hello", want "other"`)
	// What was not read when the peer closes would come back as a reset.
	silent := serveTLS(t, config, func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, len("hello"))) })
	compare(t, see(t, c, silent), "", "connection closed without an answer")
}

// web2 is a server that speaks HTTP/2 alone.
func web2(t *testing.T, config *tls.Config, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler, TLSConfig: config, Protocols: &http.Protocols{}}
	s.Protocols.SetHTTP2(config != nil)
	s.Protocols.SetUnencryptedHTTP2(config == nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if config == nil {
			_ = s.Serve(l)
			return
		}
		_ = s.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String())
}

func TestHTTP2(t *testing.T) {
	a := newAuthority(t)
	pair := a.server("good", expires)
	gone := make(chan struct{})
	defer close(gone)
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/hang":
			select {
			case <-gone:
			case <-r.Context().Done():
			}
		case "/flood":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		case "/header":
			for i := range 2000 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 100))
			}
		default:
			fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.Host, r.Method, r.Header.Get("X-A"))
		}
	}
	with := func(path, contains string) *spec.HTTPCheck {
		return &spec.HTTPCheck{Version: "2", Path: path, Host: "www.example.com", Contains: contains, Headers: map[string]string{"X-A": "b"}, Redirects: 1}
	}
	const cert = ", certificate until 2099-01-02"
	for name, tt := range map[string]struct {
		config *tls.Config
		tls    *spec.TLS
		note   string
	}{
		"TLS":   {&tls.Config{Certificates: []tls.Certificate{pair}}, &spec.TLS{CA: a.file}, cert},
		"clear": {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			addr := web2(t, tt.config, handler)
			check := func(path, contains string, timeout time.Duration) spec.Check {
				return spec.Check{Type: "http", Timeout: timeout, TLS: tt.tls, HTTP: with(path, contains)}
			}
			compare(t, see(t, check("/", "HTTP/2.0 www.example.com GET b", 5*time.Second), addr), "status 200"+tt.note, "")
			compare(t, see(t, check("/redirect", "HTTP/2.0", 5*time.Second), addr), "status 200"+tt.note, "")
			compare(t, see(t, check("/", "HTTP/3", 5*time.Second), addr), "", `"HTTP/3" is not in the body`)
			compare(t, see(t, check("/hang", "", timeout), addr), "", "timed out after 300ms")
			compare(t, see(t, check("/flood", "", 5*time.Second), addr), "status 200"+tt.note, "")
			compare(t, see(t, check("/header", "", 5*time.Second), addr), "", "")
		})
	}
	one := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}, hang)
	compare(t, see(t, spec.Check{Type: "https", Timeout: time.Second, TLS: &spec.TLS{CA: a.file}, HTTP: with("/", "")}, one), "", "")
	none := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}}, hang)
	compare(t, see(t, spec.Check{Type: "https", Timeout: time.Second, TLS: &spec.TLS{CA: a.file}, HTTP: with("/", "")}, none), "", "it does not speak HTTP/2")
}
