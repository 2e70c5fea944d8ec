package probe

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestHTTP(t *testing.T) {
	http := spec.Check{Type: "http", Timeout: timeout, HTTP: &spec.HTTPCheck{Path: "/health", Status: statuses(200)}}
	with := func(f func(*spec.HTTPCheck)) spec.Check { c, h := http, *http.HTTP; f(&h); c.HTTP = &h; return c }
	long := strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name    string
		check   spec.Check
		handle  func(net.Conn)
		message string
		err     string // a prefix
	}{
		{"a status of the list passes", http, says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "status 200", ""},
		{"an HTTP/1.0 server will do", http, says("HTTP/1.0 200 OK\r\n\r\nok"), "status 200", ""},
		{"another status fails", http, says("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), "", "status 503, want 200"},
		{"several statuses may pass", with(func(c *spec.HTTPCheck) { c.Status = statuses(200, 204, 301) }), says("HTTP/1.1 500 No\r\n\r\n"), "", "status 500, want 200, 204 or 301"},
		{"without a list every 2xx passes", with(func(c *spec.HTTPCheck) { c.Status = nil }), says("HTTP/1.1 204 Empty\r\n\r\n"), "status 204", ""},
		{"without a list a redirect fails", with(func(c *spec.HTTPCheck) { c.Status = nil }), says("HTTP/1.1 302 Go\r\nLocation: /\r\n\r\n"), "", "status 302, want 2xx"},
		{"a redirect is not followed", with(func(c *spec.HTTPCheck) { c.Status = statuses(301) }), says("HTTP/1.1 301 Go\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"), "status 301", ""},
		{"redirects are followed if that is said", with(func(c *spec.HTTPCheck) { c.Redirects = 2 }), paths(map[string]string{"/health": "/a", "/a": "b", "/b": ""}), "status 200", ""},
		{"not beyond what is said", with(func(c *spec.HTTPCheck) { c.Redirects = 2 }), paths(map[string]string{"/health": "/health"}), "", "more than 2 redirects"},
		{"not to another server", with(func(c *spec.HTTPCheck) { c.Redirects = 2 }), paths(map[string]string{"/health": "http://192.0.2.1/"}), "", `redirect to another server: "http://192.0.2.1"`},
		{"one early hint is skipped", http, says("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "status 200", ""},
		{"a body of chunks is put together", with(func(c *spec.HTTPCheck) { c.Contains = "ready" }), says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nre\r\n3\r\nady\r\n0\r\n\r\n"), "status 200", ""},
		{"a server of HTTP/1.0 is asked as such", with(func(c *spec.HTTPCheck) { c.Version = "1.0"; c.Contains = "GET /health HTTP/1.0" }), mirror, "status 200", ""},
		{"HEAD has no body", with(func(c *spec.HTTPCheck) { c.Method = "HEAD" }), says("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), "status 200", ""},
		{"an endless body is cut", http, forever("HTTP/1.1 200 OK\r\n\r\n", long, 0), "status 200", ""},
		{"an endless header is refused", http, forever("HTTP/1.1 200 OK\r\n", "X: "+long[:1000]+"\r\n", 0), "", "its header is longer than 64 KiB"},
		{"one endless header line is refused", http, forever("HTTP/1.1 200 OK\r\nX: ", long, 0), "", "its header is longer than 64 KiB"},
		{"endless provisional answers are refused", http, forever("", "HTTP/1.1 103 Early\r\nX: "+long[:1000]+"\r\n\r\n", 0), "", ""},
		{"a huge status line is refused", http, says("HTTP/1.1 200 " + long + "\r\n\r\n"), "", "its header is longer than 64 KiB"},
		{"garbage is refused in few words", http, says(long[:5000] + "\r\n\r\n"), "", `malformed HTTP response "xxx`},
		{"a header in drips is too slow", http, forever("HTTP/1.1 200 OK\r\n", "X: y\r\n", 20*time.Millisecond), "", "timed out after 300ms"},
		{"a body in drips is too slow", http, forever("HTTP/1.1 200 OK\r\n\r\n", "x", 20*time.Millisecond), "", "timed out after 300ms"},
		{"silence is too slow", http, hang, "", "timed out after 300ms"},
		{"a reset is a failure", http, reset, "", "read: connection reset by peer"},
		{"no answer is a failure", http, says(""), "", "connection closed without an answer"},
		{"half a body is a failure", http, says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), "", "connection closed in the middle of the answer"},
		{"a bad chunk is a failure", http, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"), "", "invalid byte in chunk length"},
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

// paths answers with redirects by path, and 200 where there is none.
func paths(to map[string]string) func(net.Conn) {
	return func(c net.Conn) {
		path := strings.Fields(readHeader(c))[1]
		if to[path] == "" {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", to[path])
	}
}

// mirror answers with what it was asked.
func mirror(c net.Conn) {
	fmt.Fprint(c, "HTTP/1.0 200 OK\r\n\r\n"+readHeader(c))
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
