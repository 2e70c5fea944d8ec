package rollout

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// A visit is a state that was reached, and from where.
type visit struct {
	from int
	what string
}

// search visits every state that can be reached, and returns how many there are and how many
// steps lead between them.
func (m *model) search() (states, transitions int, err error) {
	index := map[state]int{}
	var all []state
	var how []visit
	var back [][]int32 // by state: from where a step of the protocol leads there
	reach := func(s state, v visit) int {
		k, ok := index[s]
		if !ok {
			k = len(all)
			index[s] = k
			all, how, back = append(all, s), append(how, v), append(back, nil)
		}
		return k
	}
	trace := func(k int) string {
		var lines []string
		for ; k > 0; k = how[k].from {
			lines = append([]string{how[k].what}, lines...)
		}
		return strings.Join(lines, "\n")
	}
	reach(m.first(), visit{})
	for k := 0; k < len(all); k++ {
		steps, err := m.steps(&all[k])
		if err != nil {
			return len(all), transitions, fmt.Errorf("%w, after\n%s", err, trace(k))
		}
		for _, st := range steps {
			to := reach(st.next, visit{k, st.what})
			transitions++
			if !st.fault {
				back[to] = append(back[to], int32(k))
			}
		}
	}
	ends := make([]bool, len(all))
	var queue []int
	for k := range all {
		if m.over(&all[k]) {
			ends[k] = true
			queue = append(queue, k)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, k := range back[queue[0]] {
			if !ends[k] {
				ends[k] = true
				queue = append(queue, int(k))
			}
		}
	}
	for k := range all {
		if !ends[k] && m.whole(&all[k]) {
			return len(all), transitions, fmt.Errorf("nothing more can happen that ends the rollout, after\n%s\n%+v", trace(k), all[k].n)
		}
	}
	return len(all), transitions, nil
}

func pair() []bool { return []bool{true, true} }

// models are the clusters of which all states are searched.
func models() map[string]*model {
	more := nstest.Trials(0, 1)
	out := map[string]*model{
		"a pair":                             {nodes: 2, member: pair(), faults: 2 + more},
		"a pair, disruptive":                 {nodes: 2, member: pair(), faults: 2 + more, disruptive: true},
		"a pair, absent nodes are passed by": {nodes: 2, member: pair(), faults: 2 + more, disruptive: true, skip: true},
		"a pair, two pushes":                 {nodes: 2, member: pair(), faults: 2 + more, disruptive: true, second: true},
		"a pair that is new":                 {nodes: 2, member: pair(), faults: 1 + more, fresh: true},
		"a pair and a server":                {nodes: 3, member: []bool{true, true, false}, faults: more, disruptive: true},
		"three routers":                      {nodes: 3, member: []bool{true, true, true}, faults: more, disruptive: true},
	}
	if more > 0 {
		out["a pair and two servers"] = &model{nodes: 4, member: []bool{true, true, false, false}}
	}
	return out
}

func TestModel(t *testing.T) {
	for what, m := range models() {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m.decide = Decide
			states, transitions, err := m.search()
			t.Logf("%d states, %d transitions", states, transitions)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// mistakes are ways to decide wrongly, each of which the search has to find out.
var mistakes = map[string]func(View) Decision{
	"old answers count as fresh": func(v View) Decision {
		return Decide(changed(v, func(p *Peer) { p.Fresh = true }))
	},
	"claims of others do not count": func(v View) Decision {
		return Decide(changed(v, func(p *Peer) {
			if p.Phase == Claiming {
				p.Phase = Waiting
			}
		}))
	},
	"nodes on their way do not count": func(v View) Decision {
		return Decide(changed(v, func(p *Peer) {
			if p.Phase.InFlight() {
				p.Phase = Idle
			}
		}))
	},
	"silence is consent": func(v View) Decision {
		return Decide(changed(v, func(p *Peer) { p.Heard, p.Fresh = true, true }))
	},
	"quarantines do not count": func(v View) Decision {
		return Decide(changed(v, func(p *Peer) { p.Quarantined = nil }))
	},
	"quarantines of the absent do not count": func(v View) Decision {
		return Decide(changed(v, func(p *Peer) { p.Ignored = p.Absent }))
	},
	"masters keep what they hold": func(v View) Decision {
		v.HandOver = false
		return Decide(v)
	},
	"nobody claims": func(v View) Decision {
		d := Decide(v)
		if d.Do == Claim {
			d.Do = Wait
		}
		return d
	},
	"whoever is asked withdraws": func(v View) Decision {
		d := Decide(v)
		if v.Self.Phase == Claiming && d.Do != Withdraw {
			d.Do = Withdraw
		}
		return d
	},
}

func changed(v View, f func(*Peer)) View {
	peers := append([]Peer{}, v.Peers...)
	for k := range peers {
		f(&peers[k])
	}
	v.Peers = peers
	return v
}

func TestModelFindsMistakes(t *testing.T) {
	for what, decide := range mistakes {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var found error
			for _, m := range []*model{
				{nodes: 2, member: pair(), faults: 1, disruptive: true, decide: decide},
				{nodes: 2, member: pair(), faults: 2, decide: decide},
				{nodes: 2, member: pair(), faults: 1, skip: true, decide: decide},
			} {
				if _, _, err := m.search(); err != nil {
					found = err
					break
				}
			}
			if found == nil {
				t.Error("the search finds nothing wrong")
			}
		})
	}
}
