package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/peer"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/rollout"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A mesh is a cluster of agents that hear each other, as internal/peer has them do.
type mesh struct {
	mu     sync.Mutex
	worlds map[string]*world
	cut    map[string]bool          // nodes that nobody hears
	flying map[string]bool          // nodes that are between applying and verified, as they said last
	most   int                      // of them at the same time
	order  []string                 // nodes in the order in which they began
	held   map[string]time.Duration // nodes that handed over, and for how long they stay away
}

// A link is one agent's view of the mesh.
type link struct {
	m    *mesh
	node string
	in   bool // it has members
}

func (l *link) Set(ms []peer.Member) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.in = len(ms) > 0
}

// Changed tells all others, in their own time, as a network does.
func (l *link) Changed() {
	message := l.m.worlds[l.node].Report()
	l.m.note(message)
	for name, w := range l.m.worlds {
		if name == l.node {
			continue
		}
		go func() {
			if l.m.deaf(l.node, name) {
				w.PeerHeard(l.node, nil, errors.New("cut"))
				return
			}
			w.PeerHeard(l.node, &message, nil)
		}()
	}
}

func (l *link) Ask(context.Context) map[string]peer.Message {
	out := map[string]peer.Message{}
	for name, w := range l.m.worlds {
		if name != l.node && !l.m.deaf(l.node, name) && w.Report().Node != "" {
			out[name] = w.Report()
		}
	}
	return out
}

func (m *mesh) deaf(a, b string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cut[a] || m.cut[b]
}

// note counts the nodes that are on their way.
func (m *mesh) note(msg peer.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if msg.Phase.InFlight() && !m.flying[msg.Node] {
		m.order = append(m.order, msg.Node)
	}
	if delete(m.flying, msg.Node); msg.Phase.InFlight() {
		m.flying[msg.Node] = true
	}
	m.most = max(m.most, len(m.flying))
}

// sever cuts a node off, or lets it be heard again.
func (m *mesh) sever(node string, cut bool) {
	m.mu.Lock()
	m.cut[node] = cut
	m.mu.Unlock()
	for name, w := range m.worlds {
		for other, o := range m.worlds {
			if name == other || name != node && other != node {
				continue
			}
			if message := o.Report(); cut {
				w.PeerHeard(other, nil, errors.New("cut"))
			} else {
				w.PeerHeard(other, &message, nil)
			}
		}
	}
}

// keyed is the reference cluster with keys, for one node, with a rollout that takes its time.
func keyed(node, commit string, weight int) *revision.Revision {
	r := slowly(commit, weight)
	r.Cluster.Node = node
	r.Cluster.Rollout.ProgressDeadline = time.Hour
	r.Cluster.Nodes = append(r.Cluster.Nodes, spec.Node{Name: "rs1", Address: r.Cluster.Pools[0].Servers[0].Address})
	for k := range r.Cluster.Nodes {
		r.Cluster.Nodes[k].Key = "ed25519:" + r.Cluster.Nodes[k].Name
	}
	return r
}

// newMesh starts ka1, which is master, ka2 and rs1, all at revision aaaaaaa.
func newMesh(t *testing.T) *mesh {
	t.Helper()
	m := &mesh{worlds: map[string]*world{}, cut: map[string]bool{}, flying: map[string]bool{}, held: map[string]time.Duration{}}
	for _, node := range []string{"ka1", "ka2", "rs1"} {
		w := newWorld(t)
		c := w.config()
		c.Node, c.Peers = node, &link{m: m, node: node}
		c.Resign = func(_ context.Context, ids []string, hold time.Duration) error {
			m.hold(node, hold)
			m.master("ka2")
			return nil
		}
		c.Release = func(context.Context, []string) error { m.hold(node, 0); m.master("ka1"); return nil }
		w.Agent = New(c)
		m.worlds[node] = w
	}
	m.push("aaaaaaa", 2)
	for _, name := range slices.Sorted(maps.Keys(m.worlds)) {
		t.Cleanup(m.worlds[name].start(t))
	}
	synctest.Wait()
	m.master("ka1")
	for _, w := range m.worlds {
		w.verdict("rs1", reconcile.Up)
		w.verdict("rs2", reconcile.Up)
	}
	after(20 * time.Second)
	m.at(t, "aaaaaaa")
	m.mu.Lock()
	m.order, m.most = nil, 0 // nodes without any revision wait for nobody
	m.mu.Unlock()
	return m
}

// master makes one of the directors master, and the other backup.
func (m *mesh) master(node string) {
	for _, name := range []string{"ka1", "ka2"} {
		state, held := "BACKUP", []string(nil)
		if name == node {
			state, held = "MASTER", []string{"172.25.254.100/24"}
		}
		m.worlds[name].VRRPStatus(&channel.Status{Instances: []channel.InstanceStatus{{Name: "eth0/100/ipv4", State: state, Held: held}}}, nil)
	}
}

func (m *mesh) push(commit string, weight int) {
	for node, w := range m.worlds {
		w.origin.push(keyed(node, commit, weight))
	}
}

// at checks which revision is in force on nodes; on all if none is named.
func (m *mesh) at(t *testing.T, want string, nodes ...string) {
	t.Helper()
	if len(nodes) == 0 {
		nodes = slices.Sorted(maps.Keys(m.worlds))
	}
	for _, name := range nodes {
		if s := m.worlds[name].Status(); s.Revision.Commit != want {
			t.Errorf("%s is at %q, want %s; rollout %+v, message %q", name, s.Revision.Commit, want, s.Rollout, s.Message)
		}
	}
}

func (m *mesh) began() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.order)
}

func TestAPushGoesFromNodeToNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		m.push("bbbbbbb", 5)
		after(15 * time.Second)
		if s := m.worlds["ka1"].Status(); s.Rollout == nil || s.Rollout.Stage != control.Waiting || !strings.Contains(s.Rollout.Reason, "waits for rs1") {
			t.Errorf("ka1's rollout = %+v, want it to wait for rs1", s.Rollout)
		}
		after(2 * time.Minute)
		m.at(t, "bbbbbbb")
		if got := m.began(); !slices.Equal(got, []string{"rs1", "ka2", "ka1"}) || m.most != 1 {
			t.Errorf("the order is %q, at most %d at once, want servers, then the backup, then the master", got, m.most)
		}
	})
}

// TestABadPushNeverReachesTheMaster: it is undone where it was tried first, and quarantined everywhere.
func TestABadPushNeverReachesTheMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		m.push("bbbbbbb", 5)
		for i := 0; i < 600 && !slices.Contains(m.began(), "ka2"); i++ {
			after(time.Second)
		}
		m.worlds["ka2"].verdict("rs1", reconcile.Down)
		m.worlds["ka2"].verdict("rs2", reconcile.Down)
		after(10 * time.Minute)
		if got := m.began(); slices.Contains(got, "ka1") || m.most != 1 {
			t.Errorf("tried on %q, at most %d at once, want the master untouched", got, m.most)
		}
		for _, name := range []string{"ka1", "ka2"} {
			s := m.worlds[name].Status()
			if s.Revision.Commit != "aaaaaaa" || len(s.Quarantined) != 1 || s.Refused == nil || s.Refused.Stage != "quarantine" {
				t.Errorf("%s is at %s with %+v in quarantine, refused %+v", name, s.Revision.Commit, s.Quarantined, s.Refused)
			}
		}
		if q := m.worlds["ka1"].Status().Quarantined; !strings.Contains(q[0].Reason, "ka2 has quarantined it: not verified within 2m0s: virtual_server.http has no quorum") {
			t.Errorf("ka1's reason is %q", q[0].Reason)
		}
		m.worlds["ka2"].verdict("rs1", reconcile.Up)
		m.push("ccccccc", 7)
		after(5 * time.Minute)
		m.at(t, "ccccccc")
	})
}

// TestSilenceBlocks until the node is heard again, or a person says otherwise.
func TestSilenceBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		m.sever("rs1", true)
		m.push("bbbbbbb", 5)
		after(10 * time.Minute)
		m.at(t, "aaaaaaa")
		if s := m.worlds["ka2"].Status(); s.Rollout == nil || s.Rollout.Reason != "waits for rs1, which cannot be reached" {
			t.Errorf("ka2's rollout = %+v", s.Rollout)
		}
		if _, err := m.worlds["ka2"].Order(t.Context(), control.Order{Ignore: "rs1", By: "uid 0"}); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if s := m.worlds["ka2"].Status(); s.Revision.Commit != "bbbbbbb" {
			t.Errorf("ka2 is at %s, want bbbbbbb", s.Revision.Commit)
		}
		m.sever("rs1", false)
		after(5 * time.Minute)
		m.at(t, "bbbbbbb")
		if m.most != 1 {
			t.Errorf("%d at once", m.most)
		}
	})
}

// until lets time pass until ok, for ten minutes at most.
func until(ok func() bool) bool {
	for range 600 {
		if ok() {
			return true
		}
		after(time.Second)
	}
	return ok()
}

// TestTwoMastersAreNotHealthy: a revision that makes a second one is undone.
func TestTwoMastersAreNotHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		m.push("bbbbbbb", 5)
		ka2 := m.worlds["ka2"]
		if !until(func() bool { return ka2.Report().Phase == rollout.Verifying }) {
			t.Fatalf("ka2 does not try it: %+v", ka2.Status().Rollout)
		}
		both := func(state string, held ...string) {
			ka2.VRRPStatus(&channel.Status{Instances: []channel.InstanceStatus{{Name: "eth0/100/ipv4", State: state, Held: held}}}, nil)
		}
		both("MASTER", "172.25.254.100/24")
		if !until(func() bool { return len(ka2.Status().Quarantined) == 1 }) {
			t.Fatalf("ka2 does not undo it: %+v", ka2.Status().Rollout)
		}
		if why := ka2.Status().Quarantined[0].Reason; !strings.Contains(why, "has the masters ka1 and ka2") {
			t.Errorf("the reason is %q", why)
		}
		both("BACKUP")
		after(5 * time.Minute)
		m.at(t, "aaaaaaa", "ka1", "ka2")
	})
}

// TestSilenceIsSkipped where the cluster file says so, after its progress_deadline.
func TestSilenceIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		skip := func(commit string) {
			for node, w := range m.worlds {
				r := keyed(node, commit, 5)
				r.Cluster.Rollout.SkipUnreachable, r.Cluster.Rollout.ProgressDeadline = true, 10*time.Minute
				w.origin.push(r)
			}
		}
		skip("bbbbbbb")
		after(5 * time.Minute)
		m.at(t, "bbbbbbb")
		m.sever("rs1", true)
		skip("ccccccc")
		after(9 * time.Minute)
		m.at(t, "bbbbbbb", "ka1", "ka2")
		after(6 * time.Minute)
		m.at(t, "ccccccc", "ka1", "ka2")
	})
}

// TestABetterPushReplacesOneThatWaits and one that is being verified.
func TestABetterPushReplacesOneThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		m.push("bbbbbbb", 5)
		if !until(func() bool { return m.worlds["rs1"].Report().Phase == rollout.Verifying }) {
			t.Fatal("rs1 does not try it")
		}
		m.push("ccccccc", 7)
		after(5 * time.Minute)
		m.at(t, "ccccccc")
		if m.most != 1 {
			t.Errorf("%d at once", m.most)
		}
		h, err := m.worlds["ka1"].History(t.Context())
		if err != nil || slices.ContainsFunc(h.Records, func(r journal.Record) bool { return r.Commit == "bbbbbbb" && r.Outcome == journal.Verified }) {
			t.Errorf("ka1's history is %+v, %v", h, err)
		}
	})
}
