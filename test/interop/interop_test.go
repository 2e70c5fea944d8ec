// Package interop lets our programs meet those of others.
package interop

import (
	"flag"
	"slices"
	"testing"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// atOnce is how many cases run together: they mostly wait for timers of the protocol.
const atOnce = 20

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "1000"); err != nil { // queue decides
		panic(err)
	}
	vrrpdtest.Main(m)
}

// matches are the ways of speaking that both sides know.
var matches = []match{keepalivedV2, unicastV2, keepalivedV3, unicastV3, keepalivedIPv6, unicastIPv6, frrV2, frrV3, frrIPv6}

// A trial is one thing that runs beside others.
type trial struct {
	name string
	slow bool
	run  func(t testing.TB)
}

// trials are all of them, those that take longest first.
func trials() []trial {
	var all []trial
	add := func(name string, m match, slow bool, run func(t testing.TB)) {
		all = append(all, trial{name + " " + m.String(), slow || m.version == 2, run})
	}
	for _, weLead := range []bool{true, false} {
		for _, m := range matches {
			add(role(weLead), m, false, func(t testing.TB) { duel(t, m, weLead) })
		}
	}
	for _, password := range []string{"", "secret"} {
		m := keepalivedV3
		if password != "" {
			m = keepalivedV2
		}
		add("replace a pair", m, false, func(t testing.TB) {
			replace(t, m, password)
			record(t, m, "yes", replaceStory)
		})
	}
	for _, m := range []match{oursV3, oursUnicastIPv6} {
		add("HMAC rollout", m, false, func(t testing.TB) {
			rollout(t, m)
			record(t, m, "yes", rolloutStory)
		})
	}
	for _, weLead := range []bool{true, false} {
		for _, v := range variants {
			if v.roles != nil && !slices.Contains(v.roles, weLead) {
				continue
			}
			for _, m := range v.meets() {
				add(v.story+" "+role(weLead), m, v.slow, func(t testing.TB) { testVariant(t, v, m, weLead) })
			}
		}
	}
	var slow, fast []trial
	for _, c := range all {
		if c.slow {
			slow = append(slow, c)
		} else {
			fast = append(fast, c)
		}
	}
	return append(slow, fast...)
}

// A queue starts cases in order, some at once; package testing starts them in any order,
// and the longest one last is a minute lost.
type queue struct {
	turns []chan struct{} // closed when it is the case's turn
	slots chan struct{}
}

func (q *queue) run() {
	for _, turn := range q.turns {
		q.slots <- struct{}{}
		close(turn)
	}
}

func TestInterop(t *testing.T) {
	nstest.Need(t, "root", "netns", "nsenter", "ip", "bridge", "keepalived", frrPrograms+"vrrpd", frrPrograms+"zebra")
	t.Run("cases", func(t *testing.T) { // returns when all have ended
		q := &queue{slots: make(chan struct{}, atOnce)}
		for _, c := range trials() {
			t.Run(c.name, func(t *testing.T) {
				turn := make(chan struct{})
				q.turns = append(q.turns, turn)
				t.Parallel()
				<-turn
				defer func() { <-q.slots }()
				fairly(t, c.run)
			})
		}
		go q.run() // ends when every case has had its turn
	})
	compare(t)
}

// role is a column of the matrix.
func role(weLead bool) string {
	if weLead {
		return "master"
	}
	return "backup"
}
