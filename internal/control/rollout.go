package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/peer"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// A Stage is where a node is with a revision that it has not verified yet.
type Stage string

// The stages. A node that has nothing new is in none.
const (
	Waiting   Stage = "waiting" // it passed every judgement, and its turn has not come
	Trying    Stage = "applying"
	Verifying Stage = "verifying" // in force, and to be healthy for a while
	Reverting Stage = "reverting" // it failed, and the last good one comes back
)

// A Rollout is a revision on its way.
type Rollout struct {
	Stage    Stage             `json:"stage"`
	Revision planfile.Revision `json:"revision"`
	// Prior is the commit to go back to; empty if there is none.
	Prior string    `json:"prior,omitempty"`
	Since time.Time `json:"since"`
	// Reason is for what it waits, what is not healthy, or why it is undone.
	Reason string `json:"reason,omitempty"`
	// HealthySince is since when all is well without a break; Needed is how long that has to be
	// so, before Deadline. What waits for longer than Deadline is stalled.
	HealthySince time.Time     `json:"healthy_since,omitzero"`
	Needed       time.Duration `json:"needed,omitempty"`
	Deadline     time.Time     `json:"deadline,omitzero"`
}

// An Order is what a person wants of revisions on this node. Exactly one field is set.
type Order struct {
	// Rollback goes to the good revision before the last one.
	Rollback *RollbackOrder `json:"rollback,omitempty"`
	// Retry lifts the quarantine of a commit, by at least 7 of its digits.
	Retry   string        `json:"retry,omitempty"`
	Suspend *SuspendOrder `json:"suspend,omitempty"`
	Resume  bool          `json:"resume,omitempty"`
	// Ignore names a node that nobody is to wait for until the revision that waits is verified.
	Ignore string `json:"ignore,omitempty"`
	// By is who orders it; the server says so.
	By string `json:"-"`
}

// A RollbackOrder names the commit that is to be in force, by at least 7 of its digits; empty
// is the good one before the last.
type RollbackOrder struct {
	To string `json:"to,omitempty"`
}

// A SuspendOrder keeps the agent from new revisions and from correcting drift.
type SuspendOrder struct {
	Reason string        `json:"reason"`
	For    time.Duration `json:"for,omitempty"` // 0 is until resume
}

// A Peer is another node of the cluster, as it was last heard.
type Peer struct {
	peer.Message
	Heard bool `json:"heard"`
	// LostSince is since when it is not heard; zero while it is.
	LostSince time.Time `json:"lost_since,omitzero"`
}

// An OrderResult says in a sentence what will come of an order.
type OrderResult struct {
	Message string `json:"message"`
}

// A HistoryResult holds what became of revisions, oldest first.
type HistoryResult struct {
	Records []journal.Record `json:"records"`
}

// maxOrder bounds an order, in bytes; maxReason the reason in it, in characters.
const (
	maxOrder  = 64 << 10
	maxReason = 500
)

// judge returns what is wrong with an order.
func (o Order) judge() error {
	n := 0
	for _, set := range []bool{o.Rollback != nil, o.Retry != "", o.Suspend != nil, o.Resume, o.Ignore != ""} {
		if set {
			n++
		}
	}
	switch {
	case n != 1:
		return errors.New("an order is one of rollback, retry, suspend, resume and ignore")
	case o.Suspend != nil && (o.Suspend.Reason == "" || len(o.Suspend.Reason) > maxReason):
		return fmt.Errorf("a suspension needs a reason of 1 to %d characters: whoever comes next reads it", maxReason)
	case o.Suspend != nil && o.Suspend.For < 0:
		return errors.New("a suspension cannot end in the past")
	}
	return nil
}

func (s *server) order(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	var o Order
	d := json.NewDecoder(patient{http.MaxBytesReader(w, r.Body, maxOrder), rc})
	d.DisallowUnknownFields()
	err := d.Decode(&o)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("more than one document")
		}
	}
	if err == nil {
		err = o.judge()
	}
	if err != nil {
		hangUp(rc)
		refuse(w, &APIError{"invalid", err.Error()})
		return
	}
	_ = rc.SetReadDeadline(time.Time{})
	p := callerOf(r.Context())
	o.By = fmt.Sprintf("uid %d", p.uid)
	res, err := s.b.Order(r.Context(), o)
	s.log.Info("order", "uid", p.uid, "pid", p.pid, "rollback", o.Rollback != nil, "retry", o.Retry, "suspend", o.Suspend != nil, "resume", o.Resume, "ignore", o.Ignore, "err", err)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, res)
}

// Order gives the agent an order. A refusal is an *APIError.
func (c *Client) Order(ctx context.Context, o Order) (OrderResult, error) {
	var res OrderResult
	body, err := json.Marshal(o)
	if err != nil {
		return res, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	return res, c.do(ctx, http.MethodPost, "order", body, decodeInto(&res))
}

// History returns what became of revisions, oldest first.
func (c *Client) History(ctx context.Context) ([]journal.Record, error) {
	var res HistoryResult
	err := c.ask(ctx, "history", &res)
	return res.Records, err
}
