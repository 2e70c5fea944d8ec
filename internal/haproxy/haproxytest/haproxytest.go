// Package haproxytest chooses the release of haproxy that a test runs.
package haproxytest

import (
	"os"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// ReleaseEnv names the variable that has tests run another release than the one that the
// machine has installed: "haproxy3" is the other that nstest knows.
const ReleaseEnv = "HARECONCILE_TEST_HAPROXY"

// releases are the programs that tests of what differs between releases run with: Debian 12
// has 2.6, whose master does not say what became of a reload, and Debian 13 has 3.0.
var releases = []string{"haproxy", "haproxy3"}

// Each runs a test with every release. Its Program is that of the release.
func Each(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	for _, r := range releases {
		t.Run(r, func(t *testing.T) {
			nstest.Need(t, r)
			test(t)
		})
	}
}

// Program returns the path of the haproxy that t runs with.
func Program(t testing.TB) string {
	t.Helper()
	// A test below Each has the release in its name.
	for part := range strings.SplitSeq(t.Name(), "/") {
		for _, r := range releases {
			if part == r {
				return nstest.Program(t, r)
			}
		}
	}
	if r := os.Getenv(ReleaseEnv); r != "" {
		return nstest.Program(t, r)
	}
	return nstest.Program(t, releases[0])
}
