package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/peer"
	"github.com/hareconcile/hareconcile/internal/rollout"
)

// TestStatusOfTheCluster: one row for each node, and nothing in it steers a terminal.
func TestStatusOfTheCluster(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	web := func(state string) []rollout.Instance { return []rollout.Instance{{Name: "web", State: state}} }
	self := peer.Message{State: "converged", Message: "waits for ka2, which goes first", Report: rollout.Report{
		Node: "ka1", Verified: "aaaaaaaaaa", Candidate: "bbbbbbbbbb", Phase: rollout.Waiting, Instances: web("MASTER"),
	}}
	s := control.Status{Node: "ka1", Cluster: "edge", Self: &self, Peers: []control.Peer{
		{Heard: true, Message: peer.Message{State: "converged", Drift: 2, Report: rollout.Report{
			Node: "ka2", Verified: "aaaaaaaaaa", Candidate: "bbbbbbbbbb", Phase: rollout.HandingOver, Instances: web("BACKUP"),
		}}},
		{LostSince: now.Add(-time.Minute), Message: peer.Message{
			State: "converged", Reasons: map[string]string{"cccccccccc": "no \x1b[2Jquorum"},
			Report: rollout.Report{Node: "rs1", Verified: "bbbbbbbbbb", Quarantined: []string{"cccccccccc"}},
		}},
	}}
	var b bytes.Buffer
	if err := writeCluster(&b, s, now, false); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"Cluster edge, as ka1 hears of it; bbbbbbb is verified on 1 of 3 nodes",
		"",
		"NODE ROLE REVISION PHASE STATE DRIFT HEARD MESSAGE",
		"ka1 MASTER web aaaaaaa waiting bbbbbbb converged 0 this node waits for ka2, which goes first",
		"ka2 BACKUP web aaaaaaa handing over bbbbbbb converged 2 yes -",
		"rs1 - bbbbbbb - converged 0 not since 1m0s ago ccccccc is quarantined: no \uFFFD[2Jquorum",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("status -cluster (-want +got):\n%s", d)
	}
}
