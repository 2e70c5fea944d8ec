package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

func instance(state string) []control.Instance {
	return []control.Instance{{Name: "web", InstanceStatus: channel.InstanceStatus{State: state, Priority: 150}}}
}

// A step is a status and the events that it is to give after the one before it.
type step struct {
	name    string
	status  control.Status
	servers map[reconcile.ServerRef]reconcile.Verdict
	want    []string
}

func TestEveryChangeOfAStatusIsToldOnce(t *testing.T) {
	rev := planfile.Revision{Commit: "c2", Subject: "two"}
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	steps := []step{
		{"nothing", control.Status{VRRPD: "not asked yet"}, nil, nil},
		{"the first state has no From", control.Status{VRRPD: "up", Instances: instance("BACKUP")}, nil, []string{"vrrp_transition vrrp_instance.web >BACKUP"}},
		{"a transition", control.Status{VRRPD: "up", Instances: instance("MASTER")}, nil, []string{"vrrp_transition vrrp_instance.web BACKUP>MASTER"}},
		{"silence is no transition", control.Status{VRRPD: "gone", Instances: instance("UNKNOWN")}, nil, []string{"vrrpd_down  >"}},
		{"nor is its end", control.Status{VRRPD: "up", Instances: instance("MASTER")}, nil, []string{"vrrpd_up  >"}},
		{"servers that are up at first are no news", control.Status{VRRPD: "up"}, map[reconcile.ServerRef]reconcile.Verdict{"web/a": reconcile.Up, "web/b": reconcile.Down}, []string{"real_server_down web/b >down"}},
		{"a server recovers", control.Status{VRRPD: "up"}, map[reconcile.ServerRef]reconcile.Verdict{"web/a": reconcile.Up, "web/b": reconcile.Up}, []string{"real_server_up web/b down>up"}},
		{"unknown is no verdict", control.Status{VRRPD: "up"}, map[reconcile.ServerRef]reconcile.Verdict{"web/a": reconcile.Unknown}, nil},
		{"a quorum that is missing at first", control.Status{VRRPD: "up", Services: []control.Service{{Name: "http"}}}, nil, []string{"quorum_lost virtual_server.http >"}},
		{"a quorum", control.Status{VRRPD: "up", Services: []control.Service{{Name: "http", Quorum: true}}}, nil, []string{"quorum_gained virtual_server.http >"}},
		{"a tracker", control.Status{VRRPD: "up", Trackers: []control.Tracker{{Name: "up", Verdict: reconcile.Down}}}, nil, []string{"tracker_down tracker.up >down"}},
		{"a tracker recovers", control.Status{VRRPD: "up", Trackers: []control.Tracker{{Name: "up", Verdict: reconcile.Up}}}, nil, []string{"tracker_up tracker.up down>up"}},
		{"an alarm", control.Status{VRRPD: "up", Alarms: []reconcile.Alarm{{Subject: "pool.web", Kind: "panic"}}}, nil, []string{"alarm pool.web >"}},
		{"its end, and a conflict", control.Status{VRRPD: "up", Conflicts: []control.Conflict{{Resource: "a/b"}}}, nil, []string{"alarm_over pool.web >", "conflict a/b >"}},
		{"drift", control.Status{VRRPD: "up", Drift: control.Drift{Last: []control.DriftItem{{Time: at(2), Resource: "sysctl/y"}, {Time: at(1), Resource: "sysctl/x"}}}}, nil, []string{"drift_repaired sysctl/x >", "drift_repaired sysctl/y >"}},
		{"old drift", control.Status{VRRPD: "up", Source: control.Source{Error: "refused"}, Drift: control.Drift{Total: 9, Last: []control.DriftItem{{Time: at(2), Resource: "sysctl/y"}}}}, nil, []string{"source_failed  >"}},
		{"the source is back", control.Status{VRRPD: "up", Rollout: &control.Rollout{Stage: control.Waiting, Revision: rev}}, nil, []string{"source_recovered  >", "waiting two >"}},
		{"its turn", control.Status{VRRPD: "up", Rollout: &control.Rollout{Stage: control.Trying, Revision: rev}}, nil, []string{"applying two >"}},
		{"it is undone", control.Status{VRRPD: "up", Rollout: &control.Rollout{Stage: control.Reverting, Revision: rev}, Quarantined: []journal.Quarantined{{Commit: "c2", Subject: "two"}}}, nil, []string{"reverting two >", "quarantined two >"}},
		{"a refused one", control.Status{VRRPD: "up", Refused: &revision.Refused{Commit: "c3", Subject: "three"}}, nil, []string{"revision_refused three >"}},
	}
	r := newReporter()
	for _, s := range steps {
		s.status.Node = "ka1"
		var got []string
		for _, e := range r.between(s.status, s.servers, at(5)) {
			got = append(got, string(e.Kind)+" "+e.Subject+" "+e.From+">"+e.To)
			if e.Node != "ka1" || !e.Time.Equal(at(5)) {
				t.Errorf("%s: %+v has another node or time", s.name, e)
			}
		}
		if d := cmp.Diff(s.want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", s.name, d)
		}
	}
	if got := r.between(r.last, nil, at(6)); len(got) > 0 {
		t.Errorf("the same status gave %v", got)
	}
}

func TestEveryKindOfEventHasASource(t *testing.T) {
	from := []event.Kind{
		event.VRRPTransition, event.ServerUp, event.ServerDown, event.TrackerUp, event.TrackerDown, event.TrackerUnknown,
		event.QuorumGained, event.QuorumLost, event.Alarm, event.AlarmOver, event.Conflict, event.DriftRepaired, event.SourceFailed,
		event.SourceRecovered, event.VRRPDDown, event.VRRPDUp, event.Waiting, event.Applying, event.Reverting, event.Quarantined, event.RevisionRefused,
	}
	for _, k := range outcomes {
		from = append(from, k)
	}
	want := event.Kinds()
	slices.Sort(want)
	slices.Sort(from)
	if d := cmp.Diff(want, from); d != "" {
		t.Errorf("kinds that status and history give (-want +got)\n%s", d)
	}
}
