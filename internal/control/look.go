package control

import (
	"context"
	"net/http"
	"time"
)

// A Look is the agent's last look at its source that is over.
type Look struct {
	// Began tells whether a push was there to be seen.
	Began time.Time `json:"began,omitzero"`
	// Next is when it looks again, unless it is asked to.
	Next time.Time `json:"next,omitzero"`
}

// Webhook is what came in from git hosts.
type Webhook struct {
	Address      string    `json:"address"`
	Accepted     uint64    `json:"accepted"`
	Refused      uint64    `json:"refused"`
	LastAccepted time.Time `json:"last_accepted,omitzero"`
	// Error says why none can be received or judged; empty if all is well.
	Error string `json:"error,omitempty"`
}

// ReconcileResult says when the agent was asked to look: it has seen what was pushed before
// once Status.Look.Began is not earlier.
type ReconcileResult struct {
	Asked time.Time `json:"asked"`
}

func (s *server) reconcile(w http.ResponseWriter, r *http.Request) {
	p := callerOf(r.Context())
	s.log.Info("reconcile requested", "uid", p.uid, "pid", p.pid)
	asked := time.Now()
	s.b.FetchNow()
	reply(w, http.StatusOK, ReconcileResult{asked})
}

// Reconcile makes the agent look at its source now, and returns when it was asked to.
func (c *Client) Reconcile(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	var res ReconcileResult
	err := c.do(ctx, http.MethodPost, "reconcile", nil, decodeInto(&res))
	return res.Asked, err
}
