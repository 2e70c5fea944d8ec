package bfdd

import (
	"cmp"
	"crypto/rand"
	"errors"
	"log/slog"
	mrand "math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/bfd"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	// retryAfter is the wait before something that the kernel refused is tried again.
	retryAfter = time.Second
	// farewells is how often a peer is told at the end that it is on purpose, and
	// farewellPause the time between two when the process ends.
	farewells     = 3
	farewellPause = 10 * time.Millisecond
)

// A loop owns all sessions. Nothing else touches its fields.
type loop struct {
	wire     wire
	report   func(Result)
	save     func(resource.TrackerKey, Saved)
	resume   []Saved // of a predecessor, until the first configure
	log      *slog.Logger
	t        time.Duration // this round's time
	planned  time.Duration // when this round was to begin at the latest
	cfgs     []resource.VRRPTracker
	peers    map[resource.TrackerKey]*peer
	byTarget map[netip.Addr][]*peer
	leaving  []*farewell
	retryAt  time.Duration // of listening
	deaf     [2]error      // why IPv4 or IPv6 cannot be heard
	random   *mrand.Rand
	in       datagram
	packet   bfd.Packet
	out      []byte
}

// A farewell tells a peer that its session has ended on purpose.
type farewell struct {
	*peer
	packet []byte
	left   int
	at     time.Duration
	every  time.Duration
}

func newLoop(w wire, report func(Result), save func(resource.TrackerKey, Saved), resume []Saved, log *slog.Logger) *loop {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	return &loop{
		wire: w, report: report, save: save, resume: resume, log: log, t: w.now(), planned: never, retryAt: never,
		peers: map[resource.TrackerKey]*peer{}, byTarget: map[netip.Addr][]*peer{},
		random: mrand.New(mrand.NewChaCha8(seed)), out: make([]byte, 0, bfd.PacketLen),
	}
}

// configure replaces the sessions, in place.
func (l *loop) configure(cfgs []resource.VRRPTracker) {
	l.t = l.wire.now()
	l.cfgs = cfgs
	old := l.peers
	l.peers, l.byTarget = make(map[resource.TrackerKey]*peer, len(cfgs)), map[netip.Addr][]*peer{}
	var wanted [2][]netip.Addr
	for _, c := range cfgs {
		p := old[c.Key()]
		if p == nil {
			p = l.newPeer(c.Key())
		}
		delete(old, c.Key())
		l.peers[c.Key()] = p
		where, ok := pathOf(c)
		if !ok {
			p.shut()
			p.path = path{}
			p.verdict.refused("no address of a host on the link")
			continue
		}
		if p.path != where {
			p.shut()
			p.retryAt = l.t
		}
		p.path, p.cfg = where, configOf(c)
		l.byTarget[where.target] = append(l.byTarget[where.target], p)
		wanted[family(where.target)] = append(wanted[family(where.target)], where.target)
	}
	for _, p := range old {
		l.dismiss(p, p.cfg.DesiredMinTx, int(p.cfg.Multiplier))
	}
	l.listen(wanted)
	for _, p := range l.peers {
		l.start(p)
		l.tell(p)
	}
	for _, s := range l.resume { // of those that are not wanted any more
		if l.peers[s.Key] == nil {
			l.save(s.Key, Saved{})
		}
	}
	l.resume = nil
}

// remind reports again what is known of sessions that were away for so short a time that
// they went on.
func (l *loop) remind(unset map[resource.TrackerKey]bool) {
	for key, p := range l.peers {
		if unset[key] && p.told != (Result{Key: key}) {
			l.report(p.told)
		}
	}
}

func family(a netip.Addr) int {
	if a.Is6() {
		return 1
	}
	return 0
}

// newPeer makes a session that no tracker had. Another of that name that is still taking
// leave stops, or its peer would hear both.
func (l *loop) newPeer(key resource.TrackerKey) *peer {
	l.leaving = slices.DeleteFunc(l.leaving, func(f *farewell) bool {
		if f.key == key {
			f.shut()
		}
		return f.key == key
	})
	p := &peer{key: key, told: Result{Key: key}}
	for p.discr == 0 || l.taken(p.discr) {
		p.discr = l.random.Uint32()
	}
	p.session = bfd.New(bfd.Config{}, p.discr, l.random.Uint32)
	p.verdict.due = never
	return p
}

func (l *loop) taken(discr uint32) bool {
	for _, p := range l.peers {
		if p.discr == discr {
			return true
		}
	}
	return slices.ContainsFunc(l.leaving, func(f *farewell) bool { return f.discr == discr })
}

// listen hears the peers. A family that cannot be heard is tried again.
func (l *loop) listen(wanted [2][]netip.Addr) {
	l.retryAt = never
	for i, peers := range wanted {
		err := l.wire.listen(i == 1, peers)
		if err != nil {
			l.retryAt = l.t + retryAfter
			if l.deaf[i] == nil {
				l.log.Warn("cannot listen for BFD", "err", err)
			}
		}
		l.deaf[i] = err
	}
}

// start starts a session that is not running, or changes one that is.
func (l *loop) start(p *peer) {
	if !p.path.target.IsValid() || l.deaf[family(p.path.target)] != nil {
		if p.session.State() != bfd.AdminDown {
			l.do(p, p.session.Step(l.t, bfd.Stop{}))
		}
		if p.path.target.IsValid() {
			p.verdict.refused(l.deaf[family(p.path.target)].Error())
		}
		return
	}
	if i := slices.IndexFunc(l.resume, func(s Saved) bool { return s.Key == p.key && s.Local != 0 }); i >= 0 {
		p.saved = l.resume[i]
		p.discr = p.saved.Local
		p.session = bfd.Resume(l.t, p.cfg, p.discr, p.saved.Peer, l.random.Uint32)
		p.verdict = verdict{state: Up, due: never}
		return
	}
	l.do(p, p.session.Step(l.t, bfd.Reconfigured{Config: p.cfg}))
	if p.session.State() == bfd.AdminDown {
		p.verdict.started(l.t)
		l.do(p, p.session.Step(l.t, bfd.Start{}))
	}
}

// round waits once, drains everything that is queued, and only then looks at timers, by
// the time from before the drain: packets that queued while nobody read are not silence.
func (l *loop) round() error {
	l.planned = l.next()
	if err := l.wire.wait(l.planned); err != nil {
		return err
	}
	l.t = l.wire.now()
	l.noticePause(l.t - l.planned)
	l.timers(l.drain())
	return nil
}

// next is when the first timer runs out. While a session could fail, a round is planned
// four times in its detection time, so that a longer gap can only be a pause.
func (l *loop) next() time.Duration {
	next := l.retryAt
	for _, p := range l.peers {
		next = min(next, p.deadline())
		if p.session.State() > bfd.Down {
			next = min(next, l.t+p.detection()/4)
		}
	}
	for _, f := range l.leaving {
		next = min(next, f.at)
	}
	return next
}

// noticePause gives peers another detection time if nobody listened for a good part of
// one: a host that was suspended has no queue that could prove that they were there.
func (l *loop) noticePause(late time.Duration) {
	for _, p := range l.peers {
		if late > p.detection()/4 {
			l.do(p, p.session.Step(l.t, bfd.Woke{}))
		}
	}
}

// drain handles what is queued; false if there is more than one round may read.
func (l *loop) drain() bool {
	for {
		ok, more := l.wire.next(&l.in)
		if !ok {
			return !more
		}
		l.received(&l.in)
	}
}

// received takes a datagram if it is from a peer on its link: its TTL proves that it
// crossed no router (RFC 5881, section 5), its source that it is one of ours.
func (l *loop) received(d *datagram) {
	if d.ttl != bfd.TTL {
		return
	}
	for _, p := range l.byTarget[d.from] {
		if r := l.packet.Parse(d.data); r != bfd.Accepted {
			l.log.Debug("refused a BFD packet", "id", p.key, "reason", r.String())
			return
		}
		if !p.admits(d, &l.packet) {
			continue
		}
		l.do(p, p.session.Step(l.t, bfd.Received{Packet: &l.packet}))
		p.verdict.heard(l.t, l.packet.State)
		l.tell(p)
		return
	}
}

// timers acts on what ran out. Where more is queued than could be read, nothing is silence.
func (l *loop) timers(drained bool) {
	for _, p := range l.peers {
		if p.session.Deadline() <= l.t {
			if !drained {
				p.session.Step(l.t, bfd.Woke{})
			}
			l.do(p, p.session.Step(l.t, bfd.TimerFired{}))
		}
		if p.verdict.due <= l.t {
			said, heard := p.session.Peer()
			p.verdict.fire(said, heard)
		}
		l.tell(p)
	}
	l.bye()
	if l.retryAt <= l.t {
		l.configure(l.cfgs)
	}
}

// do carries out what a session asks for.
func (l *loop) do(p *peer, actions []bfd.Action) {
	for _, a := range actions {
		switch a.Do {
		case bfd.Transmit:
			l.send(p, a.Packet.Append(l.out[:0]))
		case bfd.Move:
			said, _ := p.session.Peer()
			p.verdict.moved(l.t, a.From, a.To, a.Why, said)
			if a.From == bfd.Up || a.To == bfd.Up {
				l.log.Info("BFD session moved", "id", p.key, "to", a.To.String(), "reason", a.Why.String())
			}
		}
	}
}

// send sends a packet, and makes a way if there is none. A way that fails is made anew,
// as after its device went and came back.
func (l *loop) send(p *peer, packet []byte) {
	if p.way == nil {
		if l.t < p.retryAt || !p.path.target.IsValid() {
			return
		}
		w, err := l.wire.open(p.path, p.discr)
		if p.wayErr = err; err != nil {
			p.retryAt = l.t + retryAfter
			return
		}
		p.way = w
	}
	if p.wayErr = p.way.send(packet); errors.Is(p.wayErr, errStale) {
		p.shut()
	}
}

// tell reports and saves what is new of a session.
func (l *loop) tell(p *peer) {
	if s := p.lasting(); s != p.saved {
		p.saved = s
		l.save(p.key, s)
	}
	r := Result{p.key, p.verdict.state, p.verdict.message}
	if r.State == Down && p.wayErr != nil {
		r.Message = p.wayErr.Error()
	}
	if r != p.told {
		p.told = r
		l.report(r)
	}
}

// dismiss ends a session and keeps telling its peer so for a while.
func (l *loop) dismiss(p *peer, every time.Duration, times int) {
	l.save(p.key, Saved{})
	for _, a := range p.session.Step(l.t, bfd.Stop{}) {
		if a.Do == bfd.Transmit {
			l.leaving = append(l.leaving, &farewell{peer: p, packet: a.Packet.Append(nil), left: times, at: l.t, every: every})
			l.bye()
			return
		}
	}
	p.shut() // it never ran, or its peer wants no packet
}

// bye sends the farewells that are due.
func (l *loop) bye() {
	l.leaving = slices.DeleteFunc(l.leaving, func(f *farewell) bool {
		if f.at > l.t {
			return false
		}
		l.send(f.peer, f.packet)
		f.at, f.left = l.t+f.every, f.left-1
		if f.left > 0 {
			return false
		}
		f.shut()
		return true
	})
}

// leave tells every peer that the process ends on purpose.
func (l *loop) leave() error {
	l.t = l.wire.now()
	for key, p := range l.peers {
		delete(l.peers, key)
		l.dismiss(p, farewellPause, farewells)
	}
	for _, f := range l.leaving {
		f.left = min(f.left, farewells)
		f.at, f.every = min(f.at, l.t+farewellPause), farewellPause
	}
	for len(l.leaving) > 0 {
		first := slices.MinFunc(l.leaving, func(a, b *farewell) int { return cmp.Compare(a.at, b.at) })
		if err := l.wire.wait(first.at); err != nil {
			return err
		}
		for more := true; more; { // what is heard now has no effect, but would end the next wait
			more, _ = l.wire.next(&l.in)
		}
		l.t = l.wire.now()
		l.bye()
	}
	return nil
}

// close lets go of every way.
func (l *loop) close() {
	for _, p := range l.peers {
		p.shut()
	}
	for _, f := range l.leaving {
		f.shut()
	}
}
