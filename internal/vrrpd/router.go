package vrrpd

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A router is one virtual router of this host.
type router struct {
	name    string
	cfg     resource.VRRPInstance
	points  []resource.Points
	m       *vrrp.Machine
	group   *group // nil for one that moves alone
	guard   vrrp.Guard
	auth    *vrrp.Auth
	letters []*vrrp.Letter // one, or one for each unicast peer
	index   int            // of the interface; 0 while there is none
	source  netip.Addr     // what adverts come from; not valid while it is not known
	timers  [numTimers]time.Duration
	startAt time.Duration // when it enters the election
	dueAt   time.Duration // the first of these, as the queue knows it
	place   int           // in the queue
	down    time.Duration // the machine's master-down interval
	gate    string        // why a gate is down; "" while all are up
	broken  string        // why it cannot run as configured; "" if it can
	rival   bool          // another master was heard before the start
	was     string        // its state in the process before this one, until it has one in this
	retell  bool          // what is announced for it has changed

	holdUntil time.Time     // of the wall clock, while HoldTimer runs
	preemptAt time.Duration // when a preempt_delay ends that a predecessor began; 0 if none runs

	reason      string
	since       time.Time
	transitions uint64
	slot        int

	sent, sendErrors    uint64
	rejects             [vrrp.NumRejects]uint64 // Admitted counts what had an effect
	mismatch, plainSums uint64
	warned              [vrrp.NumRejects]time.Duration
	alarms              [numAlarms]alarm
}

func (r *router) ipv6() bool { return r.cfg.Family == resource.IPv6 }

func (r *router) port() wire.Port { return wire.Port{Index: r.index, IPv6: r.ipv6()} }

const (
	// warnEvery is how often one router logs one reason to reject.
	warnEvery = time.Minute
	numTimers = vrrp.HoldTimer + 1
)

func newRouter(name string, cfg resource.VRRPInstance) *router {
	r := &router{name: name, cfg: cfg, slot: -1, startAt: never}
	r.m = vrrp.New(r.machineConfig(cfg.Priority))
	r.down = r.m.DownInterval()
	for t := range r.timers {
		r.timers[t] = never
	}
	return r
}

// machineConfig is what the machine has to know.
func (r *router) machineConfig(priority uint8) vrrp.Config {
	return vrrp.Config{
		Version: uint8(r.cfg.Version), Priority: priority, Interval: time.Duration(r.cfg.Interval),
		Preempt: r.cfg.Preempt, PreemptDelay: time.Duration(r.cfg.PreemptDelay), Source: r.source, Grouped: r.cfg.Group != "",
	}
}

// address prepares what depends on the address that adverts come from: whom to hear, and
// the letters to send. Without a source there is nothing to send.
func (r *router) address(source netip.Addr, password string) error {
	r.source, r.letters = source, nil
	a := vrrp.Advert{Version: uint8(r.cfg.Version), VRID: r.cfg.VRID, Priority: r.cfg.Priority, Interval: time.Duration(r.cfg.Interval)}
	for _, v := range virtuals(r.cfg.Addresses) {
		a.Addresses = append(a.Addresses, v.Prefix.Addr())
	}
	r.guard = vrrp.Guard{
		Version: a.Version, Self: source, Peers: addrs(r.cfg.Peers), Open: r.cfg.OpenPeers, Unicast: r.cfg.Unicast, MinTTL: r.cfg.MinTTL,
		Interval: a.Interval, Addresses: slices.Clone(a.Addresses), Auth: r.auth,
	}
	var pass *[maxPassword]byte
	if r.cfg.Password != "" {
		pass = new([maxPassword]byte)
		copy(pass[:], password)
		r.guard.Password, r.guard.HasPassword = *pass, true
	}
	if !source.IsValid() {
		return nil
	}
	form := vrrp.FormPseudo
	if r.cfg.Checksum == resource.ChecksumMessage {
		form = vrrp.FormMessage
	}
	to := r.guard.Peers
	if !r.cfg.Unicast {
		to = []netip.Addr{vrrp.Multicast4}
		if r.ipv6() {
			to[0] = vrrp.Multicast6
		}
	}
	for _, peer := range to {
		l, err := vrrp.NewLetter(&a, source, peer, form, r.auth, pass)
		if err != nil {
			return err
		}
		r.letters = append(r.letters, l)
	}
	return nil
}

// step gives a machine an event, by way of its group if it has one.
func (l *loop) step(r *router, e vrrp.Event) {
	if r.group != nil {
		r.group.machines.Step(r.m, e, l.doMachine)
		return
	}
	l.do(r, r.m.Step(e))
}

// do carries out what a machine asks for, in order.
func (l *loop) do(r *router, actions []vrrp.Action) {
	for _, a := range actions {
		switch a.Do {
		case vrrp.Advertise:
			l.advertise(r, a.Priority)
		case vrrp.SetTimer:
			r.timers[a.Timer] = l.t + a.After
			switch a.Timer {
			case vrrp.PreemptTimer:
				l.resumeDelay(r)
			case vrrp.HoldTimer:
				r.holdUntil, l.changed = time.Now().Add(a.After), true
			}
		case vrrp.ShiftTimer:
			if r.timers[a.Timer] != never {
				r.timers[a.Timer] += a.After
			}
		case vrrp.ClearTimer:
			r.timers[a.Timer] = never
			l.changed = l.changed || a.Timer == vrrp.HoldTimer
		case vrrp.Announce:
			l.announce.Again(r.name, l.t)
		case vrrp.Move:
			l.moved(r, a)
		}
	}
	l.queue.fix(r)
	if down := r.m.DownInterval(); down != r.down {
		r.down, l.shortest = down, 0
	}
}

// resumeDelay goes on with a preempt_delay that a predecessor began.
func (l *loop) resumeDelay(r *router) {
	if at := r.preemptAt; at > 0 {
		r.timers[vrrp.PreemptTimer] = min(r.timers[vrrp.PreemptTimer], at)
	}
	r.preemptAt, l.changed = 0, true
}

// received handles one packet. Nothing here allocates.
func (l *loop) received(in *input) {
	e, form, reject := vrrp.Open(in.packet, &l.advert)
	r := l.byKey[routerKey{in.port, l.advert.VRID}]
	if r == nil {
		return // another cluster's router, or bytes that name none
	}
	if reject == vrrp.Admitted {
		var wall time.Time
		if r.auth != nil {
			wall = l.lan.wall()
		}
		reject = r.guard.Judge(&l.advert, e, form, wall)
	}
	r.rejects[reject]++
	if reject != vrrp.Admitted {
		l.rejected(r, reject, e.From)
		return
	}
	if form == vrrp.FormMessage && l.advert.Version == 3 && !e.IPv6 {
		r.plainSums++
	}
	l.suspect(r, e.From)
	if !r.guard.SameAddresses(&l.advert) {
		r.mismatch++
		l.alarm(r, alarmAddresses, e.From)
	}
	if l.advert.Priority > 0 {
		switch r.m.State() {
		case vrrp.Init:
			r.rival = true
		case vrrp.Master:
			l.alarm(r, alarmDual, e.From)
		}
	}
	l.step(r, vrrp.Received{Priority: l.advert.Priority, Interval: l.advert.Interval, Source: e.From})
}

// suspect notes what is odd about a sender who is admitted all the same. Where the peers'
// addresses are not known, one who is not known is no reason for an alarm that would never end.
func (l *loop) suspect(r *router, from netip.Addr) {
	if r.guard.Open && r.guard.Stranger(from) {
		r.rejects[vrrp.RejectStranger]++
	}
	if r.auth == nil || !l.advert.Signed() {
		return
	}
	if _, far := r.auth.Drift(); far {
		l.alarm(r, alarmClock, from)
	}
}

// rejected notes an advert that has no effect.
func (l *loop) rejected(r *router, reject vrrp.Reject, from netip.Addr) {
	switch reject {
	case vrrp.RejectStranger:
		l.alarm(r, alarmStranger, from)
	case vrrp.RejectOwn:
		l.alarm(r, alarmOwn, from)
	case vrrp.RejectOtherVersion, vrrp.RejectAuthType, vrrp.RejectPassword, vrrp.RejectMismatch, vrrp.RejectBounds,
		vrrp.RejectUnsigned, vrrp.RejectSigned, vrrp.RejectKey, vrrp.RejectHMAC, vrrp.RejectStale:
		l.alarm(r, alarmSettings, from)
	}
	if l.t >= r.warned[reject] {
		r.warned[reject] = l.t + warnEvery
		l.log.Warn("advert has no effect", "router", r.name, "from", from.String(), "reason", reject.String())
	}
}

// advertise sends the advert to everybody who should hear it, and notes the time for a
// successor of this process.
func (l *loop) advertise(r *router, priority uint8) {
	var wall time.Time
	if r.auth != nil {
		wall = l.lan.wall()
	}
	if r.cfg.VirtualMAC && priority > 0 && r.m.State() == vrrp.Master {
		l.table.Acquire(r.name) // the macvlan has to be up before anything can leave through it
	}
	index, _ := l.table.Transmit(r.name)
	for _, letter := range r.letters {
		if err := l.lan.send(index, letter.To(), letter.Packet(priority, wall)); err != nil {
			l.unsent(r, letter.To(), err, priority)
			continue
		}
		r.sent++
		if priority > 0 {
			l.store.touch(r.slot, l.t)
		}
	}
}

// unsent notes an advert that the kernel did not take. A MASTER whom nobody hears will soon
// be one of two; a resignation fails when the link is gone.
func (l *loop) unsent(r *router, to netip.Addr, err error, priority uint8) {
	r.sendErrors++
	if priority == 0 {
		return
	}
	if r.alarms[alarmSend].until <= l.t {
		l.log.Error("cannot send advert", "router", r.name, "to", to.String(), "err", err)
	}
	l.alarm(r, alarmSend, to)
}

// moved makes the host follow a transition.
func (l *loop) moved(r *router, a vrrp.Action) {
	r.reason = a.Why.String()
	if a.Why == vrrp.GateDown && r.gate != "" {
		r.reason = r.gate
	}
	goesOn := a.From == vrrp.Init && a.To.String() == r.was && (a.To != vrrp.Master || a.Why == vrrp.Adopted)
	if !goesOn {
		r.since = time.Now()
		r.transitions++
	}
	r.was = ""
	l.changed = true
	switch {
	case a.To == vrrp.Master:
		l.table.Acquire(r.name)
		l.announce.Start(r.name, l.table.Targets(r.name), policy(r.cfg.Announce), l.t)
	default:
		l.store.clear(r.slot)
		l.announce.Drop(r.name)
		l.table.Release(r.name)
	}
	l.log.Info("transition", "router", r.name, "from", a.From.String(), "to", a.To.String(), "reason", r.reason)
}
