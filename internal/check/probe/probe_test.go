package probe

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// serve answers every connection with handle until the test ends, and returns the address.
func serve(t *testing.T, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String())
}

// reply reads the request's header and writes text.
func reply(text string) func(net.Conn) {
	return func(c net.Conn) {
		readHeader(c)
		fmt.Fprint(c, text)
	}
}

func readHeader(c net.Conn) string {
	r := bufio.NewReader(c)
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

// forever writes text until the reader is gone.
func forever(head, text string, pause time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		readHeader(c)
		fmt.Fprint(c, head)
		tick := time.NewTicker(cmp.Or(pause, time.Hour))
		defer tick.Stop()
		for {
			if _, err := fmt.Fprint(c, text); err != nil {
				return
			}
			if pause > 0 {
				<-tick.C
			}
		}
	}
}

func reset(c net.Conn) {
	readHeader(c)
	_ = c.(*net.TCPConn).SetLinger(0)
}

func hang(c net.Conn) {
	readHeader(c)
	_, _ = c.Read(make([]byte, 1)) // until the prober closes
}

const timeout = 300 * time.Millisecond

func codes(list ...int) (out []spec.StatusRange) {
	for _, c := range list {
		out = append(out, spec.StatusRange{Low: c, High: c})
	}
	return out
}

func TestHTTP(t *testing.T) {
	http := spec.Check{Type: "http", Timeout: timeout, HTTP: &spec.HTTPCheck{Path: "/health", Status: codes(200)}}
	with := func(f func(*spec.HTTPCheck)) spec.Check { c, h := http, *http.HTTP; f(&h); c.HTTP = &h; return c }
	long := strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name    string
		check   spec.Check
		handle  func(net.Conn)
		message string
		err     string // a prefix
	}{
		{"a status of the list passes", http, reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "status 200", ""},
		{"an HTTP/1.0 server will do", http, reply("HTTP/1.0 200 OK\r\n\r\nok"), "status 200", ""},
		{"another status fails", http, reply("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), "", "status 503, want 200"},
		{"several statuses may pass", with(func(c *spec.HTTPCheck) { c.Status = codes(200, 204, 301) }), reply("HTTP/1.1 500 No\r\n\r\n"), "", "status 500, want 200, 204 or 301"},
		{"without a list every 2xx passes", with(func(c *spec.HTTPCheck) { c.Status = nil }), reply("HTTP/1.1 204 Empty\r\n\r\n"), "status 204", ""},
		{"without a list a redirect fails", with(func(c *spec.HTTPCheck) { c.Status = nil }), reply("HTTP/1.1 302 Go\r\nLocation: /\r\n\r\n"), "", "status 302, want 2xx"},
		{"a redirect is not followed", with(func(c *spec.HTTPCheck) { c.Status = codes(301) }), reply("HTTP/1.1 301 Go\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"), "status 301", ""},
		{"HEAD has no body", with(func(c *spec.HTTPCheck) { c.Method = "HEAD" }), reply("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), "status 200", ""},
		{"an endless body is cut", http, forever("HTTP/1.1 200 OK\r\n\r\n", long, 0), "status 200", ""},
		{"an endless header is refused", http, forever("HTTP/1.1 200 OK\r\n", "X: "+long[:1000]+"\r\n", 0), "", "server response headers exceeded 65536 bytes"},
		{"one endless header line is refused", http, forever("HTTP/1.1 200 OK\r\nX: ", long, 0), "", "server response headers exceeded 65536 bytes"},
		{"endless provisional answers are refused", http, forever("", "HTTP/1.1 103 Early\r\nX: "+long[:1000]+"\r\n\r\n", 0), "", ""},
		{"a huge status line is refused", http, reply("HTTP/1.1 200 " + long + "\r\n\r\n"), "", "server response headers exceeded 65536 bytes"},
		{"garbage is refused in few words", http, reply(long[:5000] + "\r\n\r\n"), "", `malformed HTTP response "xxx`},
		{"a header in drips is too slow", http, forever("HTTP/1.1 200 OK\r\n", "X: y\r\n", 20*time.Millisecond), "", "timed out after 300ms"},
		{"a body in drips is too slow", http, forever("HTTP/1.1 200 OK\r\n\r\n", "x", 20*time.Millisecond), "", "timed out after 300ms"},
		{"silence is too slow", http, hang, "", "timed out after 300ms"},
		{"a reset is a failure", http, reset, "", "read: connection reset by peer"},
		{"no answer is a failure", http, reply(""), "", "connection closed without an answer"},
		{"half a body is a failure", http, reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), "", "connection closed in the middle of the answer"},
		{"a bad chunk is a failure", http, reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"), "", "invalid byte in chunk length"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			compare(t, see(t, tt.check, serve(t, tt.handle)), tt.message, tt.err)
			if took := time.Since(begin); took > 10*timeout {
				t.Errorf("took %v, the timeout is %v", took, timeout)
			}
		})
	}
}

// see makes c's one look at addr.
func see(t *testing.T, c spec.Check, addr netip.AddrPort) Outcome {
	t.Helper()
	p, err := New(c, Target{Address: addr, Pool: "web", Server: "rs1"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p(t.Context())
}

func compare(t *testing.T, got Outcome, wantMessage, wantErr string) {
	t.Helper()
	switch {
	case got.Unmeasured:
		t.Errorf("probe = %+v, want a measurement", got)
	case wantMessage != "" && (got.Err != nil || got.Message != wantMessage):
		t.Errorf("probe = %+v, want %q", got, wantMessage)
	case wantMessage == "" && got.Err == nil:
		t.Errorf("probe = %+v, want an error %q", got, wantErr)
	case wantMessage == "" && !strings.HasPrefix(got.Err.Error(), wantErr):
		t.Errorf("probe: error %q, want %q", got.Err, wantErr)
	case got.Err != nil && (len(got.Err.Error()) > maxText+3 || strings.ContainsAny(got.Err.Error(), "\n")):
		t.Errorf("probe: error of %d bytes in lines: %q", len(got.Err.Error()), got.Err)
	}
}

func TestHTTPSendsWhatWasWritten(t *testing.T) {
	got := make(chan string, 1)
	addr := serve(t, func(c net.Conn) {
		got <- readHeader(c)
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	for _, tt := range []struct{ name, host, path, want string }{
		{"the server's address is the default host", "", "/a?b=c%20d", "GET /a?b=c%20d HTTP/1.1\r\nHost: " + addr.String() + "\r\n"},
		{"a host may be written", "www.example.com", "/", "GET / HTTP/1.1\r\nHost: www.example.com\r\n"},
		{"two slashes are no authority", "", "//x/y", "GET //x/y HTTP/1.1\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := see(t, spec.Check{Type: "http", HTTP: &spec.HTTPCheck{Path: tt.path, Host: tt.host}, Timeout: 5 * time.Second}, addr)
			if out.Err != nil {
				t.Fatal(out.Err)
			}
			header := <-got
			if !strings.HasPrefix(header, tt.want) || !strings.Contains(header, "Connection: close\r\n") {
				t.Errorf("request %q, want %q and Connection: close", header, tt.want)
			}
		})
	}
}

func TestTCP(t *testing.T) {
	open := serve(t, hang)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := netip.MustParseAddrPort(l.Addr().String())
	l.Close()

	tcp := spec.Check{Type: "tcp", Timeout: timeout}
	compare(t, see(t, tcp, open), "connected", "")
	compare(t, see(t, tcp, refused), "", "connect: connection refused")
	compare(t, see(t, spec.Check{Type: "http", HTTP: &spec.HTTPCheck{}, Timeout: timeout}, refused), "", "connect: connection refused")
	tcp.Timeout = time.Nanosecond
	compare(t, see(t, tcp, open), "", "timed out after 1ns")
}

func TestCancelledProbeSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := serve(t, func(c net.Conn) { cancel(); hang(c) })
	p, err := New(spec.Check{Type: "http", HTTP: &spec.HTTPCheck{}, Timeout: time.Minute}, Target{Address: addr}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if out := p(ctx); !errors.Is(out.Err, context.Canceled) || !out.Unmeasured {
		t.Errorf("probe = %+v, want context.Canceled, unmeasured", out)
	}
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name  string
		check spec.Check
		want  string
	}{
		{"an unknown type", spec.Check{Type: "gopher"}, `check of unknown type "gopher"`},
		{"a plugin is asked by its host", spec.Check{Type: "plugin"}, "a plugin check is told by others, not probed"},
		{"BFD has its own daemon", spec.Check{Type: "bfd"}, "a bfd check is told by others, not probed"},
		{"a path that is none", spec.Check{Type: "http", HTTP: &spec.HTTPCheck{Path: "/\x7f"}}, `path "/\x7f" cannot be asked for`},
	} {
		if _, err := New(tt.check, Target{}, Options{}); err == nil || err.Error() != tt.want {
			t.Errorf("%s: New = %v, want %s", tt.name, err, tt.want)
		}
	}
}
