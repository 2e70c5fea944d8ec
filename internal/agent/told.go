package agent

import (
	"maps"
	"reflect"
	"slices"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/peer"
)

// Report returns what the other nodes are told of this one.
func (a *Agent) Report() peer.Message {
	if m := a.toPeers.Load(); m != nil {
		return *m
	}
	return peer.Message{}
}

// tellPeers makes the loop's state known to the other nodes, if it differs from what they know.
func (a *Agent) tellPeers() {
	if len(a.neighbours) == 0 {
		return
	}
	m := peer.Message{
		Report: a.selfReport(), State: string(a.phase), Message: a.peerMessage(), Drift: a.drift.Total, Version: a.cfg.Version,
		Reasons: map[string]string{},
	}
	if a.good != nil {
		m.Subject = a.good.Subject
	}
	for _, q := range a.quarantined {
		m.Reasons[q.Commit] = q.Reason
	}
	if old := a.toPeers.Load(); old != nil && reflect.DeepEqual(*old, m) {
		return
	}
	a.toPeers.Store(&m)
	a.cfg.Peers.Changed()
}

// peerMessage is the one sentence that status -cluster shows of a node.
func (a *Agent) peerMessage() string {
	if r := a.rollout(); r != nil && r.Reason != "" {
		return r.Reason
	}
	if a.failed != "" {
		return a.failed
	}
	return a.message
}

// steady reports whether all is well with the revision in force.
func (a *Agent) steady() bool { return a.phase == control.Converged && a.failed == "" }

// peersStatus is what status shows of the other nodes, by name.
func (a *Agent) peersStatus() []control.Peer {
	var out []control.Peer
	for _, name := range slices.Sorted(maps.Keys(a.neighbours)) {
		n := a.neighbours[name]
		p := control.Peer{Message: n.message, Heard: n.heard, LostSince: n.lost}
		p.Node = name
		out = append(out, p)
	}
	return out
}
