package haproxy

import (
	"testing"

	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
)

// TestOtherReleases asks them what this one is asked.
func TestOtherReleases(t *testing.T) {
	haproxytest.Others(t, map[string]func(*testing.T){
		"HAProxyAcceptsTheGoldens": TestHAProxyAcceptsTheGoldens,
		"HAProxyTakesTheTraps":     TestHAProxyTakesTheTraps,
	})
}
