package agent

import (
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// master is a vrrpd that holds an address.
func master() *channel.Status {
	return &channel.Status{Instances: []channel.InstanceStatus{
		{Name: "eth0/100/ipv4", State: "MASTER", Priority: 150, Held: []string{"172.25.254.100/24"}, Alerts: []string{"another master"}},
	}}
}

func TestAVRRPDThatIsGoneOrHangsHoldsNothingForSure(t *testing.T) {
	want := []control.Instance{{Name: "web", InstanceStatus: channel.InstanceStatus{
		Name: "eth0/100/ipv4", State: "UNKNOWN", Reason: "was MASTER when vrrpd was last heard", Priority: 150}}}
	check := func(t *testing.T, w *world, vrrpd string) {
		t.Helper()
		s := w.Status()
		if !reflect.DeepEqual(s.Instances, want) || s.VRRPD != vrrpd {
			t.Errorf("vrrpd is %q with %+v, want %q with %+v", s.VRRPD, s.Instances, vrrpd, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.VRRPStatus(master(), nil)
		synctest.Wait()
		if s := w.Status(); s.VRRPD != "up" || s.Instances[0].State != "MASTER" {
			t.Fatalf("status = %s %v, want up and MASTER", s.VRRPD, s.Instances)
		}
		w.VRRPStatus(nil, errors.New("connection refused"))
		synctest.Wait()
		check(t, w, "connection refused")

		w.VRRPStatus(master(), nil)
		w.host.mu.Lock()
		w.host.hangs = resource.KindVRRPInstance
		w.host.mu.Unlock()
		after(3 * observeWait)
		check(t, w, "does not answer")

		w.host.mu.Lock()
		w.host.hangs = resource.Kind("")
		w.host.mu.Unlock()
		after(time.Minute)
		if s := w.Status(); s.VRRPD != "up" || s.Instances[0].State != "MASTER" {
			t.Errorf("status = %s %v, want up and MASTER when it answers again", s.VRRPD, s.Instances)
		}
	})
}

func TestANodeWithoutVirtualRoutersNeedsNoVRRPD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		r := lab("bbbbbbb", 2)
		r.Cluster.Instances[0].Priority = map[string]uint8{"ka2": 100, "ka3": 50}
		w.origin.push(r)
		after(time.Minute)
		w.VRRPStatus(nil, errors.New("no such file or directory"))
		synctest.Wait()
		if s := w.Status(); s.VRRPD != "not there, and not needed on this node" {
			t.Errorf("vrrpd is %q (%s: %s), want it not needed", s.VRRPD, s.Phase, s.Message)
		}
	})
}

func TestWhatVRRPDSaysOfATracker(t *testing.T) {
	file := spec.Tracker{Name: "maintenance", File: "/run/m", OnUnknown: "up"}
	key := resource.VRRPTracker{Type: resource.TrackFile, Target: "/run/m"}.Key()
	for _, tt := range []struct {
		name string
		said channel.TrackerStatus
		err  error
		want trackerState
	}{
		{"why it is down", channel.TrackerStatus{State: "down", Message: "no answer"}, nil, trackerState{reconcile.Down, "no answer"}},
		{"the number of a file", channel.TrackerStatus{State: "down", Value: 7}, nil, trackerState{reconcile.Down, "the number is 7"}},
		{"what unknown means", channel.TrackerStatus{Message: "no such file"}, nil, trackerState{reconcile.Unknown, "no such file; counts as up"}},
		{"what unknown means before a word", channel.TrackerStatus{}, nil, trackerState{reconcile.Unknown, "no answer yet; counts as up"}},
		{"nothing while vrrpd is away", channel.TrackerStatus{State: "up"}, errors.New("away"), trackerState{reconcile.Unknown, "vrrpd cannot be asked"}},
	} {
		tt.said.Key = key
		a := &Agent{vrrp: &channel.Status{Trackers: []channel.TrackerStatus{tt.said}}, vrrpErr: tt.err}
		if got, ok := a.vrrpTracker(file); !ok || got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// TestAPluginsTrackerIsShownBeforeItsFirstVerdict: what cannot be measured after a restart of
// the agent has none for as long as the tracker's hold, and somebody asks why.
func TestAPluginsTrackerIsShownBeforeItsFirstVerdict(t *testing.T) {
	c := &spec.Cluster{
		Trackers:  []spec.Tracker{{Name: "gate", Plugin: "p"}, {Name: "elsewhere", Plugin: "p"}},
		Instances: []spec.VRRPInstance{{Priority: map[string]uint8{"ka1": 100}, Gates: []string{"gate"}}, {Priority: map[string]uint8{"ka2": 100}, Gates: []string{"elsewhere"}}},
	}
	a := &Agent{cfg: Config{Node: "ka1"}}
	for _, tt := range []struct {
		name    string
		vrrp    *channel.Status
		reports map[string]control.Report
		want    control.Tracker
	}{
		{"nobody has said anything", nil, nil, control.Tracker{Report: &control.Report{Status: "unknown"}}},
		{
			"vrrpd was told by the agent before", &channel.Status{Trackers: []channel.TrackerStatus{{Key: "plugin/gate", State: "up"}}},
			map[string]control.Report{"gate": {Status: "unknown", Code: "PLUGIN"}},
			control.Tracker{Verdict: reconcile.Up, Report: &control.Report{Status: "unknown", Code: "PLUGIN"}},
		},
	} {
		a.vrrp, a.cfg.Reports = tt.vrrp, func() map[string]control.Report { return tt.reports }
		tt.want.Name, tt.want.Message = "gate", "no verdict since the agent's start"
		var s control.Status
		a.trackersStatus(&s, c)
		if d := cmp.Diff([]control.Tracker{tt.want}, s.Trackers); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
}
