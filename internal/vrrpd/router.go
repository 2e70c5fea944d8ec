package vrrpd

import (
	"net/netip"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A router is one virtual router of this host.
type router struct {
	name       string
	cfg        resource.VRRPInstance
	vips       []netip.Prefix
	m          *vrrp.Machine
	guard      vrrp.Guard
	ifindex    int           // 0 while the interface does not exist
	deadline   time.Duration // the machine's timer
	announceAt time.Duration // the second burst
	burstAt    time.Duration // the last burst
	packet     []byte        // the advert with our priority
	resign     []byte        // the advert with priority 0
	gate       string        // why a gate is down; "" while all are up
	rival      bool          // another master was heard before the start
	held       map[netip.Prefix]holding
	conflicts  []string

	reason      string
	since       time.Time
	transitions uint64
	slot        int

	sent, sendErrors    uint64
	rejects             [vrrp.NumRejects]uint64 // Admitted counts what had an effect
	mismatch, plainSums uint64
	warned              [vrrp.NumRejects]time.Duration
}

// A holding is what became of an address that we put on the host.
type holding uint8

const (
	holds holding = iota + 1
	lost          // somebody removed it
)

const (
	// announceRounds is how often each address is announced in a burst; a second burst
	// comes announceDelay later (keepalived: garp_master_repeat, garp_master_delay).
	announceRounds = 5
	announceDelay  = 5 * time.Second
	// announcePause is the least time between bursts that adverts of others cause.
	announcePause = time.Second
	// warnEvery is how often one router logs one reason to reject.
	warnEvery = time.Minute
)

// reload takes over cfg, which check has accepted, and prepares both packets.
func (r *router) reload(cfg resource.VRRPInstance) error {
	vips, peers := prefixes(cfg.Addresses), addrs(cfg.Peers)
	a := vrrp.Advert{VRID: cfg.VRID, Priority: cfg.Priority, Interval: time.Duration(cfg.Interval)}
	for _, p := range vips {
		a.Addresses = append(a.Addresses, p.Addr())
	}
	packet, err := a.AppendPacket(nil, cfg.Source)
	if err != nil {
		return err
	}
	a.Priority = 0
	resign, err := a.AppendPacket(nil, cfg.Source)
	if err != nil {
		return err
	}
	r.cfg, r.vips, r.packet, r.resign = cfg, vips, packet, resign
	r.guard = vrrp.Guard{Self: cfg.Source, Peers: peers, Interval: a.Interval, Addresses: a.Addresses}
	return nil
}

// machineConfig is what the machine has to know of cfg.
func machineConfig(cfg resource.VRRPInstance) vrrp.Config {
	return vrrp.Config{
		Priority: cfg.Priority, Interval: time.Duration(cfg.Interval), Preempt: cfg.Preempt, Source: cfg.Source,
	}
}

// received handles one packet. Nothing here allocates.
func (l *loop) received(in *input) {
	from, form, reject := vrrp.Receive(in.packet, &l.advert)
	r := l.byKey[routerKey{in.ifindex, l.advert.VRID}]
	if r == nil {
		return // another cluster's router, or bytes that name none
	}
	if reject == vrrp.Admitted {
		reject = r.guard.Admit(&l.advert, from)
	}
	r.rejects[reject]++
	if reject != vrrp.Admitted {
		if l.t >= r.warned[reject] {
			r.warned[reject] = l.t + warnEvery
			l.log.Warn("advert has no effect", "router", r.name, "from", from.String(), "reason", reject.String())
		}
		return
	}
	if form == vrrp.FormMessage {
		r.plainSums++
	}
	if !r.guard.SameAddresses(&l.advert) {
		r.mismatch++
	}
	if r.m.State() == vrrp.Init && l.advert.Priority > 0 {
		r.rival = true
	}
	l.do(r, r.m.Step(vrrp.Received{Priority: l.advert.Priority, Interval: l.advert.Interval, Source: from}))
}

// do carries out what a machine asks for, in order.
func (l *loop) do(r *router, actions []vrrp.Action) {
	for _, a := range actions {
		switch a.Do {
		case vrrp.Advertise:
			l.advertise(r, a.Priority)
		case vrrp.SetTimer:
			r.deadline = l.t + a.After
		case vrrp.ShiftTimer:
			if r.deadline != never {
				r.deadline += a.After
			}
		case vrrp.ClearTimer:
			r.deadline = never
		case vrrp.Announce:
			if l.t-r.burstAt >= announcePause {
				l.burst(r)
			}
		case vrrp.Move:
			l.moved(r, a)
		}
	}
}

// advertise sends the advert, and notes the time for a successor of this process.
func (l *loop) advertise(r *router, priority uint8) {
	packet := r.packet
	if priority == 0 {
		packet = r.resign
	}
	if err := l.wire.send(r.ifindex, packet); err != nil {
		if r.sendErrors++; r.sendErrors == 1 {
			l.log.Error("cannot send advert", "router", r.name, "err", err)
		}
		return
	}
	r.sent++
	if priority > 0 {
		l.store.touch(r.slot, l.t)
	}
}

// moved makes the host follow a transition.
func (l *loop) moved(r *router, a vrrp.Action) {
	r.reason = a.Why.String()
	if a.Why == vrrp.GateDown {
		r.reason = r.gate
	}
	if a.Why != vrrp.Adopted {
		r.since = time.Now()
		r.transitions++
	}
	l.changed = true
	switch {
	case a.To == vrrp.Master:
		l.acquire(r)
	default:
		l.store.clear(r.slot)
		l.release(r)
	}
	l.log.Info("transition", "router", r.name, "from", a.From.String(), "to", a.To.String(), "reason", r.reason)
}

// burst announces every address several times.
func (l *loop) burst(r *router) {
	if r.m.State() != vrrp.Master {
		return
	}
	k := l.links[r.cfg.Interface]
	for range announceRounds {
		for _, p := range r.vips {
			if err := l.host.announce(k, p.Addr()); err != nil {
				l.log.Warn("cannot announce address", "router", r.name, "err", err)
				return
			}
		}
	}
	r.burstAt = l.t
}
