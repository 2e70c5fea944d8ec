package main

import (
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

const (
	// pauseGrace covers a reload that fails to bind: haproxy pauses what listens and tries for
	// about two seconds, then resumes.
	pauseGrace   = 3 * time.Second
	startupGrace = 10 * time.Second
	// maxOldAge is when it is odd that a worker still has connections; haproxy sets no end
	// without hard-stop-after.
	maxOldAge = 24 * time.Hour
)

// A reader takes a configuration apart and collects the mistakes in it.
type reader struct {
	v    sdk.Value
	errs []error
}

func (r *reader) mistake(attribute, format string, args ...any) {
	r.errs = append(r.errs, sdk.AttributeErrorf(attribute, format, args...))
}

func (r *reader) duration(attribute string, otherwise, most time.Duration) time.Duration {
	if !r.v.Has(attribute) {
		return otherwise
	}
	d, err := time.ParseDuration(r.v.String(attribute))
	if err != nil || d < 0 || d > most {
		r.mistake(attribute, "%q is no duration, such as 3s, of at most %.0f h", r.v.String(attribute), most.Hours())
	}
	return d
}

// whole reads a count.
func (r *reader) whole(attribute string, otherwise float64) float64 {
	if !r.v.Has(attribute) {
		return otherwise
	}
	n := r.v.Number(attribute)
	if n != math.Trunc(n) || n < 0 || n > 1e6 {
		r.mistake(attribute, "%v is not a count", n)
		return otherwise
	}
	return n
}

func (r *reader) share(attribute string, otherwise float64) float64 {
	if !r.v.Has(attribute) {
		return otherwise
	}
	n := r.v.Number(attribute)
	if !(n >= 0 && n <= 1) {
		r.mistake(attribute, "%v is no share from 0 to 1", n)
		return otherwise
	}
	return n
}

func (r *reader) addresses(attribute string) []netip.AddrPort {
	var out []netip.AddrPort
	texts := r.v.Strings(attribute)
	if len(texts) > maxProxies {
		r.mistake(attribute, "has %d addresses, at most %d are allowed", len(texts), maxProxies)
		return nil
	}
	for _, text := range texts {
		a, err := netip.ParseAddrPort(text)
		if err != nil {
			r.mistake(attribute, "%q is no address with a port, such as 192.0.2.1:80", text)
			continue
		}
		out = append(out, a)
	}
	return out
}

// A request is what the http part sends, if anything.
type request struct {
	url    string
	addr   netip.Addr
	host   string
	expect string // three digits, of which the last two may be x
}

var expectation = regexp.MustCompile(`^[1-5]([0-9][0-9]|xx)$`)

// http reads the request. Its address must be written as one: a name may lead to another
// node, and so may the cluster's own address, which is why look asks whose it is.
func (r *reader) http() *request {
	if !r.v.Has("http_url") {
		for _, a := range []string{"http_host", "http_expect"} {
			if r.v.Has(a) {
				r.mistake(a, "belongs to http_url, which is not there")
			}
		}
		return nil
	}
	q := &request{url: r.v.String("http_url"), host: r.v.String("http_host"), expect: "200"}
	u, err := url.Parse(q.url)
	if err != nil || u.Scheme != "http" || u.User != nil {
		r.mistake("http_url", "%q is no URL such as http://127.0.0.1:8080/health", q.url)
		return q
	}
	if q.addr, err = netip.ParseAddr(u.Hostname()); err != nil {
		r.mistake("http_url", "%q is no IP address; a name may lead to another node", u.Hostname())
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			r.mistake("http_url", "%q is no port", p)
		}
	}
	if r.v.Has("http_expect") {
		q.expect = r.v.String("http_expect")
		if !expectation.MatchString(q.expect) {
			r.mistake("http_expect", "%q is no status such as 200 or 2xx", q.expect)
		}
	}
	return q
}
