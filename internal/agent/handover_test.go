package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/rollout"
	"github.com/hareconcile/hareconcile/reconcile"
)

// hold notes that vrrpd of a node stays away, or does not any more.
func (m *mesh) hold(node string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held[node] = d
}

func (m *mesh) holds(node string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held[node]
}

// moving is a revision whose plan moves addresses.
func moving(node, commit string) *revision.Revision {
	r := keyed(node, commit, 5)
	r.Cluster.Instances[0].VirtualMAC = true
	return r
}

func (m *mesh) role(node string) string { return m.worlds[node].Report().Instances[0].State }

// TestAMasterHandsOver before it makes a change that moves addresses, stays away while it is
// made and verified, and comes back.
func TestAMasterHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		for node, w := range m.worlds {
			w.origin.push(moving(node, "bbbbbbb"))
		}
		ka1 := m.worlds["ka1"]
		if !until(func() bool { return ka1.Report().Phase == rollout.Verifying }) {
			t.Fatalf("ka1 does not try it: %+v", ka1.Status().Rollout)
		}
		if m.role("ka2") != "MASTER" || m.holds("ka1") != 4*time.Minute {
			t.Errorf("ka2 is %s, ka1 is held for %v, want two healthy_deadlines", m.role("ka2"), m.holds("ka1"))
		}
		if !until(func() bool { return ka1.Report().Phase == rollout.Idle }) {
			t.Fatalf("ka1 does not come to an end: %+v", ka1.Status().Rollout)
		}
		after(time.Second)
		m.at(t, "bbbbbbb")
		if m.role("ka1") != "MASTER" || m.holds("ka1") != 0 || m.most != 1 {
			t.Errorf("ka1 is %s, held for %v, %d at once, want it to be back", m.role("ka1"), m.holds("ka1"), m.most)
		}
	})
}

// TestAMasterStaysAwayWhileItGoesBack: the hold ends with the rollback, not before.
func TestAMasterStaysAwayWhileItGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		for node, w := range m.worlds {
			w.origin.push(moving(node, "bbbbbbb"))
		}
		ka1 := m.worlds["ka1"]
		if !until(func() bool { return ka1.Report().Phase == rollout.Verifying }) {
			t.Fatalf("ka1 does not try it: %+v", ka1.Status().Rollout)
		}
		ka1.verdict("rs1", reconcile.Down)
		ka1.verdict("rs2", reconcile.Down)
		for ka1.Report().Phase == rollout.Verifying {
			if m.holds("ka1") == 0 {
				t.Fatal("it came back while the revision was verified")
			}
			after(time.Second)
		}
		if !until(func() bool { return m.holds("ka1") == 0 }) {
			t.Fatal("it never comes back")
		}
		if s := ka1.Status(); s.Revision.Commit != "aaaaaaa" || len(s.Quarantined) != 1 {
			t.Errorf("ka1 is at %s, with %+v in quarantine", s.Revision.Commit, s.Quarantined)
		}
		for _, name := range []string{"ka2", "rs1"} { // who verified it stays on it, as status says
			if s := m.worlds[name].Status(); s.Revision.Commit != "bbbbbbb" {
				t.Errorf("%s is at %s, want bbbbbbb", name, s.Revision.Commit)
			}
		}
	})
}
