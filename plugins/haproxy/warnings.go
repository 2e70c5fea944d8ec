package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A use is how much of a limit is in use.
type use struct {
	what  string
	share float64
}

// uses lists what can run out.
func (w *watcher) uses(s *seen) []use {
	var out []use
	of := func(part, limit int64, format string, args ...any) {
		if limit > 0 && part >= 0 {
			out = append(out, use{fmt.Sprintf(format, args...) + fmt.Sprintf(" %d of %d", part, limit), float64(part) / float64(limit)})
		}
	}
	of(s.info.Number("CurrConns"), s.info.Number("Maxconn"), "connections")
	if idle := s.info.Number("Idle_pct"); idle >= 0 {
		of(100-idle, 100, "processor time")
	}
	for _, name := range w.frontends {
		if f := find(s.stats, name, haproxy.Frontend); f != nil {
			of(f.Number("scur"), f.Number("slim"), "connections of frontend %s", name)
		}
	}
	for _, a := range w.listen {
		for _, l := range s.sockets {
			if l.Serves(a) {
				of(int64(l.Queue), int64(l.Limit), "connections that wait at %s", a)
			}
		}
	}
	return out
}

// capacityPart warns of what runs out. It is no reason to leave: the next node gets the same
// load.
func (w *watcher) capacityPart(r *report, s *seen) {
	var worst use
	for _, u := range w.uses(s) {
		if u.share > worst.share {
			worst = u
		}
	}
	if m := s.info.Number("Maxconn"); m > 0 {
		r.metrics["conn_ratio"] = float64(s.info.Number("CurrConns")) / float64(m)
	}
	switch {
	case worst.share >= w.crit:
		r.add(part("capacity", sdk.Warn, "SATURATED", "%s", worst.what), warns)
	case worst.share >= w.warn:
		r.add(part("capacity", sdk.Warn, "NEAR_LIMIT", "%s", worst.what), warns)
	default:
		r.add(part("capacity", sdk.Pass, "", "%.0f %% of the nearest limit", worst.share*100), warns)
	}
}

// saturated reports whether haproxy takes no more connections for now because of a limit.
func (w *watcher) saturated(s *seen) bool {
	return s.info != nil && slices.ContainsFunc(w.uses(s), func(u use) bool { return u.share >= 1 })
}

// reloadPart warns of reloads that failed and of workers that do not end.
func (w *watcher) reloadPart(r *report, s *seen) {
	switch p := s.procs; {
	case w.master == nil:
	case errors.Is(s.procsErr, syscall.EACCES), errors.Is(s.procsErr, syscall.EPERM):
		r.add(part("reload", sdk.Unknown, "NO_PERMISSION", "this user may not connect to %s", w.master.path), warns)
	case s.procsErr != nil:
		r.add(part("reload", sdk.Unknown, "NO_MASTER", "%s: %v", w.master.path, s.procsErr), warns)
	case p.Master.Failed > 0:
		r.add(part("reload", sdk.Warn, "RELOAD_FAILED", "the last %d reloads failed; the configuration before them is in force", p.Master.Failed), warns)
	case len(p.Old) > w.maxOld:
		r.add(part("reload", sdk.Warn, "OLD_WORKERS", "%d workers of earlier configurations still run", len(p.Old)), warns)
	default:
		r.add(part("reload", sdk.Pass, "", "%d workers of earlier configurations still run", len(p.Old)), warns)
	}
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
