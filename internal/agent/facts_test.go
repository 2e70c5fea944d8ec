package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/checker"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		r := lab("bbbbbbb", 100)
		r.Cluster.Pools[0].SlowStart = 10 * time.Second
		w.origin.push(r)
		after(time.Minute)
		if got := w.weight(); got != 100 {
			t.Fatalf("weight of a server that was up all the time = %d, want 100", got)
		}
		w.verdict("rs1", reconcile.Down)
		after(time.Second)
		w.verdict("rs1", reconcile.Up)
		synctest.Wait()
		var got []int
		for range 12 {
			got = append(got, w.weight())
			after(time.Second)
		}
		if d := cmp.Diff([]int{1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 100}, got); d != "" {
			t.Errorf("weights second by second (-want +got):\n%s", d)
		}
		if s := w.Status(); s.Drift.Total != 0 {
			t.Errorf("drift = %+v, want none", s.Drift)
		}
	})
}

// TestNoSlowStartOfWhatServesAlready has servers that are up before their first verdict.
func TestNoSlowStartOfWhatServesAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := lab("aaaaaaa", 100)
		r.Cluster.Pools[0].SlowStart, r.Cluster.Pools[0].InitiallyUp = 10*time.Second, true
		w.origin.push(r)
		defer w.start(t)()
		after(time.Second)
		before := w.weight()
		w.verdict("rs1", reconcile.Up)
		synctest.Wait()
		if got := w.weight(); before != 100 || got != 100 {
			t.Errorf("weight = %d, and %d after the first verdict, want 100", before, got)
		}
	})
}

func TestDynamicWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		for _, weight := range []int{7, 0, 40} {
			w.ServerVerdict(checker.Result{Ref: "web/rs1", Verdict: reconcile.Up, HasWeight: true, Weight: weight})
			synctest.Wait()
			s := w.Status().Services[0].Servers[0]
			if got := w.weight(); got != weight || s.Dynamic == nil || *s.Dynamic != weight {
				t.Errorf("weight = %d, in status %v; want %d", got, s.Dynamic, weight)
			}
		}
		w.verdict("rs1", reconcile.Up)
		synctest.Wait()
		if got := w.weight(); got != 2 {
			t.Errorf("weight = %d once the check gives none, want the written 2", got)
		}
	})
}

func TestAlarmsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		r := lab("bbbbbbb", 2)
		r.Cluster.Pools[0].PanicPercent = 60
		w.origin.push(r)
		after(time.Minute)
		w.verdict("rs1", reconcile.Down)
		synctest.Wait()
		if s := w.Status(); w.weight() != 2 || len(s.Alarms) != 1 || s.Alarms[0].Kind != "panic" || !s.Services[0].Panic {
			t.Errorf("weight = %d with alarms %v and services %+v, want the dead server to be served with an alarm", w.weight(), s.Alarms, s.Services)
		}
		w.verdict("rs1", reconcile.Up)
		synctest.Wait()
		if s := w.Status(); len(s.Alarms) != 0 || s.Services[0].Panic {
			t.Errorf("alarms = %v after all were up, want none", s.Alarms)
		}
	})
}

// TestTheQuorumIsRemembered stays between losing and gaining it.
func TestTheQuorumIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		r := lab("bbbbbbb", 2)
		vs := &r.Cluster.VirtualServers[0]
		vs.Quorum, vs.Hysteresis = 2, 1 // gained at 3, lost below 1
		w.origin.push(r)
		after(time.Minute)
		for _, step := range []struct {
			server string
			v      reconcile.Verdict
			held   bool
		}{
			{"rs1", reconcile.Down, true}, {"rs2", reconcile.Down, false}, {"rs1", reconcile.Up, false}, {"rs2", reconcile.Up, true}, {"rs2", reconcile.Down, true},
		} {
			w.verdict(step.server, step.v)
			synctest.Wait()
			if got := w.Status().Services[0].Quorum; got != step.held {
				t.Errorf("after %s is %s the quorum is held = %t, want %t", step.server, step.v, got, step.held)
			}
		}
	})
}

// TestOthersLookInTheCheckersStead has a plugin check and a BFD check.
func TestOthersLookInTheCheckersStead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		r := lab("bbbbbbb", 2)
		r.Cluster.Pools[0].Checks = []spec.Check{
			{Type: "plugin", Interval: time.Second, Timeout: time.Second, Rise: 2, Fall: 2, Plugin: &spec.PluginCheck{Plugin: "probe", Config: []byte(`{"url":"http://{address}:{port}/"}`)}},
			{Type: "bfd", Interval: time.Second, Timeout: time.Second, Rise: 2, Fall: 3},
		}
		w.origin.push(r)
		after(time.Minute)
		if len(w.trackers) != 2 || string(w.trackers[0].Config) != `{"url":"http://172.25.254.110:80/"}` {
			t.Fatalf("the plugin host got %+v, want one for each server", w.trackers)
		}
		if id := (resource.ID{Kind: resource.KindVRRPTracker, Name: "bfd/172.25.254.120"}); w.host.get(id) == nil {
			t.Errorf("vrrpd is not asked for %s", id)
		}
		w.TrackerVerdict(w.trackers[1].Name, reconcile.Down, "no answer")
		w.VRRPStatus(&channel.Status{Trackers: []channel.TrackerStatus{{Key: "bfd/172.25.254.110", State: "up"}}}, nil)
		synctest.Wait()
		want := []string{`web/rs1 1 "up" the BFD session is up`, `web/rs2 0 "down" no answer`}
		if d := cmp.Diff(want, w.reports); d != "" {
			t.Errorf("reports (-want +got):\n%s", d)
		}
		if s := w.Status(); len(s.Trackers) != 0 {
			t.Errorf("trackers = %+v: a check is no tracker of the file", s.Trackers)
		}
	})
}

// TestWhatOthersSaidIsToldOfNewServers has a second pool over a BFD session that is up, and
// a server with another address over a plugin check that does not ask for it.
func TestWhatOthersSaidIsToldOfNewServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		push := func(commit, config string) *revision.Revision {
			r := lab(commit, 2)
			r.Cluster.Pools[0].Checks = []spec.Check{
				{Type: "plugin", Rise: 2, Fall: 2, Plugin: &spec.PluginCheck{Plugin: "probe", Config: []byte(config)}},
				{Type: "bfd", Rise: 2, Fall: 3},
			}
			return r
		}
		w.origin.push(push("bbbbbbb", `{"url":"http://lab.example/"}`))
		after(time.Minute)
		w.TrackerVerdict(w.trackers[0].Name, reconcile.Up, "answered")
		w.VRRPStatus(&channel.Status{Trackers: []channel.TrackerStatus{{Key: "bfd/172.25.254.120", State: "up"}}}, nil)
		synctest.Wait()
		w.reports = nil
		next := push("ccccccc", `{"url":"http://lab.example/"}`)
		next.Cluster.Pools[0].Servers[0].Address = netip.MustParseAddr("172.25.254.111")
		www := next.Cluster.Pools[0]
		www.Name = "www"
		next.Cluster.Pools = append(next.Cluster.Pools, www)
		next.Cluster.VirtualServers[0].Sorry = "www"
		w.origin.push(next)
		after(time.Minute)
		want := []string{
			`web/rs2 1 "up" the BFD session is up`, `www/rs2 1 "up" the BFD session is up`, `web/rs1 0 "up" answered`,
		}
		if d := cmp.Diff(want, w.reports); d != "" {
			t.Errorf("reports (-want +got):\n%s", d)
		}
		w.reports = nil
		w.origin.push(push("ddddddd", `{"url":"http://other.example/"}`))
		after(time.Minute)
		if want := want[:1]; !slices.Equal(w.reports, want) {
			t.Errorf("reports = %q, want %q: what a plugin said was of another page", w.reports, want)
		}
	})
}

// TestAFactDoesNotWaitForADearLook has a table whose reading takes a second.
func TestAFactDoesNotWaitForADearLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.host.mu.Lock()
		w.host.slow = time.Second
		w.host.mu.Unlock()
		after(time.Minute)
		begin := time.Now()
		w.verdict("rs1", reconcile.Down)
		for w.weight() != 0 {
			after(10 * time.Millisecond)
			if time.Since(begin) > 3*time.Second {
				t.Fatal("rs1 is in the table 3 s after it was found dead")
			}
		}
		if took := time.Since(begin); took > 1100*time.Millisecond { // a look may just be under way
			t.Errorf("a verdict took %v, want it not to wait for a look", took)
		}
		byHand := rs1
		byHand.Weight = 77
		w.host.put(byHand)
		after(time.Minute)
		if got := w.weight(); got != 0 {
			t.Errorf("weight = %d a minute after it was changed by hand, want 0", got)
		}
	})
}

// TestWhatWasAdoptedIsNobodyElsesInADearTable has a server fail and come back before the table,
// whose reading takes a second, is looked at again after the server was adopted.
func TestWhatWasAdoptedIsNobodyElsesInADearTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.host.mu.Lock()
		w.host.slow = time.Second
		w.host.mu.Unlock()
		after(time.Minute)
		theirs := rs1
		theirs.Weight = 2
		w.host.mu.Lock()
		delete(w.host.owned, rs1.ID())
		w.host.foreign[rs1.ID()] = theirs
		w.host.mu.Unlock()
		for begin := time.Now(); w.weight() < 0; after(10 * time.Millisecond) {
			if time.Since(begin) > time.Minute {
				t.Fatal("rs1 is not adopted")
			}
		}
		for _, step := range []struct {
			verdict reconcile.Verdict
			want    int
		}{{reconcile.Down, 0}, {reconcile.Up, 2}} {
			w.verdict("rs1", step.verdict)
			after(time.Second)
			if s := w.Status(); w.weight() != step.want || s.Phase != control.Converged {
				t.Errorf("a second after rs1 was %v its weight is %d, want %d; status %s: %s", step.verdict, w.weight(), step.want, s.Phase, s.Message)
			}
		}
	})
}

// picky is a handler that knows before that a scheduler is missing.
type picky struct {
	reconcile.Handler
	err error
}

func (p picky) Preflight(_ context.Context, cs []reconcile.Change) []error {
	out := make([]error, len(cs))
	for k, c := range cs {
		if s, ok := c.After.(resource.IPVSService); ok && s.Scheduler == "lc" {
			out[k] = p.err
		}
	}
	return out
}

func TestWhatCanNeverWorkIsRefusedBefore(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		refused bool
	}{
		"a scheduler that the kernel lacks":      {errors.New("the kernel has no scheduler lc"), true},
		"a kernel that may get its module later": {fmt.Errorf("load ip_vs: %w", reconcile.ErrNotHere), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				cfg := w.config()
				for k, h := range cfg.Handlers {
					if h.Kind() == resource.KindIPVSService {
						cfg.Handlers[k] = picky{h, c.err}
					}
				}
				w.Agent = New(cfg)
				defer converged(t, w)()
				r := lab("bbbbbbb", 5)
				r.Cluster.VirtualServers[0].Scheduler = "lc"
				r.Cluster.VirtualServers[0].Origin = spec.Origin{Address: "virtual_server.http", File: "cluster.hcl", Line: 80}
				w.origin.push(r)
				after(time.Minute)
				s := w.Status()
				if (s.Refused != nil) != c.refused || (w.weight() == 2) != c.refused {
					t.Fatalf("refused = %v with weight %d, want refused = %t", s.Refused, w.weight(), c.refused)
				}
				if c.refused && (s.Refused.Stage != "plan" || !strings.Contains(s.Refused.Reason, "cluster.hcl:80: virtual_server.http: the kernel has no scheduler lc")) {
					t.Errorf("refused = %+v, want the place and the reason", s.Refused)
				}
			})
		})
	}
}

// TestAMasterAloneHasTheTable follows the role, and leaves the table while it is not known.
func TestAMasterAloneHasTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		r := lab("bbbbbbb", 2)
		r.Cluster.VirtualServers[0].Program = "master"
		w.origin.push(r)
		after(time.Minute)
		if got := w.weight(); got != 2 {
			t.Fatalf("weight = %d while vrrpd has said nothing, want the table to stay", got)
		}
		for _, step := range []struct {
			role string
			want int
			why  string
		}{{"BACKUP", -1, "this node is BACKUP"}, {"MASTER", 2, ""}, {"FAULT", -1, "this node is FAULT"}} {
			w.VRRPStatus(&channel.Status{Instances: []channel.InstanceStatus{{Name: "eth0/100/ipv4", State: step.role}}}, nil)
			synctest.Wait()
			if got := w.weight(); got != step.want || w.Status().Services[0].Program != step.why {
				t.Errorf("as %s weight = %d (%q), want %d", step.role, got, w.Status().Services[0].Program, step.want)
			}
		}
		w.VRRPStatus(nil, errors.New("no vrrpd"))
		after(time.Minute)
		if s := w.Status(); s.Phase != control.Converged || w.weight() != -1 {
			t.Errorf("status = %s with weight %d, want what the last role left", s.Phase, w.weight())
		}
	})
}

// TestAPlanOnlyAgentDoesNotReact has a verdict and a table whose reading takes a second.
func TestAPlanOnlyAgentDoesNotReact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		converged(t, w)()
		next := newWorld(t)
		next.host, next.shelf = w.host, w.shelf
		next.host.slow = time.Second
		cfg := next.config()
		cfg.PlanOnly = true
		next.Agent = New(cfg)
		next.origin.fail(errors.New("git is away"))
		defer next.start(t)()
		after(time.Minute)
		next.verdict("rs1", reconcile.Down)
		after(time.Minute)
		if got := next.weight(); got != 2 {
			t.Errorf("weight = %d, want 2: nobody approved anything else", got)
		}
	})
}

// TestSorryServersAreChecked has a pool that is nothing but a sorry pool.
func TestSorryServersAreChecked(t *testing.T) {
	c := lab("aaaaaaa", 1).Cluster
	sorry := c.Pools[0]
	sorry.Name = "sorry"
	c.Pools = append(c.Pools, sorry)
	c.VirtualServers[0].Sorry = "sorry"
	if got := jobs(c, "ka1", reconcile.Facts{}); len(got) != 4 || got[0].Ref != "sorry/rs1" {
		t.Errorf("jobs = %+v, want the servers of both pools", got)
	}
}
