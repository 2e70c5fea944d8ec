package joint_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/joint"
)

// A well answers with how often it was asked, after a while.
type well struct {
	mu    sync.Mutex
	asked int
	takes time.Duration
	err   error
}

func (w *well) ask(ctx context.Context) (int, error) {
	w.mu.Lock()
	w.asked++
	n := w.asked
	w.mu.Unlock()
	select {
	case <-time.After(w.takes):
		return n, w.err
	case <-ctx.Done():
		return n, ctx.Err()
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestWhoComesMeanwhileWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q joint.Question[int]
		q.Fresh = 250 * time.Millisecond
		w := &well{takes: 100 * time.Millisecond}
		var wg sync.WaitGroup
		for n := range 20 {
			wg.Go(func() {
				<-time.After(time.Duration(n) * time.Millisecond)
				if a := q.Ask(within(t, 400*time.Millisecond), time.Time{}, w.ask); a.Value != 1 || a.Err != nil {
					t.Errorf("answer %+v, want the first", a)
				}
			})
		}
		wg.Wait()
		if w.asked != 1 {
			t.Errorf("%d were asked, want 1", w.asked)
		}
	})
}

func TestNobodyGetsAnAnswerTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q joint.Question[int]
		q.Fresh = 250 * time.Millisecond
		w := &well{takes: time.Millisecond}
		first := q.Ask(within(t, time.Second), time.Time{}, w.ask)
		if a := q.Ask(within(t, time.Second), time.Time{}, w.ask); a.Value != 1 {
			t.Errorf("another who asks within the time that it is fresh gets answer %d, want 1", a.Value)
		}
		if a := q.Ask(within(t, time.Second), first.Asked, w.ask); a.Value != 2 {
			t.Errorf("the same who asks again gets answer %d, want 2", a.Value)
		}
		<-time.After(251 * time.Millisecond)
		if a := q.Ask(within(t, time.Second), time.Time{}, w.ask); a.Value != 3 {
			t.Errorf("who asks later gets answer %d, want 3", a.Value)
		}
	})
}

func TestAnErrorIsForThoseWhoWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := joint.Question[int]{Fresh: time.Second}
		w := &well{takes: 10 * time.Millisecond, err: errors.New("no")}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if a := q.Ask(within(t, time.Second), time.Time{}, w.ask); a.Err == nil {
					t.Error("no error")
				}
			})
		}
		wg.Wait()
		if w.asked != 1 {
			t.Errorf("%d were asked, want 1", w.asked)
		}
		w.err = nil
		if a := q.Ask(within(t, time.Second), time.Time{}, w.ask); a.Err != nil || a.Value != 2 {
			t.Errorf("after an error: %+v, want another answer", a)
		}
	})
}

// TestOthersTime: the hasty asks for himself, and so does who has more patience than those who
// ask already, since their silence would say less.
func TestOthersTime(t *testing.T) {
	for _, tt := range []struct {
		name          string
		first, second time.Duration
		want          int
	}{
		{"as much", 400 * time.Millisecond, 400 * time.Millisecond, 1},
		{"a little less", 400 * time.Millisecond, 380 * time.Millisecond, 1},
		{"much less", 400 * time.Millisecond, 100 * time.Millisecond, 2},
		{"much more", 100 * time.Millisecond, 400 * time.Millisecond, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := joint.Question[int]{Fresh: time.Second}
				w := &well{takes: time.Hour}
				var wg sync.WaitGroup
				wg.Go(func() { q.Ask(within(t, tt.first), time.Time{}, w.ask) })
				<-time.After(20 * time.Millisecond)
				begin := time.Now()
				a := q.Ask(within(t, tt.second), time.Time{}, w.ask)
				if !errors.Is(a.Err, context.DeadlineExceeded) || time.Since(begin) > tt.second+tt.second/10 {
					t.Errorf("%v after %v", a.Err, time.Since(begin))
				}
				wg.Wait()
				if w.asked != tt.want {
					t.Errorf("%d were asked, want %d", w.asked, tt.want)
				}
			})
		})
	}
}

// TestWhoAskedLeaves: those who wait get their answer all the same.
func TestWhoAskedLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := joint.Question[int]{Fresh: time.Second}
		w := &well{takes: 100 * time.Millisecond}
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		var wg sync.WaitGroup
		wg.Go(func() { q.Ask(ctx, time.Time{}, w.ask) })
		<-time.After(10 * time.Millisecond)
		cancel()
		if a := q.Ask(within(t, 400*time.Millisecond), time.Time{}, w.ask); a.Err != nil || a.Value != 1 {
			t.Errorf("answer %+v, want the first", a)
		}
		wg.Wait()
	})
}

// TestPanic: those who wait are not left waiting.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := joint.Question[int]{Fresh: time.Second}
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			q.Ask(within(t, time.Second), time.Time{}, func(context.Context) (int, error) {
				<-time.After(100 * time.Millisecond)
				panic("x")
			})
		})
		<-time.After(10 * time.Millisecond)
		if a := q.Ask(within(t, time.Second), time.Time{}, (&well{}).ask); a.Err == nil {
			t.Errorf("answer %+v, want an error", a)
		}
		wg.Wait()
	})
}
