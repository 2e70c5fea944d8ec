package agent

import (
	"maps"
	"sync"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/checker"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile"
)

// An inbox holds what happened since the loop last looked. The newest word on each thing
// replaces older ones, so it is bounded by the cluster and a put never waits.
type inbox struct {
	// wake has room for one token: more news than one need not be told twice. Never closed.
	wake chan struct{}

	mu   sync.Mutex
	news news
}

// news is everything that may have changed.
type news struct {
	servers  map[reconcile.ServerRef]checker.Result
	trackers map[string]trackerState
	vrrp     *channel.Status
	vrrpErr  error
	kernel   bool // a netlink event
	source   *control.Source
	refused  *revision.Refused
	look     control.Look
	peers    map[string]said
	storeErr *string // why the last good revision is not on disk; empty if it is
}

func newInbox() *inbox {
	b := &inbox{wake: make(chan struct{}, 1)}
	b.news = emptyNews()
	return b
}

func emptyNews() news {
	return news{servers: map[reconcile.ServerRef]checker.Result{}, trackers: map[string]trackerState{}, peers: map[string]said{}}
}

// put records with f and wakes the loop.
func (b *inbox) put(f func(*news)) {
	b.mu.Lock()
	f(&b.news)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns the news and empties the inbox.
func (b *inbox) take() news {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.news
	b.news = emptyNews()
	return n
}

// matters reports whether the node may have to change.
func (n news) matters() bool {
	return n.kernel || len(n.servers) > 0 || len(n.trackers) > 0 || n.vrrp != nil || n.vrrpErr != nil
}

// nothingElse reports whether n is of the kernel's events alone.
func (n news) nothingElse() bool {
	k := n
	k.kernel = false
	return n.kernel && !k.matters()
}

// ServerVerdict reports what checks say of a server.
func (a *Agent) ServerVerdict(r checker.Result) {
	a.inbox.put(func(n *news) { n.servers[r.Ref] = r })
}

// TrackerVerdict reports what a plugin says.
func (a *Agent) TrackerVerdict(name string, v reconcile.Verdict, message string) {
	a.track.hear(name, v)
	a.inbox.put(func(n *news) { n.trackers[name] = trackerState{v, message} })
}

// VRRPStatus reports what vrrpd is doing, or why it cannot be asked.
func (a *Agent) VRRPStatus(s *channel.Status, err error) {
	a.inbox.put(func(n *news) { n.vrrp, n.vrrpErr = s, err })
}

// KernelChanged reports that addresses or links changed.
func (a *Agent) KernelChanged() {
	a.inbox.put(func(n *news) { n.kernel = true })
}

// absorb makes the news part of the loop's state.
func (a *Agent) absorb(n news) {
	for _, r := range n.servers {
		a.absorbServer(r)
	}
	a.sessions(n.vrrp)
	for name, s := range n.trackers {
		if a.tracked(name, s) {
			continue
		}
		a.trackers[name] = s
		a.facts.Trackers[name] = s.verdict
	}
	if n.vrrp != nil || n.vrrpErr != nil {
		a.absorbVRRP(n.vrrp, n.vrrpErr)
	}
	for node, s := range n.peers {
		a.absorbPeer(node, s)
	}
	if n.source != nil {
		a.source = *n.source
		a.refused, a.looked = n.refused, n.look
	}
	if n.storeErr != nil {
		a.storeErr = *n.storeErr
	}
}

func (a *Agent) absorbVRRP(s *channel.Status, err error) {
	a.vrrpErr = err
	if s == nil {
		return
	}
	if a.vrrp == nil {
		a.vrrpRepair = s.Repairs // made before this agent started
	}
	a.vrrp = s
	roles := map[string]string{}
	for _, i := range s.Instances {
		roles[i.Name] = i.State
		if was := a.facts.Roles[i.Name]; was != "" && was != i.State {
			a.cfg.Log.Info("vrrp transition", "id", i.Name, "from", was, "to", i.State, "reason", i.Reason)
		}
	}
	maps.Copy(a.facts.Roles, roles)
	maps.DeleteFunc(a.facts.Roles, func(id, _ string) bool { _, ok := roles[id]; return !ok })
	if s.Repairs < a.vrrpRepair {
		a.vrrpRepair = 0 // vrrpd started anew
	}
	for ; a.vrrpRepair < s.Repairs; a.vrrpRepair++ {
		a.countDrift("vrrp_instance", "address put back by vrrpd")
		if s.Repairs-a.vrrpRepair > maxDrift { // the rest only count
			a.drift.Total += s.Repairs - a.vrrpRepair - 1
			a.vrrpRepair = s.Repairs - 1
		}
	}
}
