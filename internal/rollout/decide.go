package rollout

import (
	"fmt"
	"slices"
	"strings"
)

// An Action is what a node does next.
type Action string

// The actions.
const (
	Wait     Action = "wait"
	Claim    Action = "claim"    // say so, and ask all peers that are not Fresh
	Withdraw Action = "withdraw" // take the claim back, and wait
	Yield    Action = "yield"    // hand over what it holds, and ask again
	Go       Action = "go"
	Never    Action = "never" // another node has quarantined the revision
)

// A Decision is an Action, the nodes that it waits for, and why.
type Decision struct {
	Do  Action
	For []string
	Why string // a sentence
}

// Decide returns what a node that has a candidate does next.
//
// Two nodes never go at the same time, though what they know of each other is old: each first
// says that it wants to go (Claiming), and only then asks every other. Of two that do so at the
// same time at least one sees the other's claim; the one whose name comes later takes its own back.
func Decide(v View) Decision {
	for _, p := range v.Peers { // also those that are absent: the revision may be what took them away
		if !p.Ignored && slices.Contains(p.Quarantined, v.Candidate) {
			return Decision{Never, []string{p.Node}, fmt.Sprintf("%s has quarantined it", p.Node)}
		}
	}
	if v.Self.Verified == "" {
		return Decision{Do: Go, Why: "this node has no good revision yet"}
	}
	if v.Self.Phase.InFlight() {
		return v.goOn()
	}
	if d, stop := v.blocked(); stop {
		if v.Self.Phase == Claiming {
			d.Do = Withdraw
		}
		return d
	}
	return v.claim()
}

// goOn decides for a node that won its turn already, maybe with an older revision.
func (v View) goOn() Decision {
	holding := v.holding()
	takers, why := v.takers(holding)
	switch {
	case len(holding) == 0, why == "" && len(takers) == 0:
		return Decision{Do: Go, Why: "it is this node's turn"}
	case why != "" && v.Self.Phase == HandingOver:
		return Decision{Do: Withdraw, Why: why}
	case why != "":
		return Decision{Do: Wait, Why: why}
	}
	// Also once more, where it came back.
	return Decision{Yield, takers, fmt.Sprintf("hands over %s to %s", strings.Join(holding, ", "), strings.Join(takers, " or "))}
}

// blocked returns for what the node waits, if it does.
func (v View) blocked() (Decision, bool) {
	wait := func(p Peer, format string, args ...any) (Decision, bool) {
		return Decision{Wait, []string{p.Node}, fmt.Sprintf(format, args...)}, true
	}
	masters := map[string][]string{}
	for _, i := range v.Self.Instances {
		if i.State == master {
			masters[i.Name] = append(masters[i.Name], v.Self.Node)
		}
	}
	for _, p := range v.peers() {
		switch {
		case !p.Heard:
			return wait(p, "waits for %s, which cannot be reached", p.Node)
		case p.Phase.InFlight():
			return wait(p, "waits for %s, which is %s %.7s", p.Node, strings.ReplaceAll(string(p.Phase), "_", " "), p.Candidate)
		case p.Verified == v.Candidate && !p.Stable:
			return wait(p, "waits for %s, which is not healthy with %.7s", p.Node, v.Candidate)
		}
		for _, i := range p.Instances {
			if i.State == master {
				masters[i.Name] = append(masters[i.Name], p.Node)
			}
		}
	}
	for _, name := range sorted(masters) {
		if len(masters[name]) > 1 {
			return Decision{Wait, masters[name], fmt.Sprintf("%s are all master of %s; a rollout waits until one is", strings.Join(masters[name], " and "), name)}, true
		}
	}
	for _, p := range v.peers() {
		if p.Verified == v.Candidate || !before(p.Report, v.Self) {
			continue
		}
		if p.Candidate != v.Candidate {
			return wait(p, "waits for %s, which goes first and has not got to %.7s", p.Node, v.Candidate)
		}
		return wait(p, "waits for %s, which goes first", p.Node)
	}
	if holding := v.holding(); len(holding) > 0 {
		if _, why := v.takers(holding); why != "" {
			return Decision{Do: Wait, Why: why}, true
		}
	}
	return Decision{}, false
}

// takers returns who could be master of what this node holds, or why nobody could. Where it is
// the only one that counts, there is nobody to wait for.
func (v View) takers(holding []string) (names []string, why string) {
	for _, name := range holding {
		able, others := false, false
		for _, p := range v.peers() {
			switch p.state(name) {
			case backup, master:
				able = able || p.Heard
				others = true
				names = append(names, p.Node)
			case "":
			default:
				others = true
			}
		}
		if others && !able {
			return nil, fmt.Sprintf("no other node could be master of %s now", name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), ""
}

// claim decides for the node that comes next.
func (v View) claim() Decision {
	if v.Self.Phase != Claiming {
		for _, p := range v.peers() {
			if p.Phase == Claiming {
				return Decision{Wait, []string{p.Node}, fmt.Sprintf("waits for %s, which is about to go", p.Node)}
			}
		}
		return Decision{Do: Claim, Why: "asks all others"}
	}
	var ask []string
	for _, p := range v.peers() {
		switch {
		case p.Phase == Claiming && p.Node < v.Self.Node:
			return Decision{Withdraw, []string{p.Node}, fmt.Sprintf("waits for %s, which is about to go", p.Node)}
		case p.Phase == Claiming, !p.Fresh:
			ask = append(ask, p.Node)
		}
	}
	switch holding := v.holding(); {
	case len(ask) > 0:
		return Decision{Claim, ask, "asks " + strings.Join(ask, ", ")}
	case len(holding) > 0:
		return v.goOn()
	}
	return Decision{Do: Go, Why: "it is this node's turn"}
}

func sorted(m map[string][]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
