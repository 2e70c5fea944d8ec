package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/peer"
	"github.com/hareconcile/hareconcile/internal/rollout"
)

// writeCluster writes a row for each node of the cluster, as this one hears of them.
func writeCluster(w io.Writer, s control.Status, now time.Time, _ bool) error {
	var b bytes.Buffer
	if s.Self == nil {
		fmt.Fprintf(&b, "%s hears of no other node: the nodes of the cluster file have no keys (hareconcile node-key), or there is only this one.\n", clean(s.Node))
		_, err := w.Write(b.Bytes())
		return err
	}
	fmt.Fprintf(&b, "Cluster %s, as %s hears of it%s\n\n", clean(s.Cluster), clean(s.Node), clean(rolled(s)))
	t := newTable(&b)
	t.row("NODE", "ROLE", "REVISION", "PHASE", "STATE", "DRIFT", "HEARD", "MESSAGE")
	nodeRow(t, *s.Self, "this node")
	for _, p := range s.Peers {
		heard := "yes"
		if !p.Heard {
			heard = "not since " + age(now, p.LostSince)
		}
		nodeRow(t, p.Message, heard)
	}
	_ = t.Flush() // a buffer takes everything
	_, err := w.Write(b.Bytes())
	return err
}

// rolled says how far the revision is that nodes are about to try.
func rolled(s control.Status) string {
	nodes := []peer.Message{*s.Self}
	for _, p := range s.Peers {
		nodes = append(nodes, p.Message)
	}
	next := s.Self.Candidate
	for _, m := range nodes {
		next = cmp.Or(next, m.Candidate)
	}
	if next == "" {
		return ""
	}
	n := 0
	for _, m := range nodes {
		if m.Verified == next {
			n++
		}
	}
	return fmt.Sprintf("; %.7s is verified on %d of %d nodes", next, n, len(nodes))
}

func nodeRow(t table, m peer.Message, heard string) {
	var roles []string
	for _, i := range m.Instances {
		roles = append(roles, cmp.Or(i.State, "?")+" "+i.Name)
	}
	message := m.Message
	if n := len(m.Quarantined); n > 0 {
		c := m.Quarantined[n-1]
		message = strings.TrimPrefix(fmt.Sprintf("%s; %.7s is quarantined: %s", message, c, m.Reasons[c]), "; ")
	}
	phase := string(m.Phase)
	if m.Phase != rollout.Idle {
		phase = fmt.Sprintf("%s %.7s", strings.ReplaceAll(phase, "_", " "), m.Candidate)
	}
	t.row(m.Node, strings.Join(roles, ", "), fmt.Sprintf("%.7s", m.Verified), phase, m.State, m.Drift, heard, message)
}
