package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// slowly is the reference cluster with a rollout that takes its time.
func slowly(commit string, weight int) *revision.Revision {
	r := lab(commit, weight)
	r.Cluster.Rollout = spec.Rollout{MinHealthyTime: 30 * time.Second, HealthyDeadline: 2 * time.Minute}
	return r
}

// outcomes returns the history, a word a line.
func (w *world) outcomes() []string {
	var out []string
	for _, r := range w.journal.Load().History {
		out = append(out, strings.TrimSpace(string(r.Outcome)+" "+r.Commit))
	}
	return out
}

// prior returns the commit of the good revision before the last.
func prior(w *world) string { _, prior := w.shelf.kept(); return prior }

// push pushes a revision and waits for the next look at the source.
func (w *world) push(r *revision.Revision) {
	w.origin.push(r)
	after(10 * time.Second)
}

func TestARevisionIsGoodOnceItWasHealthyForLongEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.push(slowly("bbbbbbb", 5))
		if got := w.weight(); got != 5 {
			t.Fatalf("weight after the push = %d, want 5", got)
		}
		s := w.Status()
		if s.Rollout == nil || s.Rollout.Stage != control.Verifying || s.Rollout.Prior != "aaaaaaa" || w.shelf.commit() != "aaaaaaa" {
			t.Fatalf("rollout = %+v with %s good, want bbbbbbb to be verified", s.Rollout, w.shelf.commit())
		}
		if a := w.journal.Load().Attempt; a == nil || a.Revision != "bbbbbbb" || a.Prior != "aaaaaaa" || a.BootID != "boot" {
			t.Errorf("the journal has %+v", a)
		}
		after(30 * time.Second)
		if s := w.Status(); s.Rollout != nil || w.shelf.commit() != "bbbbbbb" || prior(w) != "aaaaaaa" {
			t.Errorf("rollout = %+v with %s good after 30 s of health, want it to be over", s.Rollout, w.shelf.commit())
		}
		st := w.journal.Load()
		if st.Attempt != nil || !slices.Equal(w.outcomes(), []string{"verified aaaaaaa", "verified bbbbbbb"}) {
			t.Errorf("the journal has %+v and the history %q", st.Attempt, w.outcomes())
		}
	})
}

// TestABadRevisionIsUndone: its servers answer nobody. A break in the health counts anew.
func TestABadRevisionIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.push(slowly("bbbbbbb", 5))
		after(5 * time.Second)
		w.verdict("rs1", reconcile.Down)
		w.verdict("rs2", reconcile.Down)
		after(20 * time.Second)
		if s := w.Status(); s.Rollout == nil || !s.Rollout.HealthySince.IsZero() || !strings.Contains(s.Rollout.Reason, "virtual_server.http has no quorum: rs1 is down (test), rs2 is down (test)") {
			t.Fatalf("rollout = %+v, want to hear of the quorum", s.Rollout)
		}
		after(2 * time.Minute)
		s := w.Status()
		if s.Revision.Commit != "aaaaaaa" || s.Rollout != nil || len(s.Quarantined) != 1 || s.Quarantined[0].Commit != "bbbbbbb" {
			t.Fatalf("at %s with %+v and %+v in quarantine, want aaaaaaa", s.Revision.Commit, s.Rollout, s.Quarantined)
		}
		w.verdict("rs1", reconcile.Up)
		after(time.Second)
		if got := w.weight(); got != 2 {
			t.Errorf("weight after going back = %d, want 2", got)
		}
		after(20 * time.Second)
		if s := w.Status(); s.Refused == nil || s.Refused.Stage != "quarantine" || !strings.Contains(s.Refused.Reason, "hareconcile retry bbbbbbb") {
			t.Errorf("refused = %+v, want the quarantine", s.Refused)
		}
		after(10 * time.Minute)
		if s := w.Status(); s.Revision.Commit != "aaaaaaa" || w.shelf.commit() != "aaaaaaa" {
			t.Errorf("ten minutes later at %s, want no second try", s.Revision.Commit)
		}
		if want := []string{"verified aaaaaaa", "rolled back bbbbbbb"}; !slices.Equal(w.outcomes(), want) {
			t.Errorf("the history is %q, want %q", w.outcomes(), want)
		}
		w.push(slowly("ccccccc", 7))
		after(time.Minute)
		if s := w.Status(); s.Revision.Commit != "ccccccc" || w.shelf.commit() != "ccccccc" || s.Refused != nil {
			t.Errorf("after a fix at %s, refused %+v, want ccccccc", s.Revision.Commit, s.Refused)
		}
	})
}

func TestANewerRevisionSupersedesOneThatIsVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.push(slowly("bbbbbbb", 5))
		w.verdict("rs1", reconcile.Down)
		w.verdict("rs2", reconcile.Down)
		w.push(slowly("ccccccc", 7))
		if s := w.Status(); s.Rollout == nil || s.Rollout.Revision.Commit != "ccccccc" || s.Rollout.Prior != "aaaaaaa" {
			t.Fatalf("rollout = %+v, want ccccccc over aaaaaaa", s.Rollout)
		}
		after(3 * time.Minute)
		if s := w.Status(); s.Revision.Commit != "aaaaaaa" || len(s.Quarantined) != 1 || s.Quarantined[0].Commit != "ccccccc" {
			t.Errorf("at %s with %+v in quarantine, want aaaaaaa, which was good last", s.Revision.Commit, s.Quarantined)
		}
		if want := []string{"verified aaaaaaa", "superseded bbbbbbb", "rolled back ccccccc"}; !slices.Equal(w.outcomes(), want) {
			t.Errorf("the history is %q, want %q", w.outcomes(), want)
		}
	})
}

// TestAnAgentThatEndsInAnAttempt goes on with it, or undoes it where its time is over.
func TestAnAgentThatEndsInAnAttempt(t *testing.T) {
	for _, tt := range []struct {
		name    string
		pause   time.Duration // between the agents
		spoil   func(*world)  // what happens to the files meanwhile
		commit  string        // in force right after the start
		end     string        // and in the end, with servers that answer
		kept    int           // revisions in quarantine
		damaged bool
	}{
		{"in time", time.Second, nil, "bbbbbbb", "bbbbbbb", 0, false},
		{"too late", 5 * time.Minute, nil, "aaaaaaa", "aaaaaaa", 1, false},
		{"verified, and not said yet", time.Second, func(w *world) { w.shelf.good = w.shelf.tried }, "bbbbbbb", "bbbbbbb", 0, false},
		{"without its copy", time.Second, func(w *world) { w.shelf.tried = nil }, "aaaaaaa", "bbbbbbb", 0, true},
		{"on its way back", time.Second, func(w *world) {
			_ = w.journal.Begin(journal.Attempt{Revision: "bbbbbbb", Prior: "aaaaaaa", Deadline: time.Now().Add(time.Minute), Reverting: true, Reason: "it broke"})
		}, "aaaaaaa", "aaaaaaa", 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				stop := converged(t, w)
				w.push(slowly("bbbbbbb", 5))
				stop()
				after(tt.pause)
				if tt.spoil != nil {
					tt.spoil(w)
				}
				w.origin.fail(errors.New("no source"))
				w.Agent = New(w.config())
				defer w.start(t)()
				synctest.Wait()
				if s := w.Status(); s.Revision.Commit != tt.commit {
					t.Errorf("started with %s, want %s", s.Revision.Commit, tt.commit)
				}
				w.origin.push(slowly("bbbbbbb", 5))
				w.verdict("rs1", reconcile.Up)
				w.verdict("rs2", reconcile.Up)
				after(5 * time.Minute)
				s := w.Status()
				if s.Revision.Commit != tt.end || w.shelf.commit() != tt.end || len(s.Quarantined) != tt.kept || s.Rollout != nil {
					t.Errorf("at %s (%s on disk) with %+v in quarantine and %+v, want %s", s.Revision.Commit, w.shelf.commit(), s.Quarantined, s.Rollout, tt.end)
				}
				if st := w.journal.Load(); st.Attempt != nil {
					t.Errorf("the journal has %+v left", st.Attempt)
				}
			})
		})
	}
}

func TestNothingIsTriedWithoutAJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.shelf.noCandidate(errors.New("no space left on device"))
		w.push(slowly("bbbbbbb", 5))
		if s := w.Status(); s.Revision.Commit != "aaaaaaa" || s.Rollout == nil || !strings.Contains(s.Rollout.Reason, "no space left") {
			t.Errorf("at %s with %+v, want it to wait for the disk", s.Revision.Commit, s.Rollout)
		}
		w.shelf.noCandidate(nil)
		after(journalRetry + time.Minute)
		if w.shelf.commit() != "bbbbbbb" {
			t.Errorf("%s is good once there is room, want bbbbbbb", w.shelf.commit())
		}
	})
}

func TestARevisionStaysWhereTheFileSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		bad := slowly("bbbbbbb", 5)
		bad.Cluster.Rollout.KeepFailed = true
		w.push(bad)
		w.verdict("rs1", reconcile.Down)
		w.verdict("rs2", reconcile.Down)
		after(3 * time.Minute)
		if s := w.Status(); s.Revision.Commit != "bbbbbbb" || !strings.Contains(s.Failed, "no quorum") || len(s.Quarantined) > 0 {
			t.Errorf("at %s, failed %q, %+v in quarantine, want bbbbbbb to stay", s.Revision.Commit, s.Failed, s.Quarantined)
		}
	})
}

func TestAPersonGoesBackAndTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		if _, err := w.Order(t.Context(), control.Order{Rollback: &control.RollbackOrder{}}); err == nil {
			t.Error("the first revision was rolled back, want a refusal")
		}
		w.push(lab("bbbbbbb", 5))
		if _, err := w.Order(t.Context(), control.Order{Rollback: &control.RollbackOrder{To: "ccccccc"}}); err == nil {
			t.Error("rolled back to a revision that is not there")
		}
		if _, err := w.Order(t.Context(), control.Order{Rollback: &control.RollbackOrder{To: "aaaaaaa"}, By: "uid 0"}); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if s := w.Status(); s.Revision.Commit != "aaaaaaa" || w.weight() != 2 || s.Refused == nil || w.shelf.commit() != "aaaaaaa" {
			t.Errorf("at %s with weight %d, refused %+v, %s good, want aaaaaaa", s.Revision.Commit, w.weight(), s.Refused, w.shelf.commit())
		}
		if _, err := w.Order(t.Context(), control.Order{Retry: "bbbbbb"}); err == nil {
			t.Error("six digits were enough")
		}
		if _, err := w.Order(t.Context(), control.Order{Retry: "bbbbbbb"}); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if s := w.Status(); s.Revision.Commit != "bbbbbbb" || len(s.Quarantined) > 0 {
			t.Errorf("at %s with %+v in quarantine, want bbbbbbb", s.Revision.Commit, s.Quarantined)
		}
		want := []string{"verified aaaaaaa", "verified bbbbbbb", "rolled back bbbbbbb", "retried bbbbbbb", "verified bbbbbbb"}
		if !slices.Equal(w.outcomes(), want) {
			t.Errorf("the history is %q, want %q", w.outcomes(), want)
		}
	})
}

// TestASuspendedAgent makes what follows from verdicts, and neither corrects nor tries anything;
// also after a restart.
func TestASuspendedAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := converged(t, w)
		if _, err := w.Order(t.Context(), control.Order{Suspend: &control.SuspendOrder{Reason: "new switch", For: 5 * time.Minute}, By: "uid 0"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stop()
		w.Agent = New(w.config())
		stop = w.start(t)
		defer func() { stop() }()
		w.verdict("rs1", reconcile.Up)
		w.verdict("rs2", reconcile.Up)
		w.push(lab("bbbbbbb", 5))
		byHand := rs1
		byHand.Weight = 77
		w.host.put(byHand)
		after(time.Minute)
		s := w.Status()
		if s.Suspension == nil || s.Suspension.Reason != "new switch" || s.Revision.Commit != "aaaaaaa" || w.weight() != 77 {
			t.Errorf("suspension %+v at %s with weight %d, want nothing to be done", s.Suspension, s.Revision.Commit, w.weight())
		}
		if s.Rollout == nil || s.Rollout.Reason != "suspended: new switch" {
			t.Errorf("rollout = %+v, want it to wait", s.Rollout)
		}
		w.verdict("rs1", reconcile.Down)
		after(time.Second)
		if w.weight() != 0 {
			t.Errorf("weight of a server that is down = %d, want 0", w.weight())
		}
		w.verdict("rs1", reconcile.Up)
		after(5 * time.Minute)
		if s := w.Status(); s.Suspension != nil || s.Revision.Commit != "bbbbbbb" || w.weight() != 5 {
			t.Errorf("after its end: %+v at %s with weight %d, want bbbbbbb", s.Suspension, s.Revision.Commit, w.weight())
		}
	})
}

// TestAServerWithAnotherAddressIsNotTakenForChecked, whatever its old address was worth.
func TestAServerWithAnotherAddressIsNotTakenForChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		moved := slowly("bbbbbbb", 2)
		for k := range moved.Cluster.Pools[0].Servers {
			moved.Cluster.Pools[0].Servers[k].Address = moved.Cluster.Pools[0].Servers[k].Address.Next()
		}
		w.push(moved)
		after(30 * time.Second)
		if s := w.Status(); s.Rollout == nil || !strings.Contains(s.Rollout.Reason, "rs1, rs2 not checked yet") {
			t.Errorf("rollout = %+v, want it to wait for verdicts", s.Rollout)
		}
		after(3 * time.Minute)
		if s := w.Status(); s.Revision.Commit != "aaaaaaa" {
			t.Errorf("at %s, want it undone", s.Revision.Commit)
		}
	})
}

// TestAnEmptyDefinitionIsRefused, as a file is whose end was lost.
func TestAnEmptyDefinitionIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		empty := lab("bbbbbbb", 5)
		empty.Cluster.Instances, empty.Cluster.VirtualServers = nil, nil
		w.push(empty)
		if s := w.Status(); s.Refused == nil || s.Refused.Stage != "guard" || w.weight() != 2 {
			t.Errorf("refused = %+v with weight %d, want the guard", s.Refused, w.weight())
		}
	})
}

// TestARollbackOutlivesTheAgent that was ordered to make it and could not write what it did.
func TestARollbackOutlivesTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := converged(t, w)
		w.push(lab("bbbbbbb", 5))
		w.shelf.full(errors.New("no space left on device"))
		if _, err := w.Order(t.Context(), control.Order{Rollback: &control.RollbackOrder{}, By: "uid 0"}); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		stop()
		w.shelf.full(nil)
		w.Agent = New(w.config())
		defer w.start(t)()
		after(time.Minute)
		s := w.Status()
		if s.Revision.Commit != "aaaaaaa" || w.shelf.commit() != "aaaaaaa" || len(s.Quarantined) != 1 || w.journal.Load().Attempt != nil {
			t.Errorf("at %s, %s good, %+v in quarantine, want aaaaaaa", s.Revision.Commit, w.shelf.commit(), s.Quarantined)
		}
		if _, err := w.Order(t.Context(), control.Order{Rollback: &control.RollbackOrder{}}); err == nil {
			t.Error("a second rollback goes on to what the first one left")
		}
	})
}
