package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

const (
	// certsEvery is how often certificates are looked at: they change by the day.
	certsEvery = time.Minute
	// critical is how long before its end a certificate is about to bring the site down.
	critical = 3 * 24 * time.Hour
)

// answers are what came over the network.
type answers struct {
	web     sdk.Part
	answer  answer
	stub    answer
	stubErr error
	ends    map[string]ending // of certificates, by server name; nil if nobody looked
}

// An ending is when a certificate ends, or why that is not known.
type ending struct {
	at  time.Time
	err error
}

// ask asks for everything at the same time; each has its own bound within ctx.
func (w *watcher) ask(ctx context.Context) <-chan answers {
	out := make(chan answers, 1) // taken once
	look := len(w.certNames) > 0 && time.Since(w.certs.looked) >= certsEvery
	go func() {
		var a answers
		var wg sync.WaitGroup
		if w.web.url != "" {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, w.web.timeout)
				defer cancel()
				var err error
				a.answer, err = w.web.get(ctx)
				a.web = w.web.judge(ctx, a.answer, err)
			})
		}
		if w.stub != "" {
			wg.Go(func() { a.stub, a.stubErr = target{url: w.stub, insecure: true}.get(ctx) })
		}
		if look {
			wg.Go(func() { a.ends = w.endings(ctx) })
		}
		wg.Wait()
		out <- a
	}()
	return out
}

// addWeb adds the part of the answer to a GET.
func (r *report) addWeb(a answers) {
	r.add(a.web)
	if a.answer.status != 0 {
		r.metrics["http_status"] = float64(a.answer.status)
		r.metrics["http_seconds"] = a.answer.took.Seconds()
	}
	if a.answer.server != "" {
		r.facts["server"] = a.answer.server
	}
}

// certs is what was last seen of certificates.
type certs struct {
	looked time.Time
	ends   map[string]ending
}

// endings looks at the certificate of every name. It trusts nobody and asks for nothing, so
// it verifies nothing: that is what http does.
func (w *watcher) endings(ctx context.Context) map[string]ending {
	out := map[string]ending{}
	for _, name := range w.certNames {
		d := tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
		c, err := d.DialContext(ctx, "tcp", w.certAddr)
		if err != nil {
			out[name] = ending{err: err}
			continue
		}
		out[name] = endOf(c)
		_ = c.Close() // it was only looked at
	}
	return out
}

func endOf(c net.Conn) ending {
	if t, ok := c.(*tls.Conn); ok {
		if chain := t.ConnectionState().PeerCertificates; len(chain) > 0 {
			return ending{at: chain[0].NotAfter}
		}
	}
	return ending{err: errors.New("no certificate was shown")}
}

// judgeCerts adds the part of the certificates, of this look or the one before.
func (w *watcher) judgeCerts(a answers, r *report) {
	if len(w.certNames) == 0 {
		return
	}
	now := time.Now()
	if a.ends != nil {
		w.certs = certs{now, a.ends}
		for _, e := range a.ends {
			if e.err != nil {
				w.certs.looked = time.Time{} // look again the next time
			}
		}
	}
	r.add(w.judgeEnds(w.certs.ends, now, r))
}

// judgeEnds makes the part of certificates from when they end: the nearest end counts.
func (c *config) judgeEnds(ends map[string]ending, now time.Time, r *report) sdk.Part {
	const name = "cert"
	first := ""
	var failed error
	for _, n := range c.certNames {
		e := ends[n]
		if e.err != nil {
			failed = e.err
			continue
		}
		r.metrics["cert_days{"+n+"}"] = e.at.Sub(now).Hours() / 24
		if first == "" || e.at.Before(ends[first].at) {
			first = n
		}
	}
	left := ends[first].at.Sub(now)
	on := ends[first].at.UTC().Format(time.DateTime)
	switch {
	case first != "" && left <= 0:
		return part(name, sdk.Warn, "CERT_EXPIRED", "the certificate of %s has ended on %s", first, on)
	case first != "" && left <= critical:
		return part(name, sdk.Warn, "CERT_CRITICAL", "the certificate of %s ends on %s", first, on)
	case first != "" && left <= c.certWarn:
		return part(name, sdk.Warn, "CERT_ENDS", "the certificate of %s ends on %s", first, on)
	case failed != nil:
		return part(name, sdk.Unknown, "CERT_UNKNOWN", "cannot look at a certificate at %s: %v", c.certAddr, failed)
	}
	return part(name, sdk.Pass, "", "the first certificate ends on %s", on)
}
