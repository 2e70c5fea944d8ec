package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// What a server may send before the probe stops reading.
const (
	maxHeader = 64 << 10
	maxBody   = 64 << 10
)

// HTTP returns a Prober that asks for c's path over a new connection and compares the
// status. Redirects are answers like any other, no proxy is used, and of the body at most
// 64 KiB are read; a body that breaks off or comes too slowly is a failure.
func HTTP(c spec.Check) Prober {
	transport := &http.Transport{
		DialContext:            (&net.Dialer{}).DialContext,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
		ReadBufferSize:         2 << 10,
		WriteBufferSize:        2 << 10,
	}
	return within(c.Timeout, func(ctx context.Context, target netip.AddrPort) (string, error) {
		req, err := request(ctx, c, target)
		if err != nil {
			return "", err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }() // the connection goes with it
		if !passes(resp.StatusCode, c.HTTP.Status) {
			return "", fmt.Errorf("status %d, want %s", resp.StatusCode, list(c.HTTP.Status))
		}
		if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)); err != nil {
			return "", err
		}
		return fmt.Sprintf("status %d", resp.StatusCode), nil
	})
}

// request builds the request. Path may have a query; it is sent as it was written.
func request(ctx context.Context, c spec.Check, target netip.AddrPort) (*http.Request, error) {
	path := c.HTTP.Path
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", c.HTTP.Path, err)
	}
	u.Scheme, u.Host = "http", target.String()
	method := c.HTTP.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if c.HTTP.Host != "" {
		req.Host = c.HTTP.Host
	}
	req.Header.Set("User-Agent", "hareconcile-check")
	return req, nil
}

func passes(status int, want []spec.StatusRange) bool {
	if len(want) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.ContainsFunc(want, func(r spec.StatusRange) bool { return r.Low <= status && status <= r.High })
}

// list writes status codes for people: "200", "200 or 204".
func list(want []spec.StatusRange) string {
	if len(want) == 0 {
		return "2xx"
	}
	var b strings.Builder
	for i, s := range want {
		switch {
		case i > 0 && i == len(want)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, s.Low)
		if s.High > s.Low {
			fmt.Fprintf(&b, "-%d", s.High)
		}
	}
	return b.String()
}
