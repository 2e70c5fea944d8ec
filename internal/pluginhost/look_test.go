package pluginhost

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/rota"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// TestWhatIsNotAnsweredWithOthersIsAskedAlone: a plugin that breaks off, says too much and
// speaks of what nobody asked for costs no tracker its answer.
func TestWhatIsNotAnsweredWithOthersIsAskedAlone(t *testing.T) {
	b := newBench(t, quiet)
	var ts []spec.Tracker
	for _, name := range []string{"a", "b", "c"} {
		a := b.track(name, "half")
		a.Interval = time.Hour // only this test asks
		ts = append(ts, a)
	}
	b.Set(ts)
	until(t, "all were asked alone, and are configured", func() bool {
		return !slices.ContainsFunc(ts, func(a spec.Tracker) bool {
			_, said := b.check(t.Context(), a)
			return said != "alone"
		})
	})
	got := make([]string, len(ts))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	b.look(ctx, ts, func(as []rota.Answer) {
		for _, a := range as {
			if got[a.Place] != "" || a.State != check.Up {
				t.Errorf("tracker %d is %v %q after %q, want up, once", a.Place, a.State, a.Message, got[a.Place])
			}
			got[a.Place] = a.Message
		}
	})
	if want := []string{"with others", "alone", "alone"}; !slices.Equal(got, want) {
		t.Errorf("answers %q, want %q", got, want)
	}
}
