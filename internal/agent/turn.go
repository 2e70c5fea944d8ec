package agent

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/peer"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/rollout"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// Peers are the other nodes of the cluster. None of its methods but Ask blocks.
type Peers interface {
	// Set replaces the members; none says that nobody is to be asked.
	Set([]peer.Member)
	// Changed says that Report returns something else.
	Changed()
	// Ask returns what those that answer say now.
	Ask(context.Context) map[string]peer.Message
}

// A neighbour is what is known of another node.
type neighbour struct {
	message peer.Message
	heard   bool
	lost    time.Time // since when it is not heard
	fresh   bool      // asked after this node's claim was there to be read
}

// A turn is where this node is on the way to trying a candidate.
type turn struct {
	phase   rollout.Phase // Waiting, Claiming or HandingOver
	claim   int           // counts claims, to tell an answer to an older one
	asking  bool
	asked   time.Time // when the last questions went out
	yielded time.Time // when this node last resigned
	plan    *disruption
}

// A disruption is what a candidate's plan does, as it was when it was judged.
type disruption struct {
	commit  string
	moves   bool
	routers []string // names of vrrp_instance IDs
	resets  bool     // it takes something away that has connections
}

// The pace of a claim and of a hand-over.
const (
	askAgain   = 200 * time.Millisecond
	yieldAgain = time.Second
)

// PeerHeard reports what another node says of itself, or why it cannot be heard.
func (a *Agent) PeerHeard(node string, m *peer.Message, err error) {
	a.inbox.put(func(n *news) { n.peers[node] = said{m, err} })
}

// said is a node's message, or why there is none.
type said struct {
	message *peer.Message
	err     error
}

func (a *Agent) absorbPeer(node string, s said) {
	n := a.neighbours[node]
	if n == nil {
		return // it is no member any more
	}
	switch {
	case s.message != nil && s.message.Older(n.message):
	case s.message != nil: // what is newer than a fresh answer of the same run is as good
		*n = neighbour{message: *s.message, heard: true, fresh: n.fresh && s.message.Born == n.message.Born}
	case n.heard || n.lost.IsZero():
		n.heard, n.fresh, n.lost = false, false, time.Now()
		a.cfg.Log.Warn("peer is not heard", "peer", node, "err", s.err)
	}
}

// coordinated reports whether nodes of c take turns: they do where they can know each other.
func coordinated(c *spec.Cluster) bool {
	return len(c.Nodes) > 1 && c.Nodes[0].Key != ""
}

// meet makes the nodes of the revision in force the ones to hear.
func (a *Agent) meet(c *spec.Cluster) {
	if a.cfg.Peers == nil {
		return
	}
	old := a.neighbours
	a.neighbours = map[string]*neighbour{}
	if !coordinated(c) {
		a.cfg.Peers.Set(nil)
		return
	}
	var members []peer.Member
	for _, n := range c.Nodes {
		members = append(members, peer.MemberOf(n, c.Rollout.PeerPort))
		if n.Name == a.cfg.Node {
			continue
		}
		if a.neighbours[n.Name] = old[n.Name]; a.neighbours[n.Name] == nil {
			a.neighbours[n.Name] = &neighbour{lost: time.Now()}
		}
	}
	a.cfg.Peers.Set(members)
}

// takeTurn reports whether this node may try c now, or for what it waits.
func (a *Agent) takeTurn(ctx context.Context, c *candidate) (bool, string) {
	if len(a.neighbours) == 0 {
		return true, ""
	}
	v := a.view(ctx, c)
	d := rollout.Decide(v)
	switch d.Do {
	case rollout.Go:
		a.turn = turn{claim: a.turn.claim}
		return true, ""
	case rollout.Never:
		a.candidate = nil
		why := d.Why
		for _, node := range d.For {
			if r := a.neighbours[node].message.Reasons[c.rev.Commit]; r != "" {
				why += ": " + r
			}
		}
		a.turn = turn{claim: a.turn.claim}
		a.quarantine(c.rev, why)
		a.record(journal.Record{Commit: c.rev.Commit, Subject: c.rev.Subject, Outcome: journal.Refused, Reason: why})
		a.cfg.Log.Error("revision is not tried; the one in force stays", "revision", c.rev.Short(), "err", why)
		a.FetchNow() // the source's answer is a refusal from now on
	case rollout.Claim:
		a.claimTurn(ctx)
	case rollout.Withdraw:
		a.turn.phase = rollout.Waiting
		a.unfresh()
	case rollout.Yield:
		a.yield(ctx, v)
	}
	return false, d.Why
}

// stallsAt is when a candidate has waited for its turn for too long; zero where there are none.
func (a *Agent) stallsAt(c *candidate) time.Time {
	if len(a.neighbours) == 0 {
		return time.Time{}
	}
	return c.since.Add(a.rev.Cluster.Rollout.ProgressDeadline)
}

// view is what the rule decides on.
func (a *Agent) view(ctx context.Context, c *candidate) rollout.View {
	r := a.rev.Cluster.Rollout
	p := a.disruptionOf(ctx, c.rev)
	v := rollout.View{Self: a.selfReport(), Candidate: c.rev.Commit, HandOver: !r.NoHandOver && !c.rev.Cluster.Rollout.NoHandOver}
	if v.HandOver {
		v.Disruptive = p.moves
		for _, id := range p.routers {
			v.Concerns = append(v.Concerns, instanceName(a.rev.Cluster, id))
		}
	}
	for name, n := range a.neighbours {
		// Who was on its way when it was last heard may still be, or died of it.
		gone := !n.heard && time.Since(n.lost) > r.ProgressDeadline && !n.message.Phase.InFlight()
		v.Peers = append(v.Peers, rollout.Peer{
			Report: n.message.Report, Heard: n.heard, Fresh: n.fresh, Absent: gone && r.SkipUnreachable || a.ignored[name], Ignored: a.ignored[name],
		})
		if v.Peers[len(v.Peers)-1].Node == "" { // never heard
			v.Peers[len(v.Peers)-1].Node = name
		}
	}
	slices.SortFunc(v.Peers, func(x, y rollout.Peer) int { return strings.Compare(x.Node, y.Node) })
	return v
}

// disruptionOf returns what a candidate's plan does to virtual addresses; it is made once.
func (a *Agent) disruptionOf(ctx context.Context, r *revision.Revision) *disruption {
	if p := a.turn.plan; p != nil && p.commit == r.Commit {
		return p
	}
	p := &disruption{commit: r.Commit}
	plan, _, err := a.preview(ctx, r)
	if err == nil {
		var d reconcile.Disruption
		d, p.routers = plan.Disruption()
		p.moves, p.resets = d >= reconcile.MovesAddresses, d >= reconcile.ResetsConnections
	}
	a.turn.plan = p
	return p
}

func (a *Agent) unfresh() {
	for _, n := range a.neighbours {
		n.fresh = false
	}
}

// claimTurn says that this node wants to go, and then asks all others, beside the loop.
func (a *Agent) claimTurn(ctx context.Context) {
	if a.turn.phase != rollout.Claiming {
		a.turn.phase = rollout.Claiming
		a.turn.claim++
		a.unfresh()
	}
	if a.turn.asking || time.Since(a.turn.asked) < askAgain {
		return
	}
	a.turn.asking, a.turn.asked = true, time.Now()
	claim := a.turn.claim
	a.tellPeers() // before anybody is asked
	a.works.Go(func() {
		answers := a.cfg.Peers.Ask(ctx)
		_ = a.do(ctx, func(context.Context) { a.answered(claim, answers) }) // but for an agent that stops
	})
}

// answered takes over what peers said to a claim, if it still stands.
func (a *Agent) answered(claim int, answers map[string]peer.Message) {
	a.turn.asking = false
	for node, m := range answers {
		n := a.neighbours[node]
		if n == nil {
			continue
		}
		if !m.Older(n.message) {
			n.message = m
		}
		n.heard, n.lost = true, time.Time{}
		n.fresh = claim == a.turn.claim && a.turn.phase == rollout.Claiming
	}
}

// yield hands over what this node holds.
func (a *Agent) yield(ctx context.Context, v rollout.View) {
	a.turn.phase = rollout.HandingOver
	if time.Since(a.turn.yielded) < yieldAgain {
		return
	}
	a.turn.yielded = time.Now()
	var ids []string
	for _, i := range a.rev.Cluster.Instances {
		if slices.Contains(v.Concerns, i.Name) {
			ids = append(ids, reconcile.InstanceID(i).Name)
		}
	}
	a.cfg.Log.Info("handing over", "instances", strings.Join(v.Concerns, ", "))
	a.handOver(ctx, ids)
}

// selfReport is what this node says of itself for the rule.
func (a *Agent) selfReport() rollout.Report {
	r := rollout.Report{Node: a.cfg.Node, Stable: a.steady(), Phase: a.phaseOf()}
	if a.good != nil {
		r.Verified = a.good.Commit
	}
	if n := a.newest(); n != nil && r.Phase != rollout.Idle {
		r.Candidate = n.Commit
	}
	for _, q := range a.quarantined {
		r.Quarantined = append(r.Quarantined, q.Commit)
	}
	if a.rev == nil {
		return r
	}
	for _, i := range a.rev.Cluster.Instances {
		if p := i.Priority[a.cfg.Node]; p != 0 {
			r.Instances = append(r.Instances, rollout.Instance{Name: i.Name, State: a.facts.Roles[reconcile.InstanceID(i).Name], Priority: int(p)})
		}
	}
	p := a.turn.plan
	r.Withdraws = len(r.Instances) == 0 && p != nil && p.commit == r.Candidate && p.resets
	return r
}

// phaseOf is where this node is with a revision.
func (a *Agent) phaseOf() rollout.Phase {
	switch t := a.attempt; {
	case t != nil && t.reverting:
		return rollout.Reverting
	case t != nil && (!t.installed || a.converged.IsZero()):
		return rollout.Applying
	case t != nil:
		return rollout.Verifying
	case a.candidate == nil:
		return rollout.Idle
	case a.turn.phase == rollout.Idle:
		return rollout.Waiting
	}
	return a.turn.phase
}
