package agent

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// published is a status with the signal that it was replaced.
type published struct {
	status  control.Status
	changed chan struct{} // closed by the loop when a newer status was published
}

// Status returns the agent's state as of the end of its last pass, with what plugins say now.
func (a *Agent) Status() control.Status {
	s := a.status.Load().status
	if a.cfg.Reports == nil || len(s.Trackers) == 0 {
		return s
	}
	reports := a.cfg.Reports()
	s.Trackers = slices.Clone(s.Trackers)
	for i, t := range s.Trackers {
		if r, ok := reports[t.Name]; ok && t.Report != nil {
			s.Trackers[i].Report = &r
		}
	}
	return s
}

// headlines returns of each report what is news when it changes: figures always do.
func (a *Agent) headlines() map[string]*control.Report {
	if a.cfg.Reports == nil {
		return nil
	}
	out := map[string]*control.Report{}
	for name, r := range a.cfg.Reports() {
		out[name] = &control.Report{Status: r.Status, Code: r.Code, Note: r.Note}
	}
	return out
}

// Changed returns a channel that is closed when Status next returns something else.
func (a *Agent) Changed() <-chan struct{} { return a.status.Load().changed }

// statusShare bounds what the status may cost: one part in so many of the loop's time.
const statusShare = 20

// publish makes the loop's state visible, if it differs from what is. It returns how long the
// next time has to wait, where a status is dear to make.
func (a *Agent) publish() time.Duration {
	a.track.name(a.trackers)
	if wait := time.Until(a.quiet); wait > 0 {
		return wait
	}
	a.publishNow()
	return 0
}

// publishNow is publish for what somebody waits for, however dear a status is.
func (a *Agent) publishNow() {
	start := time.Now()
	next, last := a.snapshotStatus(), a.status.Load()
	next.Conditions = next.Judge(last.status.Conditions, start)
	counts := next.Checks
	next.Checks = last.status.Checks // figures that always grow are no news
	same := reflect.DeepEqual(next, last.status)
	next.Checks = counts
	if same {
		a.status.Store(&published{status: next, changed: last.changed})
	} else {
		a.tellEvents(next)
		a.show(next)
	}
	if cost := time.Since(start); cost > time.Millisecond {
		a.quiet = time.Now().Add(statusShare * cost)
	}
}

func (a *Agent) show(next control.Status) {
	old := a.status.Swap(&published{status: next, changed: make(chan struct{})})
	close(old.changed)
}

// progressStep is how often an application of many changes tells how far it is.
const progressStep = 250 * time.Millisecond

// tellProgress shows the status as it was, with how far the application is that goes on.
func (a *Agent) tellProgress(p *control.Progress) {
	next := a.Status()
	next.Progress = p
	a.show(next)
}

func (a *Agent) snapshotStatus() control.Status {
	s := control.Status{
		FormatVersion: planfile.FormatVersion,
		Version:       a.cfg.Version,
		Node:          a.cfg.Node,
		Started:       a.started,
		Phase:         a.phase,
		Message:       a.message,
		ConvergedAt:   a.converged,
		Alarms:        slices.Concat(a.alarms, a.contests.alarms()),
		Source:        a.source,
		Look:          a.looked,
		Refused:       a.refused,
		Rollout:       a.rollout(),
		Failed:        a.failed,
		Quarantined:   a.quarantined,
		Suspension:    a.suspension,
		Peers:         a.peersStatus(),
		StoreError:    a.storeErr,
		Drift:         a.driftStatus(),
		VRRPD:         "up",
		// Programs that read JSON expect lists, not null.
		Instances: []control.Instance{}, Services: []control.Service{}, Trackers: []control.Tracker{}, Conflicts: []control.Conflict{},
	}
	if m := a.toPeers.Load(); m != nil && len(s.Peers) > 0 {
		s.Self = m
	}
	a.doorsStatus(&s)
	switch {
	case a.vrrpErr != nil:
		s.VRRPD = a.vrrpErr.Error()
	case a.vrrpSilent():
		s.VRRPD = "does not answer"
	case a.vrrp == nil:
		s.VRRPD = "not asked yet"
	}
	for _, c := range a.conflicts {
		s.Conflicts = append(s.Conflicts, control.Conflict{
			Resource: c.ID.String(), Detail: c.Detail(), ByHand: c.ByHand(),
		})
	}
	s.Conflicts = append(s.Conflicts, a.strangers()...)
	for _, f := range a.findings {
		if f.Result != "pass" {
			s.Findings = append(s.Findings, f)
		}
	}
	if a.rev != nil {
		s.Cluster = a.rev.Cluster.Name
		s.Revision, s.SignedBy = planRevision(a), a.rev.SignedBy
		s.Drains = a.drains()
		if n := a.cfg.CheckStats(); n.Targets > 0 {
			s.Checks = &n
		}
		if a.vrrpErr != nil && !takesPart(a.rev.Cluster, a.cfg.Node) {
			s.VRRPD = "not there, and not needed on this node"
		}
		a.clusterStatus(&s, a.rev.Cluster)
	}
	return s
}

// doorsStatus adds how others tell this node of pushes, and how it tells others of events.
func (a *Agent) doorsStatus(s *control.Status) {
	if a.cfg.NotifyStats != nil {
		s.Notify = a.cfg.NotifyStats()
	}
	if a.cfg.Webhook != nil {
		s.Webhook = a.cfg.Webhook()
	}
}

// takesPart reports whether a node is a member of a virtual router.
func takesPart(c *spec.Cluster, node string) bool {
	return slices.ContainsFunc(c.Instances, func(i spec.VRRPInstance) bool { return i.Priority[node] != 0 })
}

// unknownState is the state of an instance while vrrpd cannot be asked: the last one that it
// told of may be long over.
const unknownState = "UNKNOWN"

// clusterStatus adds what has names in the cluster file.
func (a *Agent) clusterStatus(s *control.Status, c *spec.Cluster) {
	if a.vrrp != nil {
		for _, i := range a.vrrp.Instances {
			if a.vrrpErr != nil || a.vrrpSilent() {
				i = channel.InstanceStatus{Name: i.Name, State: unknownState, Reason: "was " + i.State + " when vrrpd was last heard", Since: i.Since, Priority: i.Priority, Transitions: i.Transitions}
			}
			s.Instances = append(s.Instances, control.Instance{Name: instanceName(c, i.Name), InstanceStatus: i})
			for _, addr := range i.Conflicts {
				s.Conflicts = append(s.Conflicts, control.Conflict{
					Resource: "vrrp_instance/" + i.Name,
					Detail:   "virtual address " + addr + " is on this host and was not put there by hareconcile",
				})
			}
		}
	}
	a.servicesStatus(s, c)
	a.trackersStatus(s, c)
}

// trackersStatus adds the trackers that somebody looks at on this node.
func (a *Agent) trackersStatus(s *control.Status, c *spec.Cluster) {
	reports := a.headlines()
	asked := pluginTrackers(c, a.cfg.Node)
	for _, t := range c.Trackers {
		st, said := a.trackers[t.Name]
		told, watched := a.vrrpTracker(t)
		switch {
		case said:
			s.Trackers = append(s.Trackers, control.Tracker{Name: t.Name, Verdict: st.verdict, Message: st.message, Report: reports[t.Name]})
		case slices.ContainsFunc(asked, func(p spec.Tracker) bool { return p.Name == t.Name }):
			// vrrpd goes by what the agent before this one has told it.
			s.Trackers = append(s.Trackers, control.Tracker{
				Name: t.Name, Verdict: told.verdict, Message: "no verdict since the agent's start",
				Report: cmp.Or(reports[t.Name], &control.Report{Status: "unknown"}),
			})
		case watched && t.Plugin == "":
			s.Trackers = append(s.Trackers, control.Tracker{Name: t.Name, Verdict: told.verdict, Message: told.message})
		}
	}
}

// vrrpSilent reports whether the last look at vrrpd had no answer, though it was not found
// to be gone.
func (a *Agent) vrrpSilent() bool {
	return slices.Contains(a.live.Unobserved, resource.KindVRRPInstance)
}

// vrrpTracker returns what vrrpd says of a tracker.
func (a *Agent) vrrpTracker(t spec.Tracker) (trackerState, bool) {
	if a.vrrp == nil {
		return trackerState{}, false
	}
	kind, target := t.Watches()
	key := resource.VRRPTracker{Type: kind, Target: target}.Key()
	for _, s := range a.vrrp.Trackers {
		if s.Key != key {
			continue
		}
		if a.vrrpErr != nil || a.vrrpSilent() {
			return trackerState{reconcile.Unknown, "vrrpd cannot be asked"}, true
		}
		message := s.Message
		if s.Value != 0 {
			message = cmp.Or(message, fmt.Sprintf("the number is %d", s.Value))
		}
		if s.State == "" && t.OnUnknown != "" {
			message = cmp.Or(message, "no answer yet") + "; counts as " + t.OnUnknown
		}
		return trackerState{reconcile.Verdict(s.State), message}, true
	}
	return trackerState{}, false
}

// instanceName returns the name in the cluster file of the instance that the kernel's key means.
func instanceName(c *spec.Cluster, key string) string {
	for _, i := range c.Instances {
		if reconcile.InstanceID(i).Name == key {
			return i.Name
		}
	}
	return key
}

func planRevision(a *Agent) planfile.Revision {
	return planfile.Revision{Ref: a.rev.Ref, Commit: a.rev.Commit, Subject: a.rev.Subject}
}
