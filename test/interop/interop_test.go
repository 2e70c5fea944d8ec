// Package interop lets our programs meet those of others.
package interop

import (
	"cmp"
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// atOnce is how many cases run together: they mostly wait for timers of the protocol.
const atOnce = "20"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	vrrpdtest.Main(m)
}

// matches are the ways of speaking that both sides know.
var matches = []match{keepalivedV2, unicastV2, keepalivedV3, unicastV3, keepalivedIPv6, unicastIPv6, frrV2, frrV3, frrIPv6}

// A trial is one thing that runs beside others.
type trial struct {
	name  string
	match match
	run   func(t *testing.T)
}

// trials are all of them, those that take longest first.
func trials() []trial {
	var all []trial
	add := func(name string, m match, run func(t *testing.T)) {
		all = append(all, trial{strings.TrimSpace(name + " " + m.String()), m, run})
	}
	for _, weLead := range []bool{true, false} {
		for _, m := range matches {
			add(role(weLead), m, func(t *testing.T) { duel(t, m, weLead) })
		}
	}
	for _, password := range []string{"", "secret"} {
		m := keepalivedV3
		if password != "" {
			m = keepalivedV2
		}
		add("replace a pair", m, func(t *testing.T) {
			replace(t, m, password)
			record(t, m, "yes", replaceStory)
		})
	}
	for _, m := range []match{oursV3, oursUnicastIPv6} {
		add("HMAC rollout", m, func(t *testing.T) {
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
				add(v.story+" "+role(weLead), m, func(t *testing.T) { testVariant(t, v, m, weLead) })
			}
		}
	}
	slices.SortStableFunc(all, func(a, b trial) int { return cmp.Compare(a.match.version, b.match.version) })
	return all
}

func TestInterop(t *testing.T) {
	t.Run("cases", func(t *testing.T) { // returns when all have ended
		for _, c := range trials() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t)
			})
		}
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
