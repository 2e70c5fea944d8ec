package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A response is what came of a request.
type response struct {
	status int
	err    error
	remote bool // the address is not this node's, and nothing was sent
}

// send sends the request. To an address that this node does not hold it would reach the
// node that does: on a backup, the master, whose health it is not asked for.
func (q *request) send(ctx context.Context) *response {
	if !q.addr.IsLoopback() {
		ours, err := holds(q.addr)
		if err != nil || !ours {
			return &response{err: err, remote: err == nil}
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.url, http.NoBody)
	if err != nil {
		return &response{err: err}
	}
	req.Host = q.host
	req.Header.Set("User-Agent", "hareconcile")
	t := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req) // which follows no redirect and asks no proxy
	if err != nil {
		return &response{err: err}
	}
	_ = resp.Body.Close() // only the status counts
	return &response{status: resp.StatusCode}
}

func holds(addr netip.Addr) (bool, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == addr.Unmap().WithZone("") {
			return true, nil
		}
	}
	return false, nil
}

// accepts reports whether a status is as expected: 2xx expects 200 to 299.
func (q *request) accepts(status int) bool {
	s := strconv.Itoa(status)
	return s == q.expect || len(s) == 3 && q.expect == s[:1]+"xx"
}

// httpPart judges the response. A haproxy that is full makes it wait in vain, works, and is
// not helped by its clients' coming back all at once elsewhere.
func (w *watcher) httpPart(r *report, s *seen) {
	switch q := w.http; {
	case q == nil:
	case s.reply == nil:
		r.add(part("http", sdk.Unknown, "NOT_ASKED", "%s was not asked", q.url), moves)
	case s.reply.remote:
		r.add(part("http", sdk.Unknown, "NOT_LOCAL", "%s is not an address of this node", q.addr), moves)
	case s.reply.err != nil && w.saturated(s):
		r.add(part("http", sdk.Warn, "SATURATED", "%s does not answer while haproxy is full", q.url), moves)
	case s.reply.err != nil:
		r.add(part("http", sdk.Fail, "NO_ANSWER", "%v", s.reply.err), moves)
	case !q.accepts(s.reply.status):
		r.add(part("http", sdk.Fail, "HTTP_STATUS", "%s answers %d, want %s", q.url, s.reply.status, q.expect), moves)
	default:
		r.add(part("http", sdk.Pass, "", "%s answers %d", q.url, s.reply.status), moves)
	}
}
