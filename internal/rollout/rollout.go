// Package rollout says whose turn it is to try a revision: a pure function of what the nodes
// of a cluster report. No lock is held anywhere. That a node has verified a revision is known
// only after it succeeded, so a failure stops all that come later by itself.
package rollout

import "slices"

// A Phase is where a node is with a revision.
type Phase string

// The phases.
const (
	Idle        Phase = ""             // it has nothing new
	Waiting     Phase = "waiting"      // it has a revision that passed every judgement
	Claiming    Phase = "claiming"     // it says that it wants to go, and asks all others anew
	HandingOver Phase = "handing_over" // it goes, once another node is master
	Applying    Phase = "applying"
	Verifying   Phase = "verifying"
	Reverting   Phase = "reverting" // it failed
)

// InFlight reports whether a node that is there may be no good.
func (p Phase) InFlight() bool {
	return p == HandingOver || p == Applying || p == Verifying || p == Reverting
}

// The VRRP states that count here.
const (
	master = "MASTER"
	backup = "BACKUP"
	fault  = "FAULT"
)

// An Instance is a virtual router in which a node takes part.
type Instance struct {
	Name     string `json:"name"`
	State    string `json:"state"` // MASTER, BACKUP, FAULT, INIT, or "" where it is not known
	Priority int    `json:"priority"`
}

// A Report is what a node says of itself.
type Report struct {
	Node string `json:"node"`
	// Verified is the last good commit; empty before the first.
	Verified string `json:"verified,omitempty"`
	// Stable says that all is well with it now.
	Stable bool  `json:"stable"`
	Phase  Phase `json:"phase,omitempty"`
	// Candidate is the commit that it waits with, or tries.
	Candidate   string   `json:"candidate,omitempty"`
	Quarantined []string `json:"quarantined,omitempty"`
	// Withdraws says that the candidate takes from this node what others send clients to, such
	// as a real server's address: it goes when they do so no more.
	Withdraws bool       `json:"withdraws,omitempty"`
	Instances []Instance `json:"instances,omitempty"`
}

// state returns the node's state in an instance; "" if it takes no part.
func (r Report) state(instance string) string {
	for _, i := range r.Instances {
		if i.Name == instance {
			return i.State
		}
	}
	return ""
}

// held counts the instances of which the node is master; sick says that it is in FAULT in one.
func (r Report) held() (n int, sick bool) {
	for _, i := range r.Instances {
		if i.State == master {
			n++
		}
		sick = sick || i.State == fault
	}
	return n, sick
}

// A Peer is another node of the cluster.
type Peer struct {
	Report // as it was last heard
	// Heard says that it answers.
	Heard bool
	// Fresh says that it was asked, and answered, after this node's claim was there to be read.
	Fresh bool
	// Absent says that it does not count: nobody heard it for long, and the cluster's rollout
	// says that this is good enough, or a person did.
	Absent bool
	// Ignored says that a person said so; only then what it has in quarantine does not count either.
	Ignored bool
}

// A View is what a node knows when it decides.
type View struct {
	Self Report
	// Candidate is the commit that Self has ready.
	Candidate string
	// Disruptive says that the change moves addresses or resets connections, so that a master
	// has to hand over what it holds of Concerns, if the rollout wants that.
	Disruptive bool
	HandOver   bool
	Concerns   []string // names of instances
	Peers      []Peer   // every other node
}

// peers returns those that count: a node without any verified revision serves nobody yet.
func (v View) peers() []Peer {
	return slices.DeleteFunc(slices.Clone(v.Peers), func(p Peer) bool { return p.Absent || p.Heard && p.Verified == "" })
}

// holding returns the instances that Self has to hand over before a change.
func (v View) holding() []string {
	if !v.Disruptive || !v.HandOver {
		return nil
	}
	var out []string
	for _, name := range v.Concerns {
		if v.Self.state(name) == master {
			out = append(out, name)
		}
	}
	return out
}

// before reports whether a goes before b: nodes in FAULT, then those in no instance, then by how
// many instances they hold, how high their priority is, and their names. What others rely on
// is there before they do, and goes after them: those in no instance that lose something are last.
func before(a, b Report) bool {
	ka, kb := rank(a), rank(b)
	for i := range ka {
		if ka[i] != kb[i] {
			return ka[i] < kb[i]
		}
	}
	return a.Node < b.Node
}

func rank(r Report) [3]int {
	n, sick := r.held()
	switch {
	case sick && n == 0:
		return [3]int{0, 0, 0}
	case len(r.Instances) == 0 && r.Withdraws:
		return [3]int{3, 0, 0}
	case len(r.Instances) == 0:
		return [3]int{1, 0, 0}
	}
	top := 0
	for _, i := range r.Instances {
		top = max(top, i.Priority)
	}
	return [3]int{2, n, top}
}
