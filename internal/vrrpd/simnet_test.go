package vrrpd

import (
	"io"
	"iter"
	"math/bits"
	"net/netip"
	"time"
)

// A simWorld is a simulated cluster: hosts, the segments between them, and one clock. What
// happens depends on the plan alone; nothing is drawn from a shared stream of chance, so
// that the order in which a host sends at one instant does not matter.
type simWorld struct {
	plan   *simPlan
	t      time.Duration
	events simHeap
	hosts  []*simHost
	loss   float64                                         // of every packet
	cuts   [simMaxRouters][simMaxNodes][simMaxNodes]int    // segment, from, to: how many cuts there are
	drawn  [simMaxRouters][simMaxNodes][simMaxNodes]uint64 // packets so far: router, from, to
	check  *simCheck
	mended bool      // nothing stays down any more
	trace  io.Writer // nil but for the report of a failure
}

// A simHost is one machine: its kernel's addresses, its disk, and perhaps a process.
type simHost struct {
	w         *simWorld
	id        int
	disk      any    // what the engine left for its successor
	addrs     uint32 // routers whose address is on the host
	packets   []simInput
	orders    []simInput
	quiet     bool          // the packets had their share of this round
	config    []simConfig   // by router, what the operator wants now
	gates     []int         // by router, how many are down
	gated     time.Duration // when a gate or carrier last changed
	asked     time.Duration // when it was last told to resign
	unplugged []int         // by segment, how often

	engine *simLoop // nil while no process runs
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	until  time.Duration // what the process waits for
	turn   uint64        // of the wake-up that counts
	paused bool          // SIGSTOP
	fuse   int           // calls of the kernel until the process is stopped or killed
	blow   func()        // what happens then
	busy   bool          // it does not wait
	fresh  bool          // the process has not looked at the clock since it waited
	empty  bool          // it has not looked at the clock since it read everything
	looked bool          // it has, and has not read everything again
	quit   bool          // the last process ended as it was told to
}

// A simInput is a packet, or an order of the operator.
type simInput struct {
	segment int
	router  int // that the order is for
	from    int
	packet  []byte
	order   simOrder
}

// A simOrder is what an operator or the agent tells a process.
type simOrder uint8

const (
	simNoOrder simOrder = iota
	simConfigure
	simTrack
	simResign
	simStop
	simAttend   // the agent connects
	simCarrier  // of a segment changed
	simStripped // somebody took an address off the host
)

type simKilled struct{} // unwinds a process that was killed

const (
	simMaxNodes   = 5
	simMaxRouters = 3
)

// boot starts a process.
func (h *simHost) boot() {
	h.engine, h.busy = newSimLoop(h), true
	for _, o := range []simOrder{simAttend, simConfigure, simTrack} {
		h.orders = append(h.orders, simInput{order: o})
	}
	h.resume, h.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			e := recover()
			if e != nil && e != (simKilled{}) {
				panic(e)
			}
			h.quit = e == nil
		}()
		h.yield = yield
		h.engine.run()
	})
	h.w.check.booted(h)
	h.proceed()
}

// proceed lets the process run until it waits, is stopped, or ends.
func (h *simHost) proceed() {
	if _, alive := h.resume(); !alive {
		h.buried()
		return
	}
	if !h.paused {
		h.w.check.waits(h)
		h.w.push(simEvent{at: max(h.until, h.w.t), class: simWakes, node: h.id, turn: h.turn})
	}
}

// kill ends the process without a word.
func (h *simHost) kill() {
	if h.engine != nil {
		h.stop()
		h.buried()
	}
}

func (h *simHost) buried() {
	h.turn++
	h.w.check.died(h)
	h.engine, h.paused, h.fuse, h.quiet = nil, false, 0, false
	h.packets, h.orders = h.packets[:0], h.orders[:0]
}

// pause is SIGSTOP, with SIGCONT after d.
func (h *simHost) pause(d time.Duration) {
	h.paused = true
	h.w.tell("%v is stopped for %v", h, d)
	h.turn++
	h.w.check.stopped(h, d)
	h.w.push(simEvent{at: h.w.t + d, class: simResumes, node: h.id, turn: h.turn})
}

// checkpoint is called with every call of the kernel: that is where a fuse burns.
func (h *simHost) checkpoint() {
	if h.fuse == 0 {
		return
	}
	if h.fuse--; h.fuse == 0 {
		h.blow()
		if h.paused && !h.yield(struct{}{}) {
			panic(simKilled{})
		}
	}
}

// now, wait, next and send are the kernel.
func (h *simHost) now() time.Duration {
	h.checkpoint()
	switch {
	case h.fresh:
		h.w.check.looks(h)
		h.w.check.judges(h)
		h.looked = false
	case h.empty:
		h.w.check.looks(h)
		h.looked = true
	}
	h.fresh, h.empty = false, false
	return h.w.t
}

// wait returns at that time, or earlier when something can be read.
func (h *simHost) wait(until time.Duration) {
	h.checkpoint()
	h.until, h.busy = until, false
	if len(h.packets)+len(h.orders) > 0 {
		h.until = h.w.t
	}
	if !h.yield(struct{}{}) {
		panic(simKilled{})
	}
	h.fresh, h.busy = true, true
}

// next takes one input, as the real lan does: first packets, then what is none.
func (h *simHost) next(in *simInput) bool {
	h.checkpoint()
	switch {
	case !h.quiet && len(h.packets) > 0:
		*in, h.packets = h.packets[0], h.packets[1:]
		return true
	case len(h.orders) > 0:
		*in, h.orders, h.quiet = h.orders[0], h.orders[1:], true
		return true
	}
	h.quiet, h.empty = false, true
	if h.looked { // and read everything that had arrived by then
		h.looked = false
		h.w.check.judges(h)
	}
	return false
}

// send puts a packet on a segment, for everybody there or for one.
func (h *simHost) send(segment int, peer netip.Addr, packet []byte) {
	h.checkpoint()
	w := h.w
	a := simRead(packet)
	r := w.plan.router(segment, a.vrid)
	w.check.sent(h, r, a)
	w.tell("%v sends %d for router %d", h, a.priority, r)
	data := append([]byte(nil), packet...)
	for to := range w.hosts {
		if to != h.id && (peer.IsMulticast() || peer == w.plan.routers[r].source(to)) {
			w.carry(simInput{segment: segment, from: h.id, packet: data}, r, to)
		}
	}
}

// carry decides what becomes of one packet on its way to one host.
func (w *simWorld) carry(in simInput, router, to int) {
	w.drawn[router][in.from][to]++
	chance := simMix(w.plan.seed ^ uint64(router)<<8 ^ uint64(in.from)<<16 ^ uint64(to)<<24 ^ w.drawn[router][in.from][to]<<32)
	draw := func(p float64) bool {
		chance = simMix(chance)
		return float64(chance>>11)/(1<<53) < p
	}
	if w.cut(in.segment, in.from, to) || draw(w.loss) {
		w.check.lost(router, in.from, to)
		return
	}
	copies := 1
	if draw(w.plan.twice) {
		copies = 2
	}
	for range copies {
		chance = simMix(chance)
		delay := w.plan.delay
		if w.plan.jitter > 0 {
			delay += time.Duration(chance % uint64(w.plan.jitter))
		}
		w.push(simEvent{at: w.t + delay, class: simDelivers, node: to, tie: chance, in: in})
	}
}

// order queues an order for the process, if one runs.
func (h *simHost) order(in simInput) {
	switch in.order {
	case simTrack, simCarrier:
		h.gated = h.w.t
	case simResign:
		h.asked = h.w.t
	}
	if h.engine != nil {
		h.orders = append(h.orders, in)
		h.wake()
	}
}

// wake makes a process that waits run now.
func (h *simHost) wake() {
	if !h.paused && h.until > h.w.t {
		h.until = h.w.t
		h.turn++
		h.w.push(simEvent{at: h.w.t, class: simWakes, node: h.id, turn: h.turn})
	}
}

func (h *simHost) deliver(in simInput) {
	if h.engine == nil || h.w.cut(in.segment, in.from, h.id) {
		return // cut while it was under way, or nobody listens
	}
	h.w.check.arrived(h, in)
	h.packets = append(h.packets, in)
	h.wake()
}

// cut reports whether nothing gets through.
func (w *simWorld) cut(segment, from, to int) bool {
	return w.cuts[segment][from][to]+w.hosts[from].unplugged[segment]+w.hosts[to].unplugged[segment] > 0
}

// run lets the world go on until then.
func (w *simWorld) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until && w.check.failed == "" {
		e := w.events.pop()
		w.t = e.at
		h := w.hosts[e.node]
		switch {
		case e.class == simStarts:
			if h.engine == nil {
				h.boot()
			}
		case e.class == simFaults:
			w.plan.faults[e.turn/2].strike(w, e.turn%2 == 1)
		case e.class == simDelivers:
			h.deliver(e.in)
		case e.turn != h.turn:
			continue // it woke before, or there is no such process any more
		case e.class == simResumes:
			h.paused = false
			w.check.resumes(h)
			h.turn++
			h.proceed()
		default:
			h.turn++
			h.proceed()
		}
		if w.mended && h.engine == nil {
			h.boot() // it was told to stop before
		}
		w.check.all()
	}
	w.t = until
}

// simMix is splitmix64.
func simMix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return bits.RotateLeft64(x^x>>31, 7)
}

// A simAdvert is what the simulation itself reads of a packet, by its own eyes.
type simAdvert struct {
	vrid, priority uint8
	interval       time.Duration
}

func simRead(packet []byte) simAdvert {
	m := packet[20:]
	if packet[0]>>4 == 6 {
		m = packet[40:]
	}
	a := simAdvert{vrid: m[1], priority: m[2]}
	if m[0]>>4 == 2 {
		a.interval = time.Duration(m[5]) * time.Second
	} else {
		a.interval = time.Duration(int(m[4]&0xf)<<8|int(m[5])) * 10 * time.Millisecond
	}
	return a
}

func (h *simHost) String() string { return "node " + string(rune('A'+h.id)) }
