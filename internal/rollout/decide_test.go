package rollout

import (
	"slices"
	"testing"
)

// node is a report of somebody who waits with the commit "new".
func node(name, state string, priority int) Report {
	r := Report{Node: name, Verified: "old", Stable: true, Phase: Waiting, Candidate: "new"}
	if state != "" {
		r.Instances = []Instance{{Name: "web", State: state, Priority: priority}}
	}
	return r
}

func TestDecide(t *testing.T) {
	ka1, ka2, rs1 := node("ka1", master, 150), node("ka2", backup, 100), node("rs1", "", 0)
	with := func(r Report, f func(*Report)) Report { f(&r); return r }
	done := func(r Report) Report {
		return with(r, func(r *Report) { r.Verified, r.Phase, r.Candidate = "new", Idle, "" })
	}
	claims := func(r Report) Report { return with(r, func(r *Report) { r.Phase = Claiming }) }
	in := func(p Phase) func(Report) Report {
		return func(r Report) Report { return with(r, func(r *Report) { r.Phase = p }) }
	}
	heard := func(rs ...Report) (out []Peer) {
		for _, r := range rs {
			out = append(out, Peer{Report: r, Heard: true, Fresh: true})
		}
		return out
	}
	for _, tt := range []struct {
		name       string
		self       Report
		peers      []Peer
		disruptive bool
		do         Action
		why        string
	}{
		{"servers go first", ka2, heard(ka1, rs1), false, Wait, "waits for rs1, which goes first"},
		{"a server", rs1, heard(ka1, ka2), false, Claim, "asks all others"},
		{"then the backup", ka2, heard(ka1, done(rs1)), false, Claim, "asks all others"},
		{"the master is last", ka1, heard(ka2, done(rs1)), false, Wait, "waits for ka2, which goes first"},
		{"who has not fetched it yet", ka1, heard(with(ka2, func(r *Report) { r.Candidate, r.Phase = "", Idle })), false, Wait, "waits for ka2, which goes first and has not got to new"},
		{"a claim that all know of", claims(ka2), heard(ka1, done(rs1)), true, Go, "it is this node's turn"},
		{"a claim that not all know of", claims(ka2), []Peer{{Report: ka1, Heard: true}}, false, Claim, "asks ka1"},
		{"two claims, the earlier name", claims(node("a", "", 0)), heard(claims(node("b", "", 0))), false, Claim, "asks b"},
		{"two claims, the later name", claims(node("b", backup, 1)), heard(claims(with(node("a", backup, 2), func(*Report) {}))), false, Withdraw, "waits for a, which is about to go"},
		{"a node on its way", ka1, heard(in(Verifying)(ka2)), false, Wait, "waits for ka2, which is verifying new"},
		{"a claim, and a node on its way", claims(ka1), heard(in(Applying)(ka2)), false, Withdraw, "waits for ka2, which is applying new"},
		{"silence", ka1, []Peer{{Report: done(ka2)}}, false, Wait, "waits for ka2, which cannot be reached"},
		{"silence that does not count", ka1, []Peer{{Report: done(ka2), Absent: true}}, true, Claim, "asks all others"},
		{"an unhealthy one", ka1, heard(with(done(ka2), func(r *Report) { r.Stable = false })), false, Wait, "waits for ka2, which is not healthy with new"},
		{"a quarantine", ka1, heard(with(ka2, func(r *Report) { r.Quarantined = []string{"new"} })), false, Never, "ka2 has quarantined it"},
		{"a quarantine of one that is absent", ka1, []Peer{{Report: with(ka2, func(r *Report) { r.Quarantined = []string{"new"} }), Absent: true}}, false, Never, "ka2 has quarantined it"},
		{"a quarantine that a person ignores", ka1, []Peer{{Report: with(ka2, func(r *Report) { r.Quarantined = []string{"new"} }), Absent: true, Ignored: true}}, false, Claim, "asks all others"},
		{"two masters", rs1, heard(ka1, node("ka2", master, 100)), false, Wait, "ka1 and ka2 are all master of web; a rollout waits until one is"},
		{"a master hands over", claims(ka1), heard(done(ka2)), true, Yield, "hands over web to ka2"},
		{"and goes", in(HandingOver)(node("ka1", backup, 150)), heard(done(node("ka2", master, 100))), true, Go, "it is this node's turn"},
		{"nobody to hand over to", ka1, heard(done(node("ka2", fault, 100))), true, Wait, "no other node could be master of web now"},
		{"a change that needs none", ka1, heard(done(node("ka2", fault, 100))), false, Claim, "asks all others"},
		{"a node without any revision", with(ka1, func(r *Report) { r.Verified = "" }), []Peer{{Report: ka2}}, true, Go, "this node has no good revision yet"},
		{"a peer without any revision", ka1, heard(with(ka2, func(r *Report) { r.Verified, r.Phase = "", Applying })), false, Claim, "asks all others"},
		{"a newer revision on the way", in(Verifying)(ka2), heard(ka1), true, Go, "it is this node's turn"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := View{Self: tt.self, Candidate: "new", Disruptive: tt.disruptive, HandOver: true, Concerns: []string{"web"}, Peers: tt.peers}
			if d := Decide(v); d.Do != tt.do || d.Why != tt.why {
				t.Errorf("Decide = %+v, want %s: %s", d, tt.do, tt.why)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	both := func(name, one, two string) Report {
		return Report{Node: name, Instances: []Instance{{"one", one, 100}, {"two", two, 100}}}
	}
	nodes := []Report{
		both("e", master, master), both("d", master, backup), node("c", backup, 150), node("b", backup, 100),
		node("rs2", "", 0), node("rs1", "", 0), node("z", fault, 200),
		{Node: "rs0", Withdraws: true},
	}
	slices.SortFunc(nodes, func(a, b Report) int {
		if before(a, b) {
			return -1
		}
		return 1
	})
	var got []string
	for _, n := range nodes {
		got = append(got, n.Node)
	}
	if want := []string{"z", "rs1", "rs2", "b", "c", "d", "e", "rs0"}; !slices.Equal(got, want) {
		t.Errorf("the order is %q, want %q", got, want)
	}
}
