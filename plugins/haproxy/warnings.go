package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A use is how much of a limit is in use.
type use struct {
	what, of    string
	part, limit int64
}

func (u use) share() float64 { return float64(u.part) / float64(u.limit) }

func (u use) String() string {
	if u.of == "" {
		return fmt.Sprintf("%s %d of %d", u.what, u.part, u.limit)
	}
	return fmt.Sprintf("%s %s %d of %d", u.what, u.of, u.part, u.limit)
}

// limits lists the limits of connections that can be reached.
func (w *watcher) limits(s *seen) []use {
	out := make([]use, 0, 8)
	add := func(what, of string, part, limit int64) {
		if limit > 0 && part >= 0 {
			out = append(out, use{what, of, part, limit})
		}
	}
	add("connections", "", s.info.Number("CurrConns"), s.info.Number("Maxconn"))
	for _, name := range w.frontends {
		if f := find(s.stats, name, haproxy.Frontend); f != nil {
			add("connections of frontend", name, f.Number("scur"), f.Number("slim"))
		}
	}
	for _, name := range w.backends {
		part, limit := slotsOf(s.stats, name)
		add("connections to the servers of backend", name, part, limit)
	}
	for _, a := range w.listen {
		for _, l := range s.sockets {
			if l.Serves(a) {
				add("connections that wait at", a.String(), int64(l.Queue), int64(l.Limit))
			}
		}
	}
	return out
}

// slotsOf returns how many connections the servers of a backend that are up have, and how many
// they may have; beyond that, requests wait. Without a limit for each of them there is none.
func slotsOf(stats []haproxy.Stat, backend string) (part, limit int64) {
	for _, s := range stats {
		if s.Proxy() != backend || s.Server() == haproxy.Backend || s.Server() == haproxy.Frontend || s.Status() != "UP" && s["status"] != "no check" {
			continue
		}
		most := s.Number("slim")
		if most <= 0 {
			return 0, 0
		}
		part, limit = part+max(0, s.Number("scur")), limit+most
	}
	return part, limit
}

// capacityPart warns of what runs out. It is no reason to leave: the next node gets the same
// load.
func (w *watcher) capacityPart(r *report, s *seen) {
	worst := use{limit: 1}
	if idle := s.info.Number("Idle_pct"); idle >= 0 {
		worst = use{"processor time", "", 100 - idle, 100}
	}
	for _, u := range w.limits(s) {
		if u.share() > worst.share() {
			worst = u
		}
	}
	if m := s.info.Number("Maxconn"); m > 0 {
		r.metrics["conn_ratio"] = float64(s.info.Number("CurrConns")) / float64(m)
	}
	switch {
	case worst.share() >= w.crit:
		r.add(part("capacity", sdk.Warn, "SATURATED", "%v", worst), warns)
	case worst.share() >= w.warn:
		r.add(part("capacity", sdk.Warn, "NEAR_LIMIT", "%v", worst), warns)
	default:
		r.add(part("capacity", sdk.Pass, "", "%.0f %% of the nearest limit", worst.share()*100), warns)
	}
}

// saturated reports whether haproxy takes no more connections for now because of a limit. One
// that spins has no processor time left either, and that is no excuse.
func (w *watcher) saturated(s *seen) bool {
	return s.info != nil && slices.ContainsFunc(w.limits(s), func(u use) bool { return u.share() >= 1 })
}

// A certState is what haproxy said of a certificate.
type certState struct {
	cert haproxy.Cert
	err  error
}

// certsEvery is how often certificates are asked for: they end by the day.
const certsEvery = time.Minute

// lookAtCerts asks for the certificates, or remembers.
func (w *watcher) lookAtCerts(ctx context.Context) map[string]certState {
	w.mu.Lock()
	known, at := maps.Clone(w.expiry), w.readAt
	w.mu.Unlock()
	if known != nil && time.Since(at) < certsEvery {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, left(ctx)*9/10)
	defer cancel()
	fresh := make(map[string]certState, len(w.certs))
	for _, file := range w.certs {
		reply, err := socket.Ask(ctx, w.socket.path, "show ssl cert "+file)
		if err != nil {
			return known // the next check asks again
		}
		c, err := haproxy.ParseCert(reply)
		fresh[file] = certState{c, err}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expiry, w.readAt = maps.Clone(fresh), time.Now()
	return fresh
}

// certParts warns of certificates that end soon.
func (w *watcher) certParts(r *report, s *seen, now time.Time) {
	for _, file := range w.certs {
		label := "cert " + file
		c, ok := s.certs[file]
		days := c.cert.NotAfter.Sub(now).Hours() / 24
		switch {
		case !ok:
			r.add(part(label, sdk.Unknown, "NOT_ASKED", "%s: haproxy did not say", file), warns)
			continue
		case errors.Is(c.err, haproxy.ErrLevel):
			r.add(part(label, sdk.Unknown, "NO_PERMISSION", "%s: %v", file, haproxy.ErrLevel), warns)
			continue
		case errors.Is(c.err, haproxy.ErrNoCert):
			r.add(part(label, sdk.Warn, "NO_CERT", "%s: %v", file, haproxy.ErrNoCert), warns)
			continue
		case c.err != nil:
			r.add(part(label, sdk.Unknown, "GARBLED", "%s: %v", file, c.err), warns)
			continue
		case days < 0:
			r.add(part(label, sdk.Warn, "CERT_EXPIRED", "%s ended on %s", file, c.cert.NotAfter.Format(time.DateOnly)), warns)
		case days < w.certCrit:
			r.add(part(label, sdk.Warn, "CERT_URGENT", "%s ends in %.1f days", file, days), warns)
		case days < w.certWarn:
			r.add(part(label, sdk.Warn, "CERT_EXPIRES", "%s ends in %.0f days", file, days), warns)
		default:
			r.add(part(label, sdk.Pass, "", "%s ends in %.0f days", file, days), warns)
		}
		r.metrics["cert_days{"+file+"}"] = days
	}
}
