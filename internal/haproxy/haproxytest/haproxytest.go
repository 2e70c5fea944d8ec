// Package haproxytest chooses the release of haproxy that a test runs.
package haproxytest

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// ReleaseEnv names the variable that has tests run another release than the one that the
// machine has installed: "haproxy3" is the other that nstest knows.
const ReleaseEnv = "HARECONCILE_TEST_HAPROXY"

// installed is what the machine has, and others what tests run with besides: Debian 12 has 2.6,
// whose master does not say what became of a reload, and Debian 13 has 3.0.
const installed = "haproxy"

var others = []string{"haproxy3"}

// Others runs tests of what differs between releases once more, with each release that is not
// the installed one. Their Program is that of the release.
func Others(t *testing.T, tests map[string]func(*testing.T)) {
	t.Helper()
	for _, r := range others {
		t.Run(r, func(t *testing.T) {
			nstest.Need(t, r)
			for _, name := range slices.Sorted(maps.Keys(tests)) {
				t.Run(name, tests[name])
			}
		})
	}
}

// Program returns the path of the haproxy that t runs with.
func Program(t testing.TB) string {
	t.Helper()
	// A test that Others runs has the release in its name.
	for part := range strings.SplitSeq(t.Name(), "/") {
		if slices.Contains(others, part) {
			return nstest.Program(t, part)
		}
	}
	return nstest.Program(t, cmp.Or(os.Getenv(ReleaseEnv), installed))
}
