package checker

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

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
	const up, down, degraded = reconcile.Up, reconcile.Down, reconcile.Degraded
	page := reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	for _, tt := range []struct {
		name    string
		check   spec.Check
		handle  func(net.Conn)
		verdict reconcile.Verdict
		message string
	}{
		{"a status of the list passes", http, page, up, "http: status 200"},
		{"an HTTP/1.0 server will do", http, reply("HTTP/1.0 200 OK\r\n\r\nok"), up, "http: status 200"},
		{"another status fails", http, reply("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), down, "http: status 503, want 200"},
		{"several statuses may pass", with(func(c *spec.HTTPCheck) { c.Status = codes(200, 204, 301) }), reply("HTTP/1.1 500 No\r\n\r\n"), down, "http: status 500, want 200, 204 or 301"},
		{"without a list every 2xx passes", with(func(c *spec.HTTPCheck) { c.Status = nil }), reply("HTTP/1.1 204 Empty\r\n\r\n"), up, "http: status 204"},
		{"without a list a redirect fails", with(func(c *spec.HTTPCheck) { c.Status = nil }), reply("HTTP/1.1 302 Go\r\nLocation: /\r\n\r\n"), down, "http: status 302, want 2xx"},
		{"a redirect is an answer", with(func(c *spec.HTTPCheck) { c.Status = codes(301) }), reply("HTTP/1.1 301 Go\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"), up, "http: status 301"},
		{"a status may be degraded", with(func(c *spec.HTTPCheck) { c.Degraded = codes(429) }), reply("HTTP/1.1 429 Busy\r\nContent-Length: 0\r\n\r\n"), degraded, "http: status 429"},
		{"HEAD has no body", with(func(c *spec.HTTPCheck) { c.Method = "HEAD" }), reply("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), up, "http: status 200"},
		{"chunks are content", with(func(c *spec.HTTPCheck) { c.Contains = "hello" }), reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), up, "http: status 200"},
		{"a text has to be there", with(func(c *spec.HTTPCheck) { c.Contains = "bye" }), page, down, `http: "bye" is not in the body`},
		{"a text has not to be there", with(func(c *spec.HTTPCheck) { c.NotContains = "hell" }), page, down, `http: "hell" is in the body`},
		{"a pattern matches", with(func(c *spec.HTTPCheck) { c.Regex = "^h.*o$" }), page, up, "http: status 200"},
		{"a digest is the body's", with(func(c *spec.HTTPCheck) { c.Digest = "5d41402abc4b2a76b9719d911017c592" }), page, up, "http: status 200"},
		{"another digest fails", with(func(c *spec.HTTPCheck) { c.Digest = strings.Repeat("0", 32) }), page, down, "http: the body's digest is 5d41402abc4b2a76b9719d911017c592, want..."},
		{"an endless body is cut", http, forever("HTTP/1.1 200 OK\r\n\r\n", long, 0), up, "http: status 200"},
		{"an endless header is refused", http, forever("HTTP/1.1 200 OK\r\n", "X: "+long[:1000]+"\r\n", 0), down, "http: its header is longer than 64 KiB"},
		{"one endless header line is refused", http, forever("HTTP/1.1 200 OK\r\nX: ", long, 0), down, "http: its header is longer than 64 KiB"},
		{"endless provisional answers are refused", http, forever("", "HTTP/1.1 103 Early\r\nX: "+long[:1000]+"\r\n\r\n", 0), down, ""},
		{"a huge status line is refused", http, reply("HTTP/1.1 200 " + long + "\r\n\r\n"), down, "http: its header is longer than 64 KiB"},
		{"garbage is refused in few words", http, reply(long[:5000] + "\r\n\r\n"), down, `http: malformed HTTP response "xxx...`},
		{"a header in drips is too slow", http, forever("HTTP/1.1 200 OK\r\n", "X: y\r\n", 20*time.Millisecond), down, "http: timed out after 300ms"},
		{"a body in drips is too slow", http, forever("HTTP/1.1 200 OK\r\n\r\n", "x", 20*time.Millisecond), down, "http: timed out after 300ms"},
		{"silence is too slow", http, hang, down, "http: timed out after 300ms"},
		{"a reset is a failure", http, abort, down, "http: read: connection reset by peer"},
		{"no answer is a failure", http, reply(""), down, "http: connection closed without an answer"},
		{"half a body is a failure", http, reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), down, "http: connection closed in the middle of the answer"},
		{"a bad chunk is a failure", http, reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"), down, "http: invalid byte in chunk length"},
		{"a path that is none is a failure", with(func(c *spec.HTTPCheck) { c.Path = "/\x7f" }), hang, down, "http: path ..."},
		{"a pattern that is none is a failure", with(func(c *spec.HTTPCheck) { c.Regex = "(" }), hang, down, "http: regex: ..."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want(t, see(t, tt.check, serve(t, tt.handle)), tt.verdict, tt.message)
		})
	}
}

func TestHTTPSendsWhatWasWritten(t *testing.T) {
	heard := make(chan string, 100)
	addr := serve(t, func(c net.Conn) {
		head := readHead(c)
		select {
		case heard <- head:
		default:
		}
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	})
	for _, tt := range []struct {
		name  string
		check spec.HTTPCheck
		want  string
	}{
		{"the server's address is the default host", spec.HTTPCheck{Path: "/a?b=c%20d"}, "GET /a?b=c%20d HTTP/1.1\r\nHost: " + addr.String() + "\r\n"},
		{"a host may be written", spec.HTTPCheck{Path: "/", Host: "www.example.com"}, "GET / HTTP/1.1\r\nHost: www.example.com\r\n"},
		{"so may headers and the version", spec.HTTPCheck{Path: "/", Host: "h", Version: "1.0", Headers: map[string]string{"X-Probe": "1"}}, "GET / HTTP/1.0\r\nHost: h\r\nX-Probe: 1\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for len(heard) > 0 {
				<-heard
			}
			want(t, see(t, spec.Check{Type: "http", HTTP: &tt.check}, addr), reconcile.Up, "http: status 200")
			if head := <-heard; !strings.HasPrefix(head, tt.want) || !strings.Contains(head, "Connection: close\r\n") {
				t.Errorf("request %q, want %q and Connection: close", head, tt.want)
			}
		})
	}
}

func TestHTTPFollowsRedirects(t *testing.T) {
	addr := serve(t, func(c net.Conn) {
		switch head := readHead(c); {
		case strings.HasPrefix(head, "GET /loop "):
			_, _ = c.Write([]byte("HTTP/1.1 302 Go\r\nLocation: /loop\r\n\r\n"))
		case strings.HasPrefix(head, "GET /away "):
			_, _ = c.Write([]byte("HTTP/1.1 302 Go\r\nLocation: http://192.0.2.1/\r\n\r\n"))
		case strings.HasPrefix(head, "GET /there "):
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n\r\nhere"))
		default:
			_, _ = c.Write([]byte("HTTP/1.1 301 Go\r\nLocation: there\r\nContent-Length: 1000\r\n\r\n"))
		}
	})
	for path, message := range map[string]string{
		"/":     "http: status 200",
		"/loop": "http: more than 2 redirects",
		"/away": "http: redirect to another server: \"http://192.0.2.1\"",
	} {
		r := see(t, spec.Check{Type: "http", HTTP: &spec.HTTPCheck{Path: path, Redirects: 2, Contains: "here"}}, addr)
		if r.Message != message || (r.Verdict == reconcile.Up) != (path == "/") {
			t.Errorf("%s is %q: %s, want %s", path, r.Verdict, r.Message, message)
		}
	}
}

func TestHTTPGivesWeights(t *testing.T) {
	addr := serve(t, reply("HTTP/1.1 200 OK\r\nx-weight: 7\r\nContent-Length: 0\r\n\r\n"))
	c := spec.Check{Type: "http", Dynamic: true, HTTP: &spec.HTTPCheck{Path: "/", WeightHeader: "X-Weight"}}
	r := see(t, c, addr)
	if want(t, r, reconcile.Up, ""); !r.HasWeight || r.Weight != 7 {
		t.Errorf("weight %d, %v, want 7", r.Weight, r.HasWeight)
	}
}

func TestSlowAnswersAreDegraded(t *testing.T) {
	addr := serve(t, func(c net.Conn) {
		readHead(c)
		<-time.After(50 * time.Millisecond)
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	})
	c := spec.Check{Type: "http", DegradedAfter: 30 * time.Millisecond, HTTP: &spec.HTTPCheck{Path: "/"}}
	want(t, see(t, c, addr), reconcile.Degraded, "http: status 200, after...")
	c.DegradedAfter = time.Hour
	want(t, see(t, c, addr), reconcile.Up, "http: status 200")
}
