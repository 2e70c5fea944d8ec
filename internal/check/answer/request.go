package answer

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// UserAgent is the name under which checks ask.
const UserAgent = "hareconcile-check"

// A Request is what a check asks in HTTP. It never changes.
type Request struct {
	Version string // "1.0", "1.1" or "2"
	Method  string
	Path    string // with its query, as it is sent
	Host    string
	Scheme  string // "http" or "https"
	Headers map[string]string
	Body    string

	server netip.AddrPort
}

// NewRequest returns the request of a check to a server. What cannot be sent as it was
// written is an error.
func NewRequest(c spec.HTTPCheck, tls bool, server netip.AddrPort) (Request, error) {
	r := Request{
		Version: cmp.Or(c.Version, "1.1"), Method: cmp.Or(c.Method, "GET"), Path: c.Path,
		Host: cmp.Or(c.Host, hostOf(server)), Scheme: "http", Headers: c.Headers, Body: c.Body, server: server,
	}
	if tls {
		r.Scheme = "https"
	}
	if !strings.HasPrefix(r.Path, "/") {
		r.Path = "/" + r.Path
	}
	if !sendable(r.Path) {
		return r, fmt.Errorf("path %q cannot be asked for", c.Path)
	}
	if !token(r.Method) {
		return r, fmt.Errorf("method %q is none", c.Method)
	}
	if strings.ContainsFunc(r.Host, func(b rune) bool { return b <= ' ' || b >= 0x7f }) {
		return r, fmt.Errorf("host %q is none", c.Host)
	}
	for name, value := range c.Headers {
		if !token(name) || strings.ContainsAny(value, "\r\n\x00") {
			return r, fmt.Errorf("header %q: %q cannot be sent", name, value)
		}
	}
	return r, nil
}

// hostOf names a server by its address. A zone is this host's business (RFC 6874, section 4).
func hostOf(server netip.AddrPort) string {
	return netip.AddrPortFrom(server.Addr().WithZone(""), server.Port()).String()
}

// sendable reports whether path is one word of a request line.
func sendable(path string) bool {
	_, err := url.ParseRequestURI(path)
	return err == nil && strings.HasPrefix(path, "/") && !strings.ContainsAny(path, " #")
}

// token reports whether s is a token of RFC 9110, section 5.6.2.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// Bytes returns the request as HTTP/1 sends it. The connection is to end with the answer.
func (r Request) Bytes() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/%s\r\nHost: %s\r\n", r.Method, r.Path, r.Version, r.Host)
	has := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		lower := strings.ToLower(name)
		has[lower] = true
		if lower != "host" && lower != "connection" && lower != "content-length" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, r.Headers[name])
		}
	}
	if !has["user-agent"] {
		b.WriteString("User-Agent: " + UserAgent + "\r\n")
	}
	if r.Body != "" || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" {
		b.WriteString("Content-Length: " + strconv.Itoa(len(r.Body)) + "\r\n")
	}
	b.WriteString("Connection: close\r\n\r\n" + r.Body)
	return []byte(b.String())
}

// Redirects reports whether an answer with this status sends the client elsewhere
// (RFC 9110, section 15.4).
func Redirects(status int, location string) bool {
	return location != "" && slices.Contains([]int{301, 302, 303, 307, 308}, status)
}

// Follow returns the request that a redirect asks for. The check is of one server: a
// redirect that leaves it is an error.
func (r Request) Follow(status int, location string) (Request, error) {
	base := url.URL{Scheme: r.Scheme, Host: r.Host}
	if path, err := url.ParseRequestURI(r.Path); err == nil {
		base.Path, base.RawPath, base.RawQuery = path.Path, path.RawPath, path.RawQuery
	}
	next, err := base.Parse(location)
	if err != nil || next.User != nil {
		return r, fmt.Errorf("redirect to %q, which is no address", Line(location))
	}
	if next.Scheme != r.Scheme || !r.same(next) {
		return r, fmt.Errorf("redirect to another server: %q", Line(next.Scheme+"://"+next.Host))
	}
	if r.Path = next.RequestURI(); !sendable(r.Path) {
		return r, fmt.Errorf("redirect to %q, which cannot be asked for", Line(location))
	}
	if status != 307 && status != 308 && r.Method != "HEAD" {
		r.Method, r.Body = "GET", ""
	}
	return r, nil
}

// same reports whether u is on the server that was asked: by the name that it was asked
// under or its address, and by the port of either or none.
func (r Request) same(u *url.URL) bool {
	asked := url.URL{Host: r.Host}
	name := strings.ToLower(u.Hostname())
	if name != strings.ToLower(asked.Hostname()) && name != r.server.Addr().String() {
		return false
	}
	port := u.Port()
	return port == "" || port == asked.Port() || port == strconv.Itoa(int(r.server.Port()))
}
