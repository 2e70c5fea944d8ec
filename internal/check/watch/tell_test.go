package watch

import (
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
)

// TestWhatIsTold: a fall that was seen counts at once, a rise is one sample of many, and a word
// on another check is none.
func TestWhatIsTold(t *testing.T) {
	c := two("a")
	c.Rules.Rise, c.Rules.Fall = 2, 3
	l := New[string]()
	l.Set([]Target[string]{{Key: "x", Checks: []Check[string]{c}, Initial: check.Up}}, 0, time.Time{})
	for i, step := range []struct {
		key, fingerprint string
		letter           byte
		want             check.State
		news             bool
	}{
		{"x", "another", 'd', check.Up, false},
		{"y", "a", 'd', check.Unknown, false},
		{"x", "a", 'd', check.Down, true},
		{"x", "a", 'd', check.Down, false},
		{"x", "a", 'u', check.Down, false},
		{"x", "a", 'u', check.Up, true},
	} {
		if _, ok := l.Tell(step.key, step.fingerprint, sampleOf(step.letter), time.Time{}); ok != step.news || l.Verdict(step.key) != step.want {
			t.Errorf("step %d: %q, news %t; want %q, news %t", i, l.Verdict(step.key), ok, step.want, step.news)
		}
	}
}
