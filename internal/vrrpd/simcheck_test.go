package vrrpd

import (
	"fmt"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// A simCheck watches a simulated cluster and knows what must not be. I is an advert
// interval, D the longest that a packet takes, skew is the router's, down is 3*I + skew.
//
// Dual masters: two processes that run and reach each other both ways are both MASTER for
// at most I + 2*D from the last thing that disturbed them (the later one's transition, a
// lost packet, a cut, a pause, a restart, another priority). Within I the one that ranks
// higher sends, D later the other hears it, and whoever hears a better master leaves in
// that round. The second D is for priorities that change while that packet is under way.
//
// Somebody serves: a router that is BACKUP with all gates up is MASTER down after the last
// advert that it had to accept, I being the longest of that advert's and its own, or skew
// after the master's priority 0. In a group that is so once it is so of every member. After
// a pause and after losing mastership it is down anew.
//
// Nobody is hasty: a router becomes MASTER no earlier than down after the last advert that
// it had to accept arrived at its host, stopped or not, or skew after a priority 0; a
// process that starts waits down, unless it is the owner, or its predecessor was MASTER
// and sent its last advert less than the shortest down ago. What arrives while it is
// stopped between its look at the clock and its promotion, it cannot know.
//
// A MASTER that slept for longer than down, and to which another one sent meanwhile, is
// BACKUP after its first round, and has sent nothing; a BACKUP waits as if it had started.
// A MASTER that is awake leaves only to one that ranks higher: equal priorities by address.
//
// At the end of each round: whoever is MASTER holds the address, and nobody else does or
// has advertised it; a MASTER advertised within I; a router is in FAULT if and only if
// something that its group depends on is down; members of a group are all MASTER or none.
// Who leaves MASTER by a FAULT or by a stop has sent priority 0.
type simCheck struct {
	w       *simWorld
	failed  string
	quiet   [simMaxRouters][simMaxNodes][simMaxNodes]time.Duration // router, from, to: undisturbed since
	watches [simMaxNodes][simMaxRouters]simWatch
	looked  [simMaxNodes]time.Duration // when a process last looked at the clock
	judged  [simMaxNodes]time.Duration // by which look it may judge timers
	moves   int                        // transitions so far
}

// A simWatch is what is known of one router on one host.
type simWatch struct {
	state     vrrp.State    // at the end of the last round
	since     time.Duration // when it became that
	rested    time.Duration // when the last round ended that left nothing unread
	rose      time.Duration // when it advertised in this round, not having been MASTER; 0 if it did not
	lastSent  time.Duration // with priority > 0, by whatever process
	gaveUp    time.Duration // with priority 0
	resumed   time.Duration // after a pause
	claim     time.Duration // lastSent of a predecessor that died as MASTER; -1 if there was none
	master    int           // whose advert was accepted last; -1 for nobody's
	mustBy    time.Duration // MASTER by then
	notBefore time.Duration // not MASTER before then
	early     time.Duration // notBefore at the look by which the process may judge timers
	atLook    time.Duration // notBefore, when the process last looked at the clock
	resigned  time.Duration // when a priority 0 arrived last
	rivalAt   time.Duration // when an advert of another master arrived last, since the last pause
	metAt     time.Duration // when one arrived last, perhaps in time for the pause
	slept     time.Duration // until then, for longer than down; 0 if it did not lately
	dozed     time.Duration // when that sleep began
	torn      bool          // in the middle of a round
	better    bool          // an advert that outranks it arrived in this round
	unread    bool          // an order that matters was given and perhaps not read
}

func newSimCheck(w *simWorld) *simCheck {
	c := &simCheck{w: w}
	for n := range c.watches {
		for r := range c.watches[n] {
			c.watches[n][r] = simWatch{mustBy: never, claim: -1, master: -1}
		}
	}
	return c
}

func (c *simCheck) fail(format string, args ...any) {
	if c.failed == "" {
		c.failed = fmt.Sprintf("%v: ", c.w.t-simEpoch) + fmt.Sprintf(format, args...)
	}
}

// down is the silence after which n takes r over from a master with that interval.
func (c *simCheck) down(n, r int, interval time.Duration) time.Duration {
	return 3*interval + c.skew(n, r, interval)
}

func (c *simCheck) skew(n, r int, interval time.Duration) time.Duration {
	if c.w.plan.routers[r].version == 2 {
		interval = time.Second
	}
	return interval * time.Duration(256-int(c.w.hosts[n].config[r].priority)) / 256
}

func (c *simCheck) each(h *simHost, f func(r int, s *simWatch)) {
	for r := range c.w.plan.routers {
		f(r, &c.watches[h.id][r])
	}
}

func (c *simCheck) booted(h *simHost) {
	c.disturbed(h)
	c.each(h, func(r int, s *simWatch) {
		*s = simWatch{state: vrrp.Init, claim: s.claim, lastSent: s.lastSent, resumed: c.w.t, mustBy: never, master: -1}
		s.notBefore = c.w.t + c.down(h.id, r, h.config[r].interval)
	})
	c.looks(h)
	c.judges(h)
}

func (c *simCheck) died(h *simHost) {
	c.disturbed(h)
	if h.quit && h.addrs != 0 {
		c.fail("%v was stopped and still holds the addresses %b", h, h.addrs)
	}
	c.each(h, func(r int, s *simWatch) {
		if h.quit && s.state == vrrp.Master && s.gaveUp < s.rested && !c.beaten(h, r) {
			c.fail("%v was stopped and did not resign router %d", h, r)
		}
		if s.claim = -1; !h.quit && (s.state == vrrp.Master || h.engine.state(r) == vrrp.Master) {
			s.claim = s.lastSent
		}
		s.state, s.mustBy = vrrp.Init, never
	})
}

// forget notes that a host started anew.
func (c *simCheck) forget(h *simHost) {
	c.each(h, func(_ int, s *simWatch) { s.claim = -1 })
}

// disturbed starts all patience with a host anew.
func (c *simCheck) disturbed(h *simHost) {
	c.each(h, func(r int, s *simWatch) {
		for n := range c.w.hosts {
			c.quiet[r][n][h.id], c.quiet[r][h.id][n] = c.w.t, c.w.t
		}
		if s.resumed = c.w.t; s.mustBy != never {
			s.mustBy = max(s.mustBy, c.w.t+c.down(h.id, r, c.w.plan.longest(r)))
		}
	})
}

// stopped sees a pause begin.
func (c *simCheck) stopped(h *simHost, d time.Duration) {
	c.each(h, func(r int, s *simWatch) {
		if s.slept = 0; d > c.down(h.id, r, c.w.plan.longest(r)) {
			s.slept, s.dozed, s.torn, s.rivalAt = c.w.t+d, c.w.t, h.busy, 0
		}
	})
	c.disturbed(h)
}

// resumes sees it end, perhaps earlier.
func (c *simCheck) resumes(h *simHost) {
	c.disturbed(h)
	c.each(h, func(r int, s *simWatch) {
		if s.slept > c.w.t {
			s.slept = 0
		}
		if s.slept == 0 || s.torn || s.unread || h.gated >= s.rested {
			return
		}
		s.notBefore = c.w.t + c.down(h.id, r, c.w.plan.shortest(r))
		if s.resigned > s.rested {
			s.notBefore = c.w.t + c.skew(h.id, r, c.w.plan.shortest(r))
		}
	})
}

// reconfigured follows a new priority; old is what down was.
func (c *simCheck) reconfigured(h *simHost, r int, old time.Duration) {
	s := &c.watches[h.id][r]
	if d := c.down(h.id, r, c.w.plan.longest(r)) - old; d > 0 && s.mustBy != never {
		s.mustBy += d
	}
	s.notBefore, s.atLook, s.early, s.unread = 0, 0, 0, true
	for n := range c.w.hosts {
		c.quiet[r][n][h.id], c.quiet[r][h.id][n] = c.w.t, c.w.t
	}
}

func (c *simCheck) lost(router, from, to int) { c.quiet[router][from][to] = c.w.t }

// arrived sees every packet that reaches a host where a process lives, stopped or not.
func (c *simCheck) arrived(h *simHost, in simInput) {
	a := simRead(in.packet)
	r := c.w.plan.router(in.segment, a.vrid)
	s, cfg := &c.watches[h.id][r], h.config[r]
	if a.priority == 0 {
		c.arrivedZero(h, r, in.from)
		return
	}
	s.rivalAt, s.metAt = c.w.t, c.w.t
	s.better = s.better || a.priority > cfg.priority || a.priority == cfg.priority && in.from > h.id
	preempts := cfg.preempt || cfg.priority == vrrp.OwnerPriority
	delays := cfg.delay > 0 && cfg.priority != vrrp.OwnerPriority
	if a.priority < cfg.priority && preempts && !delays {
		return
	}
	if s.mustBy != never {
		s.mustBy = max(s.mustBy, c.w.t+c.down(h.id, r, max(a.interval, cfg.interval)))
	}
	switch s.master = -1; {
	case s.state == vrrp.Master:
	case s.unread, a.priority < cfg.priority && preempts: // accepted or not
		s.notBefore = 0
	default:
		s.master, s.notBefore = in.from, c.w.t+c.down(h.id, r, a.interval)
	}
}

func (c *simCheck) arrivedZero(h *simHost, r, from int) {
	s := &c.watches[h.id][r]
	s.resigned = c.w.t
	s.notBefore = min(s.notBefore, c.w.t+c.skew(h.id, r, c.w.plan.shortest(r)))
	if wait := c.w.t + c.skew(h.id, r, c.w.plan.longest(r)); s.mustBy != never {
		if s.mustBy = max(s.mustBy, wait); s.master == from && !h.paused && s.state == vrrp.Backup {
			s.mustBy = wait
		}
	}
}

func (c *simCheck) sent(h *simHost, r int, a simAdvert) {
	s := &c.watches[h.id][r]
	if a.priority == 0 {
		s.gaveUp = c.w.t
		return
	}
	if s.lastSent = c.w.t; s.state != vrrp.Master && s.rose == 0 {
		s.rose = c.w.t
		if c.judged[h.id] < s.early {
			c.promoted(h, r, s)
		}
	}
}

// promoted judges a promotion that silence does not explain.
func (c *simCheck) promoted(h *simHost, r int, s *simWatch) {
	interval := h.config[r].interval
	switch {
	case h.config[r].priority == vrrp.OwnerPriority && (s.state == vrrp.Init || s.state == vrrp.Fault || h.gated >= s.rested):
	case s.state == vrrp.Init && s.claim >= 0 && c.w.t-s.claim < 3*interval+interval/256:
	default:
		c.fail("%v became MASTER of router %d, %v too early", h, r, s.early-c.judged[h.id])
	}
}

// looks notes that a process looks at the clock.
func (c *simCheck) looks(h *simHost) {
	c.looked[h.id] = c.w.t
	c.each(h, func(_ int, s *simWatch) { s.atLook = s.notBefore })
}

// judges notes that a process may judge timers by its last look at the clock: the first
// after a wait, or one after which it has read everything.
func (c *simCheck) judges(h *simHost) {
	c.judged[h.id] = c.looked[h.id]
	c.each(h, func(_ int, s *simWatch) { s.early = s.atLook })
}

// waits looks at a host at the end of a round.
func (c *simCheck) waits(h *simHost) {
	whole := len(h.packets)+len(h.orders) == 0 // else the next round reads what came in the middle of this one
	c.each(h, func(r int, s *simWatch) { c.rests(h, r, s, h.engine.state(r), whole) })
	c.each(h, func(_ int, s *simWatch) {
		if s.rose = 0; c.woke(h, s) {
			s.slept = 0
		}
		if whole {
			s.unread, s.better, s.rested = false, false, c.w.t
		}
	})
	for r := range c.w.plan.routers {
		o := c.w.plan.groupOf(r)
		if a, b := c.watches[h.id][r].state, c.watches[h.id][o].state; (a == vrrp.Master) != (b == vrrp.Master) {
			c.fail("%v has split its group: router %d is %v, router %d %v", h, o, b, r, a)
		}
	}
}

func (c *simCheck) rests(h *simHost, r int, s *simWatch, state vrrp.State, whole bool) {
	holds := h.addrs>>r&1 == 1
	switch {
	case holds && state != vrrp.Master, whole && !holds && state == vrrp.Master:
		c.fail("%v is %v for router %d: address held %v", h, state, r, holds)
	case s.rose > 0 && state != vrrp.Master && h.config[r].priority != vrrp.OwnerPriority:
		c.fail("%v is %v for router %d and advertised", h, state, r)
	case state == vrrp.Master && c.w.t-max(s.lastSent, s.resumed) > h.config[r].interval:
		c.fail("%v is MASTER of router %d and last sent %v ago", h, r, c.w.t-s.lastSent)
	case whole && (state == vrrp.Fault) != c.faulty(h, r):
		c.fail("%v is %v for router %d: gate down %v", h, state, r, c.faulty(h, r))
	case whole && state == vrrp.Init:
		c.fail("%v did not start router %d", h, r)
	case c.woke(h, s) && s.state == vrrp.Master && s.since < s.slept && h.gated < min(s.rested, s.dozed) && s.rivalAt > 0 && (state == vrrp.Master || !s.torn && s.lastSent >= s.slept):
		c.fail("%v woke to another master of router %d and sent %v ago, %v now", h, r, c.w.t-s.lastSent, state)
	case s.state == vrrp.Master && state == vrrp.Backup && !s.better && c.unprovoked(h, r, s):
		c.fail("%v left router %d to nobody better", h, r)
	case s.state == vrrp.Master && state == vrrp.Fault && s.gaveUp < s.rested && !c.beaten(h, r):
		c.fail("%v did not resign router %d before its FAULT", h, r)
	case state == vrrp.Master && s.state != state && s.rose == 0:
		c.fail("%v became MASTER of router %d without an advert", h, r)
	}
	if state != s.state {
		c.moved(h, r, s, state)
	}
}

// woke reports whether this was the first whole round since a long sleep.
func (c *simCheck) woke(h *simHost, s *simWatch) bool {
	return s.slept > 0 && c.judged[h.id] >= s.slept
}

// unprovoked reports that nothing but an advert can have made a router BACKUP.
func (c *simCheck) unprovoked(h *simHost, r int, s *simWatch) bool {
	return !c.w.plan.routers[r].grouped && h.config[r].priority != vrrp.OwnerPriority && !s.unread &&
		s.resumed < s.rested && max(h.gated, h.asked) < s.rested
}

// beaten reports whether a member of r's group may have left because of a rival that was
// heard in this round: after a pause all do so without a word.
func (c *simCheck) beaten(h *simHost, r int) bool {
	for o := range c.w.plan.routers {
		if s := &c.watches[h.id][o]; c.w.plan.groupOf(o) == c.w.plan.groupOf(r) && s.metAt >= s.rested {
			return true
		}
	}
	return false
}

// faulty reports whether a gate of r or of its group is down, or a carrier missing.
func (c *simCheck) faulty(h *simHost, r int) bool {
	for o, router := range c.w.plan.routers {
		if c.w.plan.groupOf(o) == c.w.plan.groupOf(r) && h.gates[o]+h.unplugged[router.segment] > 0 {
			return true
		}
	}
	return false
}

func (c *simCheck) moved(h *simHost, r int, s *simWatch, state vrrp.State) {
	c.w.tell("%v, router %d: %v->%v", h, r, s.state, state)
	c.moves++
	if s.mustBy = never; state == vrrp.Backup {
		s.mustBy = c.w.t + c.down(h.id, r, c.w.plan.longest(r))
		if s.state != vrrp.Init { // what it heard before does not count
			s.notBefore = c.judged[h.id] + c.down(h.id, r, c.w.plan.shortest(r))
			if s.resigned > s.rested { // priority 0 after that, in the same round
				s.notBefore = s.resigned + c.skew(h.id, r, c.w.plan.shortest(r))
			}
		}
	}
	if state != vrrp.Backup {
		s.master = -1
	}
	s.state, s.since = state, c.w.t
}
