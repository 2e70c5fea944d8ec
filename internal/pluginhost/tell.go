package pluginhost

import (
	"context"
	"maps"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// fingerprint says what a tracker's check is.
func fingerprint(t spec.Tracker) string {
	return instanceID("", t.Config) + " " + t.Timeout.String()
}

// Reports returns what plugins said last, by tracker. The caller does not change what the
// reports hold.
func (h *Host) Reports() map[string]Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.reports)
}

func (h *Host) report(tracker string) Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reports[tracker]
}

// record keeps what was said of trackers, by their places.
func (h *Host) record(ts []spec.Tracker, rs map[int]Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for place, r := range rs {
		h.reports[ts[place].Name] = r
	}
}

// push takes what a plugin said without being asked.
func (h *Host) push(t spec.Tracker, r Report) {
	r.Note = h.report(t.Name).Note
	h.record([]spec.Tracker{t}, alike(1, r))
	h.loop.Tell(t.Name, fingerprint(t), r.state(), r.Detail)
}

// forward turns the loop's results into the host's.
func (h *Host) forward(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-h.loop.Results():
			h.log.Info("tracker verdict", "id", r.Key, "verdict", string(r.Verdict), "reason", r.Message)
			select {
			case <-ctx.Done():
				return
			case h.results <- Result{r.Key, reconcile.Verdict(r.Verdict), r.Message}:
			}
		}
	}
}
