package vrrpd

import (
	"slices"
	"sync"

	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A board shows the last status to goroutines other than the loop's.
type board struct {
	mu     sync.Mutex
	status *channel.Status
	news   chan struct{} // closed by publish, which puts a new one here
}

func newBoard() *board { return &board{news: make(chan struct{})} }

// publish replaces the status, which nobody may modify any more.
func (b *board) publish(s *channel.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = s
	close(b.news)
	b.news = make(chan struct{})
}

// read returns the last status, nil before the first, and what is closed at the next.
func (b *board) read() (*channel.Status, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status, b.news
}

// config is what the loop runs.
func (l *loop) config() channel.Config {
	c := channel.Config{Instances: []resource.VRRPInstance{}, Trackers: []resource.VRRPTracker{}}
	for _, r := range l.routers {
		c.Instances = append(c.Instances, r.cfg)
	}
	for _, key := range l.trackerKeys() {
		c.Trackers = append(c.Trackers, l.trackers[key].cfg)
	}
	return c
}

func (l *loop) trackerKeys() []string {
	keys := make([]string, 0, len(l.trackers))
	for key := range l.trackers {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// status is a fresh copy of what the loop is doing.
func (l *loop) status() *channel.Status {
	s := &channel.Status{
		Config: l.config(), Repairs: l.repairs, Pauses: l.pauses, Build: build.Version, Upgrades: l.upgrades, Overruns: l.overruns,
		Instances: []channel.InstanceStatus{}, Trackers: []channel.TrackerStatus{},
	}
	for _, r := range l.routers {
		i := channel.InstanceStatus{
			Name: r.name, State: r.m.State().String(), Reason: r.reason, Since: r.since,
			Priority: r.m.Priority(), Master: r.m.Master(), Transitions: r.transitions,
			Conflicts: l.table.Conflicts(r.name), Held: l.table.Held(r.name), Alerts: r.alerts(l.t), Adverts: r.counters(),
		}
		if r.timers[vrrp.HoldTimer] != never {
			i.HoldUntil = r.holdUntil
		}
		s.Instances = append(s.Instances, i)
	}
	for _, key := range l.trackerKeys() {
		t := l.trackers[key]
		s.Trackers = append(s.Trackers, channel.TrackerStatus{Key: key, State: t.state(), Value: t.value, Message: t.message})
	}
	if l.upgrader != nil {
		l.upgrader.report(s)
	}
	return s
}

func (r *router) counters() map[string]uint64 {
	c := map[string]uint64{"sent": r.sent, vrrp.Admitted.String(): r.rejects[vrrp.Admitted]}
	for reject, n := range r.rejects {
		if n > 0 {
			c[vrrp.Reject(reject).String()] = n
		}
	}
	for key, n := range map[string]uint64{
		"send_errors": r.sendErrors, "address_list_mismatch": r.mismatch, "checksum_message_only": r.plainSums,
	} {
		if n > 0 {
			c[key] = n
		}
	}
	return c
}
