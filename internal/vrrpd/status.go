package vrrpd

import (
	"net/netip"
	"slices"
	"sync"

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
		Config: l.config(), Repairs: l.repairs, Pauses: l.pauses,
		Instances: []channel.InstanceStatus{}, Trackers: []channel.TrackerStatus{},
	}
	for _, r := range l.routers {
		s.Instances = append(s.Instances, channel.InstanceStatus{
			Name: r.name, State: r.m.State().String(), Reason: r.reason, Since: r.since,
			Priority: r.m.Priority(), Master: r.m.Master(), Transitions: r.transitions,
			Conflicts: slices.Clone(r.conflicts), Held: r.holdings(), Adverts: r.counters(),
		})
	}
	for _, key := range l.trackerKeys() {
		t := l.trackers[key]
		state := t.state()
		if t.cfg.Type == trackInterface {
			state = up
			if l.linkDown(t.cfg.Target) != "" {
				state = down
			}
		}
		s.Trackers = append(s.Trackers, channel.TrackerStatus{Key: key, State: state})
	}
	return s
}

// holdings are the addresses that r has on the host, in the order of its configuration.
func (r *router) holdings() []string {
	var out []string
	for _, p := range r.vips {
		if r.held[p] == holds {
			out = append(out, p.String())
		}
	}
	return out
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

// saved is the document for a successor.
func (l *loop) saved() saved {
	doc := saved{Config: l.config(), Repairs: l.repairs, Pauses: l.pauses}
	for _, r := range l.routers {
		doc.Instances = append(doc.Instances, savedInstance{
			Name: r.name, State: r.m.State().String(), Reason: r.reason, Since: r.since,
			Transitions: r.transitions, Slot: r.slot, Held: r.holdings(),
		})
	}
	for _, key := range l.trackerKeys() {
		t := l.trackers[key]
		silent := t.silent
		if silent == never {
			silent = -1
		}
		doc.Trackers = append(doc.Trackers, savedTracker{Key: key, Word: t.state(), Silent: silent})
	}
	return doc
}

// resume brings up what a predecessor ran. A router that was MASTER stays MASTER if its
// silence, counted from the last advert that it sent, is too short for any peer to have
// noticed; otherwise it starts as BACKUP, and what it held is withdrawn first.
func (l *loop) resume(doc saved) error {
	l.t = l.wire.now()
	l.repairs, l.pauses = doc.Repairs, doc.Pauses
	l.setTrackers(doc.Config.Trackers)
	for _, t := range doc.Trackers {
		if own, ok := l.trackers[t.Key]; ok {
			if t.Word == up || t.Word == down {
				own.word = t.Word
			}
			if t.Silent >= 0 && t.Silent <= l.t {
				own.silent = t.Silent
			}
		}
	}
	before := map[string]savedInstance{}
	for _, i := range doc.Instances {
		before[i.Name] = i
	}
	adopt := map[*router]bool{}
	for _, cfg := range doc.Config.Instances {
		r := newRouter(cfg.ID().Name, cfg)
		if err := r.reload(cfg); err != nil {
			return err
		}
		l.routers = append(l.routers, r)
		adopt[r] = l.inherit(r, before[r.name])
	}
	l.refresh()
	l.drain() // machines in INIT ignore adverts, and start notes rivals
	for _, r := range l.routers {
		r.gate = l.closedGate(r)
		l.start(r, adopt[r])
	}
	l.dirty, l.changed = true, true
	l.settle()
	return nil
}

// inherit gives r its past and reports whether it may stay MASTER.
func (l *loop) inherit(r *router, i savedInstance) bool {
	r.reason, r.since, r.transitions = i.Reason, i.Since, i.Transitions
	adopt := false
	if i.Name != "" && l.store.reclaim(i.Slot) {
		r.slot = i.Slot
		sent := l.store.sent(i.Slot)
		adopt = i.State == vrrp.Master.String() && sent > 0 && sent <= l.t &&
			l.t-sent < vrrp.DownInterval(r.guard.Interval, vrrp.OwnerPriority)
	}
	if !adopt && l.host.marks() {
		return false // what is marked and not held is withdrawn
	}
	for _, s := range i.Held {
		if p, err := netip.ParsePrefix(s); err == nil {
			r.held[p] = holds
		}
	}
	return adopt
}
