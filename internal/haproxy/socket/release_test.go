package socket_test

import (
	"testing"

	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
)

// TestOtherReleases repeats what haproxy does on its sockets.
func TestOtherReleases(t *testing.T) {
	haproxytest.Others(t, map[string]func(*testing.T){
		"AskAndGive": TestAskAndGive,
		"Silence":    TestSilence,
	})
}
