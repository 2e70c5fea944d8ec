package agent

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/pace"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestRequestsDoNotPutPollingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		byHand := rs1
		byHand.Weight = 77
		w.host.put(byHand)
		for range 20 {
			if _, err := w.Snapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
			after(pollInterval / 5)
		}
		if got := w.weight(); got != 2 {
			t.Errorf("weight after %v of requests = %d, want 2", 4*pollInterval, got)
		}
	})
}

func TestWhatComesLateIsNoDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.host.blind[resource.KindVRRPInstance] = errors.New("vrrpd is away")
		w.host.broken[resource.KindIPVSService] = errors.New("no module ip_vs")
		w.origin.push(lab("aaaaaaa", 2))
		defer w.start(t)()
		after(time.Minute)
		w.host.mu.Lock()
		clear(w.host.blind)
		clear(w.host.broken)
		w.host.mu.Unlock()
		after(2 * retryMax)
		if s := w.Status(); s.Phase != control.Converged || s.Drift.Total != 0 {
			t.Errorf("status = %s with %d repaired, want converged with 0", s.Phase, s.Drift.Total)
		}
	})
}

func TestVerdictsBesideAFailureAreNoDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.host.mu.Lock()
		w.host.broken[resource.KindVRRPInstance] = errors.New("vrrpd refuses")
		w.host.mu.Unlock()
		r := lab("bbbbbbb", 2)
		r.Cluster.Instances[0].Interval = 2 * time.Second
		w.origin.push(r)
		after(10 * time.Second)
		for _, v := range []reconcile.Verdict{reconcile.Down, reconcile.Up} {
			w.verdict("rs1", v)
			synctest.Wait()
		}
		if s := w.Status(); s.Phase != control.Degraded || w.weight() != 2 || s.Drift.Total != 0 {
			t.Errorf("status = %s with %d repaired, weight %d; want degraded with 0 and 2", s.Phase, s.Drift.Total, w.weight())
		}
	})
}

func TestDriftIsMendedBesideAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.host.mu.Lock()
		w.host.broken[resource.KindVRRPInstance] = errors.New("vrrpd refuses")
		w.host.mu.Unlock()
		r := lab("bbbbbbb", 2)
		r.Cluster.Instances[0].Interval = 2 * time.Second
		w.origin.push(r)
		after(5 * time.Minute)
		byHand := rs1
		byHand.Weight = 77
		w.host.put(byHand)
		after(pollInterval)
		if s := w.Status(); w.weight() != 2 || s.Drift.Total != 1 {
			t.Errorf("weight = %d with %d repaired, want 2 with 1", w.weight(), s.Drift.Total)
		}
	})
}

func TestStatusTellsOnlyWhatWasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.host.mu.Lock()
		w.host.broken[resource.KindIPVSServer] = errors.New("no memory")
		w.host.mu.Unlock()
		w.verdict("rs1", reconcile.Down)
		synctest.Wait()
		if got := w.Status().Services[0].Servers[0].Weight; got != 2 {
			t.Errorf("weight in status = %d, want 2: that of the kernel", got)
		}
	})
}

func TestUnwritableStoreIsToldAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.shelf.full(errors.New("no space left on device"))
		defer converged(t, w)()
		after(time.Minute)
		if s := w.Status(); s.Phase != control.Converged || s.StoreError != "no space left on device" {
			t.Errorf("status = %s, store %q; want converged and why it is not on disk", s.Phase, s.StoreError)
		}
		w.shelf.full(nil)
		after(storeRetry)
		if s := w.Status(); s.StoreError != "" || w.shelf.good == nil || w.shelf.commit() != "aaaaaaa" {
			t.Errorf("store %q holds %v, want aaaaaaa once there is room", s.StoreError, w.shelf.good)
		}
	})
}

func TestGoodRevisionOfAnotherNodeIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.shelf.good = lab("aaaaaaa", 2)
		w.shelf.good.Cluster.Node = "ka2"
		w.origin.fail(errors.New("git is away"))
		defer w.start(t)()
		after(time.Minute)
		if s := w.Status(); w.host.applies != 0 || s.Phase != control.Starting || !strings.Contains(s.Message, `node "ka2"`) {
			t.Errorf("status = %s %q after %d changes, want starting, why, and none", s.Phase, s.Message, w.host.applies)
		}
	})
}

func TestStoreOfANewerReleaseWaitsForTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.shelf.err = errors.New(`good.json: has format_version "2"; this release reads "1"`)
		w.origin.fail(errors.New("git is away"))
		defer w.start(t)()
		after(time.Minute)
		if s := w.Status(); w.host.applies != 0 || !strings.Contains(s.Message, `format_version "2"`) {
			t.Errorf("status = %q after %d changes, want the reason and none", s.Message, w.host.applies)
		}
		w.origin.push(lab("aaaaaaa", 2))
		after(pace.BackOffMax)
		if s := w.Status(); s.Phase != control.Converged || w.shelf.good == nil {
			t.Errorf("status = %s %q, want converged and stored", s.Phase, s.Message)
		}
	})
}

func TestRefusalIsForgottenByTheNextPushAndByARewind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.origin.judge([]reconcile.Finding{{Policy: "p", Level: "mandatory", Result: "deny", Message: "no"}})
		w.origin.push(lab("bbbbbbb", 5))
		after(time.Minute)
		if s := w.Status(); s.Refused == nil || s.Revision.Commit != "aaaaaaa" {
			t.Fatalf("refused = %+v, in force %s; want bbbbbbb refused", s.Refused, s.Revision.Commit)
		}
		w.origin.push(lab("aaaaaaa", 2)) // rewound to what is in force
		after(time.Minute)
		if s := w.Status(); s.Refused != nil || s.Revision.Commit != "aaaaaaa" {
			t.Errorf("refused = %+v, in force %s; want nothing refused", s.Refused, s.Revision.Commit)
		}
		w.origin.judge(nil)
		w.origin.push(lab("ccccccc", 5))
		after(time.Minute)
		if s := w.Status(); s.Refused != nil || s.Revision.Commit != "ccccccc" || w.weight() != 5 {
			t.Errorf("refused = %+v, in force %s; want ccccccc", s.Refused, s.Revision.Commit)
		}
	})
}

func TestConvergedAtIsTheFirstTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		first := w.Status().ConvergedAt
		for _, err := range []error{errors.New("vrrpd is away"), nil} {
			w.host.mu.Lock()
			w.host.blind[resource.KindVRRPInstance] = err
			w.host.mu.Unlock()
			after(time.Minute)
		}
		if got := w.Status().ConvergedAt; !got.Equal(first) {
			t.Errorf("converged at %v after a recovery, want %v", got, first)
		}
	})
}

func TestKindThatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.host.mu.Lock()
		w.host.hangs = resource.KindVRRPInstance
		w.host.mu.Unlock()
		after(time.Minute)
		w.verdict("rs1", reconcile.Down)
		after(3 * observeWait)
		if got := w.weight(); got != 0 {
			t.Errorf("weight of a server that is down = %d, want 0", got)
		}
		if s := w.Status(); s.Phase != control.Degraded || s.Drift.PollInterval != pollInterval {
			t.Errorf("status = %s, polled every %v; want degraded and %v", s.Phase, s.Drift.PollInterval, pollInterval)
		}
	})
}

// TestWhatHangsKeepsNoTrackerWaiting has haproxy freeze: the agent looks at what it is, and waits
// for the answer, when the plugin says so.
func TestWhatHangsKeepsNoTrackerWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.TrackerVerdict("haproxy", reconcile.Up, "")
		synctest.Wait()
		w.host.mu.Lock()
		w.host.hangs = resource.KindHAProxyFile
		w.host.mu.Unlock()
		after(pollInterval + askedWait/4) // the loop waits for haproxy now
		w.TrackerVerdict("haproxy", reconcile.Down, "frozen")
		w.TrackerVerdict("stranger", reconcile.Down, "vrrpd has not heard of it")
		synctest.Wait()
		if got := w.told()[len(w.told())-1].States; len(got) != 1 || got["plugin/haproxy"] != "down" {
			t.Errorf("told vrrpd %v while haproxy hangs, want plugin/haproxy down at once", got)
		}
		before := len(w.told())
		after(3 * time.Second)
		for _, track := range w.told()[before:] {
			if track.States["plugin/haproxy"] != "down" {
				t.Errorf("told vrrpd %v later, want plugin/haproxy still down", track.States)
			}
		}
	})
}

func TestWhatHungIsLeftAloneForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.host.mu.Lock()
		w.host.hangs = resource.KindHAProxyFile
		w.host.mu.Unlock()
		after(pollInterval + askedWait) // the first look is over
		start := time.Now()
		w.verdict("rs1", reconcile.Down)
		synctest.Wait()
		if got := w.weight(); got != 0 || time.Since(start) > 0 {
			t.Errorf("weight of a server that is down = %d after %v, want 0 at once", got, time.Since(start))
		}
		w.host.mu.Lock()
		w.host.hangs = resource.Kind("")
		w.host.mu.Unlock()
		after(hangPause + pollInterval)
		if s := w.Status(); s.Phase != control.Converged {
			t.Errorf("status = %s %q, want converged once it answers again", s.Phase, s.Message)
		}
	})
}

func TestRepairsFromBeforeTheAgentAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		for _, n := range []uint64{5, 7, 2} { // 2 is a vrrpd that started anew
			w.VRRPStatus(&channel.Status{Repairs: n}, nil)
			synctest.Wait()
		}
		if got := w.Status().Drift.Total; got != 4 {
			t.Errorf("drift = %d, want 4", got)
		}
	})
}

func TestPlanOnlyTellsOfConflicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		converged(t, w)()
		delete(w.host.owned, rs1.ID())
		foreign := rs1
		foreign.Weight = 9
		w.host.foreign[rs1.ID()] = foreign
		next := newWorld(t)
		next.cfg.PlanOnly = true
		next.cfg.Handlers, next.cfg.Store = w.host.handlers(), w.shelf
		next.origin.push(lab("aaaaaaa", 2))
		defer next.start(t)()
		after(time.Minute)
		if s := next.Status(); !strings.Contains(s.Message, "in the way") {
			t.Errorf("message = %q, want what is in the way", s.Message)
		}
	})
}

// TestAStrangerInAServiceOfOursIsTold has somebody add a server by hand.
func TestAStrangerInAServiceOfOursIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		stranger, elsewhere := rs1, rs1
		stranger.Address, stranger.Weight = netip.MustParseAddrPort("172.25.254.99:80"), 9
		elsewhere.Service.Address = netip.MustParseAddrPort("192.0.2.1:80")
		w.host.mu.Lock()
		w.host.foreign[stranger.ID()], w.host.foreign[elsewhere.ID()] = stranger, elsewhere
		w.host.mu.Unlock()
		after(3 * pollInterval)
		want := []control.Conflict{{Resource: stranger.ID().String(), Detail: "was not made by hareconcile and has weight 9 in a service that was"}}
		if s := w.Status(); !reflect.DeepEqual(s.Conflicts, want) || s.Phase != control.Converged {
			t.Errorf("%s with conflicts %+v, want %+v", s.Phase, s.Conflicts, want)
		}
		w.host.mu.Lock()
		delete(w.host.foreign, stranger.ID())
		w.host.mu.Unlock()
		after(3 * pollInterval)
		if s := w.Status(); len(s.Conflicts) != 0 {
			t.Errorf("conflicts = %+v after it went, want none", s.Conflicts)
		}
	})
}

// TestATableThatTakesLongIsReadAllTheSame has one whose look needs more than what a look may
// take at first.
func TestATableThatTakesLongIsReadAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.host.mu.Lock()
		w.host.slow = 7 * time.Second
		w.host.mu.Unlock()
		after(5 * time.Minute)
		byHand := rs1
		byHand.Weight = 77
		w.host.put(byHand)
		after(10 * time.Minute)
		if s := w.Status(); w.weight() != 2 || s.Phase != control.Converged {
			t.Errorf("weight = %d, %s (%s); want it mended and converged", w.weight(), s.Phase, s.Message)
		}
	})
}
