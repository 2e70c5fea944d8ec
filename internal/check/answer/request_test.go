package answer

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
)

var server = netip.MustParseAddrPort("192.0.2.1:8080")

func TestBytes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		check spec.HTTPCheck
		want  string
	}{
		{"the server's address is the host", spec.HTTPCheck{},
			"GET / HTTP/1.1|Host: 192.0.2.1:8080|User-Agent: hareconcile-check|Connection: close||"},
		{"everything that is written is sent as it is", spec.HTTPCheck{
			Version: "1.0", Method: "POST", Path: "/a%2fb?c=%20d", Host: "www.example.com", Body: "x=1",
			Headers: map[string]string{"user-agent": "me", "X-B": "2", "A": "1"}},
			"POST /a%2fb?c=%20d HTTP/1.0|Host: www.example.com|A: 1|X-B: 2|user-agent: me|Content-Length: 3|Connection: close||x=1"},
		{"a body without bytes has a length", spec.HTTPCheck{Method: "PUT", Path: "x"},
			"PUT /x HTTP/1.1|Host: 192.0.2.1:8080|User-Agent: hareconcile-check|Content-Length: 0|Connection: close||"},
		{"what frames the request is ours", spec.HTTPCheck{Path: "//a/b", Headers: map[string]string{"Connection": "upgrade", "content-length": "9", "Host": "x"}},
			"GET //a/b HTTP/1.1|Host: 192.0.2.1:8080|User-Agent: hareconcile-check|Connection: close||"},
	} {
		r, err := NewRequest(tt.check, false, server)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := strings.ReplaceAll(string(r.Bytes()), "\r\n", "|"); got != tt.want {
			t.Errorf("%s: Bytes = %s, want %s", tt.name, got, tt.want)
		}
	}
	zoned := netip.MustParseAddrPort("[fe80::1%eth0]:80")
	if r, err := NewRequest(spec.HTTPCheck{}, false, zoned); err != nil || r.Host != "[fe80::1]:80" {
		t.Errorf("host of %v = %q, %v, want it without the zone", zoned, r.Host, err)
	}
}

func TestNothingIsSmuggledIntoARequest(t *testing.T) {
	for _, c := range []spec.HTTPCheck{
		{Path: "/ HTTP/1.1\r\nX: y"}, {Path: "/a b"}, {Path: "/a#b"}, {Path: "/%zz"}, {Path: "/\x7f"},
		{Method: "GET / HTTP/1.1\r\n"}, {Method: "G T"}, {Host: "a\r\nX: y"}, {Host: "a b"},
		{Headers: map[string]string{"A": "b\r\nC: d"}}, {Headers: map[string]string{"A:": "b"}}, {Headers: map[string]string{"": "b"}},
	} {
		if r, err := NewRequest(c, false, server); err == nil {
			t.Errorf("NewRequest(%+v) = %q, want an error", c, r.Bytes())
		}
	}
}

func TestFollow(t *testing.T) {
	for _, tt := range []struct {
		name, location, want string
	}{
		{"another path", "/login?next=%2f", "/login?next=%2f"},
		{"a relative path", "b", "/app/b"},
		{"a query alone", "?x", "/app/a?x"},
		{"the name that was asked", "http://WWW.example.com/x", "/x"},
		{"that name with the server's port", "http://www.example.com:8080/x", "/x"},
		{"the server's address", "http://192.0.2.1:8080/", "/"},
		{"a fragment is not sent", "/x#y", "/x"},
		{"no path is the root", "http://www.example.com", "/"},
		{"another host", "http://evil.example.com/x", `redirect to another server: "http://evil.example.com"`},
		{"another host without a scheme", "//evil.example.com/x", `redirect to another server: "http://evil.example.com"`},
		{"another port", "http://www.example.com:81/", `redirect to another server: "http://www.example.com:81"`},
		{"another scheme", "https://www.example.com/", `redirect to another server: "https://www.example.com"`},
		{"a user", "http://u@www.example.com/", `redirect to "http://u@www.example.com/", which is no address`},
		{"no address", "http://[", `redirect to "http://[", which is no address`},
		{"control characters", "/\r\nX: y", `redirect to "/...", which is no address`},
	} {
		r, err := NewRequest(spec.HTTPCheck{Path: "/app/a", Host: "www.example.com"}, false, server)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Follow(302, tt.location)
		if text := got.Path; err == nil && text != tt.want || err != nil && err.Error() != tt.want {
			t.Errorf("%s: Follow(%q) = %q, %v, want %s", tt.name, tt.location, text, err, tt.want)
		}
	}
}

// TestMethodOfARedirect is RFC 9110, section 15.4.
func TestMethodOfARedirect(t *testing.T) {
	for _, tt := range []struct {
		method string
		status int
		want   string
	}{{"POST", 301, "GET"}, {"POST", 303, "GET"}, {"POST", 307, "POST"}, {"POST", 308, "POST"}, {"HEAD", 302, "HEAD"}} {
		r, err := NewRequest(spec.HTTPCheck{Method: tt.method, Body: "x"}, false, server)
		if err == nil {
			r, err = r.Follow(tt.status, "/")
		}
		if err != nil || r.Method != tt.want || (r.Body == "") != (tt.want == "GET") {
			t.Errorf("%s after %d = %s with body %q, %v, want %s", tt.method, tt.status, r.Method, r.Body, err, tt.want)
		}
	}
	if Redirects(302, "") || Redirects(304, "/") || !Redirects(308, "/") {
		t.Error("Redirects takes something else for a redirect")
	}
}

// FuzzFollow: wherever a server sends us, the next request is one, to that server.
func FuzzFollow(f *testing.F) {
	for _, location := range []string{"/x", "//a", "http://www.example.com:8080/%0d%0a", "?\r\n", "http://192.0.2.1:8080", "x:y", "*", "http:///", "http:opaque"} {
		f.Add(location)
	}
	f.Fuzz(func(t *testing.T, location string) {
		r, err := NewRequest(spec.HTTPCheck{Host: "www.example.com"}, false, server)
		if err != nil {
			t.Fatal(err)
		}
		r, err = r.Follow(307, location)
		if err != nil {
			return
		}
		again, err := NewRequest(spec.HTTPCheck{Path: r.Path, Host: r.Host}, false, server)
		if err != nil || again.Path != r.Path {
			t.Errorf("Follow(%q) asks for %q, which is %q, %v", location, r.Path, again.Path, err)
		}
	})
}
