package sdk

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestAllAreCheckedAtOnce: who is quick is told at once and together, who sticks at 90 % of
// the time, and who stuck before costs nobody else's time.
func TestAllAreCheckedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []*instance
		for _, do := range []string{"up", "hang", "down", "obey", "panic", "up"} {
			all = append(all, &instance{i: script(do)})
		}
		all[5].busy.Store(true)
		type said struct {
			after time.Duration
			n     int
		}
		var got []said
		codes := map[int]string{}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		checkAll(ctx, all, 3*time.Millisecond, func(ready []answer) {
			got = append(got, said{time.Since(began), len(ready)})
			for _, a := range ready {
				if _, twice := codes[a.place]; twice {
					t.Errorf("instance %d has two answers", a.place)
				}
				codes[a.place] = string(a.result.Status) + " " + a.result.Code
			}
		})
		want := []said{{3 * time.Millisecond, 4}, {8*time.Second + 3*time.Millisecond, 1}, {9 * time.Second, 1}}
		if len(got) != len(want) {
			t.Fatalf("answers came %v, want %v", got, want)
		}
		for k := range want {
			if got[k] != want[k] {
				t.Errorf("answers came %v, want %v", got, want)
			}
		}
		for place, want := range []string{"pass ", "unknown " + CodeDeadline, "fail ", "fail ", "unknown " + CodeError, "unknown " + CodeBusy} {
			if codes[place] != want {
				t.Errorf("instance %d is %q, want %q", place, codes[place], want)
			}
		}
		<-time.After(time.Hour) // the stuck check ends
	})
}
