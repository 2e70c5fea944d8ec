package vrrpd

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/hareconcile/hareconcile/internal/bfdd"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/internal/vrrpd/track"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// watchers look at what the loop does not see by itself: processes, files, hosts, sessions.
type watchers interface {
	set([]resource.VRRPTracker)
	saved() []bfdd.Saved // what a successor needs to go on with sessions
}

// watching is the real watchers.
type watching struct {
	host     *track.Watcher
	sessions *bfdd.Daemon
	log      *slog.Logger
}

func newWatching(report func(track.Result), log *slog.Logger) *watching {
	return &watching{
		host:     track.New(report, log),
		sessions: bfdd.New(func(r bfdd.Result) { report(track.Result{Key: r.Key, State: r.State, Message: r.Message}) }, log),
		log:      log,
	}
}

// set implements watchers.
func (w *watching) set(list []resource.VRRPTracker) {
	w.host.Set(list)
	w.sessions.Set(list)
}

// saved implements watchers.
func (w *watching) saved() []bfdd.Saved { return w.sessions.Saved() }

// run watches until ctx ends.
func (w *watching) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { w.ended("trackers", w.host.Run(ctx)) })
	both.Go(func() { w.ended("bfd", w.sessions.Run(ctx)) })
	both.Wait()
}

func (w *watching) ended(what string, err error) {
	if err != nil {
		w.log.Error("watcher ended", "kind", what, "err", err)
	}
}

// A mailbox brings what other goroutines saw to the loop. The last word of each counts.
type mailbox struct {
	wake func()

	mu   sync.Mutex
	news map[resource.TrackerKey]track.Result
}

func newMailbox(wake func()) *mailbox {
	return &mailbox{wake: wake, news: map[resource.TrackerKey]track.Result{}}
}

// put leaves a result. It does not block.
func (m *mailbox) put(r track.Result) {
	m.mu.Lock()
	m.news[r.Key] = r
	m.mu.Unlock()
	m.wake()
}

// take returns one result, if there is any.
func (m *mailbox) take() (track.Result, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, r := range m.news {
		delete(m.news, key)
		return r, true
	}
	return track.Result{}, false
}

// watched takes the word of a watcher.
func (l *loop) watched(r track.Result) {
	t, ok := l.trackers[r.Key]
	if !ok {
		return
	}
	if l.tell(t, r.State, r.Value, r.Message) {
		l.regate()
	}
}

// word is up if nothing is wrong.
func word(good bool) string {
	if good {
		return up
	}
	return down
}

// watchLinks looks at the interfaces that are tracked.
func (l *loop) watchLinks() {
	for _, t := range l.trackers {
		if t.cfg.Type == resource.TrackInterface {
			why := l.linkDown(t.cfg.Target)
			l.tell(t, word(why == ""), 0, why)
		}
	}
}

// watchAddress follows the addresses that are tracked; it reports whether one changed.
func (l *loop) watchAddress(a rtnl.Address, gone bool) bool {
	t := l.trackers[resource.TrackAddress+"/"+a.Prefix.Addr().String()]
	if t == nil || t.cfg.Device != "" && t.cfg.Device != l.linkName(a.Index) {
		return false
	}
	if gone { // elsewhere on the host, perhaps
		return l.countAddress(t)
	}
	return l.tell(t, up, 0, "")
}

// watchRoute follows the routes that are tracked; it reports whether one changed.
func (l *loop) watchRoute(r rtnl.Route, gone bool) bool {
	t := l.trackers[resource.TrackRoute+"/"+r.Prefix.String()]
	if t == nil {
		return false
	}
	if gone || t.cfg.Device != "" { // another one to the same place, perhaps
		return l.countRoute(t)
	}
	return l.tell(t, up, 0, "")
}

// countAddress asks the kernel for the address that is tracked.
func (l *loop) countAddress(t *tracker) bool {
	want, err := netip.ParseAddr(t.cfg.Target)
	if err != nil {
		return false // checkTracker refuses it
	}
	have, err := l.kernel.Addresses()
	if err != nil {
		return l.tell(t, "", 0, err.Error())
	}
	for _, a := range have {
		if a.Prefix.Addr() == want && (t.cfg.Device == "" || t.cfg.Device == l.linkName(a.Index)) {
			return l.tell(t, up, 0, "")
		}
	}
	return l.tell(t, down, 0, "this host does not have it")
}

// countRoute asks the kernel for the route that is tracked.
func (l *loop) countRoute(t *tracker) bool {
	want, err := netip.ParsePrefix(t.cfg.Target)
	if err != nil {
		return false
	}
	found := false
	err = l.kernel.Routes(rtnl.RouteFilter{}, func() { found = false }, func(r rtnl.Route) {
		found = found || r.Prefix == want && (t.cfg.Device == "" || t.cfg.Device == l.linkName(r.Index))
	})
	if err != nil {
		return l.tell(t, "", 0, err.Error())
	}
	if found {
		return l.tell(t, up, 0, "")
	}
	return l.tell(t, down, 0, "there is no such route")
}

// hearRoutes asks to hear of others' routes if, and only if, one may matter.
func (l *loop) hearRoutes() {
	on := l.table.Routes()
	for _, t := range l.trackers {
		on = on || t.cfg.Type == resource.TrackRoute
	}
	if on == l.everyRoute {
		return
	}
	if err := l.lan.everyRoute(on); err != nil {
		l.log.Warn("cannot choose routes to hear of", "err", err) // hears of more than it has to
	}
	l.everyRoute = on
}

// recount looks at everything that netlink tells of, as after lost events.
func (l *loop) recount() {
	l.hearRoutes() // before they are listed
	have, err := l.kernel.Addresses()
	if err != nil {
		l.log.Error("cannot list addresses", "err", err)
		l.retryAt = min(l.retryAt, l.t+retryAfter)
		return
	}
	clear(l.local)
	for _, a := range have {
		l.localChanged(a, false)
	}
	for _, t := range l.trackers {
		switch t.cfg.Type {
		case resource.TrackAddress:
			l.countAddress(t)
		case resource.TrackRoute:
			l.countRoute(t)
		}
	}
	l.watchLinks()
}

func (l *loop) linkName(index int) string {
	for name, k := range l.links {
		if k.Index == index {
			return name
		}
	}
	return ""
}
