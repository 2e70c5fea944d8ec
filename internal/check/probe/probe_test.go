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

// answer reads the request's header and writes text.
func answer(text string) func(net.Conn) {
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
		{"a status of the list passes", http, answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "status 200", ""},
		{"an HTTP/1.0 server will do", http, answer("HTTP/1.0 200 OK\r\n\r\nok"), "status 200", ""},
		{"another status fails", http, answer("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), "", "status 503, want 200"},
		{"several statuses may pass", with(func(c *spec.HTTPCheck) { c.Status = codes(200, 204, 301) }), answer("HTTP/1.1 500 No\r\n\r\n"), "", "status 500, want 200, 204 or 301"},
		{"without a list every 2xx passes", with(func(c *spec.HTTPCheck) { c.Status = nil }), answer("HTTP/1.1 204 Empty\r\n\r\n"), "status 204", ""},
		{"without a list a redirect fails", with(func(c *spec.HTTPCheck) { c.Status = nil }), answer("HTTP/1.1 302 Go\r\nLocation: /\r\n\r\n"), "", "status 302, want 2xx"},
		{"a redirect is not followed", with(func(c *spec.HTTPCheck) { c.Status = codes(301) }), answer("HTTP/1.1 301 Go\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"), "status 301", ""},
		{"HEAD has no body", with(func(c *spec.HTTPCheck) { c.Method = "HEAD" }), answer("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), "status 200", ""},
		{"an endless body is cut", http, forever("HTTP/1.1 200 OK\r\n\r\n", long, 0), "status 200", ""},
		{"an endless header is refused", http, forever("HTTP/1.1 200 OK\r\n", "X: "+long[:1000]+"\r\n", 0), "", "server response headers exceeded 65536 bytes"},
		{"one endless header line is refused", http, forever("HTTP/1.1 200 OK\r\nX: ", long, 0), "", "server response headers exceeded 65536 bytes"},
		{"endless provisional answers are refused", http, forever("", "HTTP/1.1 103 Early\r\nX: "+long[:1000]+"\r\n\r\n", 0), "", ""},
		{"a huge status line is refused", http, answer("HTTP/1.1 200 " + long + "\r\n\r\n"), "", "server response headers exceeded 65536 bytes"},
		{"garbage is refused in few words", http, answer(long[:5000] + "\r\n\r\n"), "", `malformed HTTP response "xxx`},
		{"a header in drips is too slow", http, forever("HTTP/1.1 200 OK\r\n", "X: y\r\n", 20*time.Millisecond), "", "timed out after 300ms"},
		{"a body in drips is too slow", http, forever("HTTP/1.1 200 OK\r\n\r\n", "x", 20*time.Millisecond), "", "timed out after 300ms"},
		{"silence is too slow", http, hang, "", "timed out after 300ms"},
		{"a reset is a failure", http, reset, "", "read: connection reset by peer"},
		{"no answer is a failure", http, answer(""), "", "connection closed without an answer"},
		{"half a body is a failure", http, answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), "", "connection closed in the middle of the answer"},
		{"a bad chunk is a failure", http, answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"), "", "invalid byte in chunk length"},
		{"a path that is none is a failure", with(func(c *spec.HTTPCheck) { c.Path = "/\x7f" }), hang, "", "path "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			message, err := HTTP(tt.check)(t.Context(), serve(t, tt.handle))
			compare(t, message, err, tt.message, tt.err)
			if took := time.Since(begin); took > 10*timeout {
				t.Errorf("took %v, the timeout is %v", took, timeout)
			}
		})
	}
}

func compare(t *testing.T, message string, err error, wantMessage, wantErr string) {
	t.Helper()
	switch {
	case wantMessage != "" && (err != nil || message != wantMessage):
		t.Errorf("probe = %q, %v, want %q", message, err, wantMessage)
	case wantMessage == "" && err == nil:
		t.Errorf("probe = %q, want an error %q", message, wantErr)
	case wantMessage == "" && !strings.HasPrefix(err.Error(), wantErr):
		t.Errorf("probe: error %q, want %q", err, wantErr)
	case err != nil && (len(err.Error()) > maxText+3 || strings.ContainsAny(err.Error(), "\n")):
		t.Errorf("probe: error of %d bytes in lines: %q", len(err.Error()), err)
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
			probe := HTTP(spec.Check{HTTP: &spec.HTTPCheck{Path: tt.path, Host: tt.host}, Timeout: 5 * time.Second})
			if _, err := probe(t.Context(), addr); err != nil {
				t.Fatal(err)
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

	message, err := TCP(timeout)(t.Context(), open)
	compare(t, message, err, "connected", "")
	message, err = TCP(timeout)(t.Context(), refused)
	compare(t, message, err, "", "connect: connection refused")
	message, err = HTTP(spec.Check{HTTP: &spec.HTTPCheck{}, Timeout: timeout})(t.Context(), refused)
	compare(t, message, err, "", "connect: connection refused")
	message, err = TCP(time.Nanosecond)(t.Context(), open)
	compare(t, message, err, "", "timed out after 1ns")
}

func TestCancelledProbeSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := serve(t, func(c net.Conn) { cancel(); hang(c) })
	if _, err := HTTP(spec.Check{HTTP: &spec.HTTPCheck{}, Timeout: time.Minute})(ctx, addr); !errors.Is(err, context.Canceled) {
		t.Errorf("probe: error %v, want context.Canceled", err)
	}
}

func TestNew(t *testing.T) {
	for _, kind := range []string{"http", "tcp"} {
		if p, err := New(spec.Check{Type: kind, HTTP: &spec.HTTPCheck{}, Timeout: timeout}); p == nil || err != nil {
			t.Errorf("New(%s) = %v", kind, err)
		}
	}
	if _, err := New(spec.Check{Type: "icmp"}); err == nil {
		t.Error("New(icmp) = nil, want an error")
	}
}
