package vrrpd

import "github.com/hareconcile/hareconcile/internal/vrrp"

// all looks at what must hold in a cluster at any time.
func (c *simCheck) all() {
	for r := range c.w.plan.routers {
		masters := 0
		for n, h := range c.w.hosts {
			s := &c.watches[n][r]
			if s.state == vrrp.Master && !h.paused {
				masters++
			}
			if s.mustBy < c.w.t && !h.paused {
				c.overdue(h, r)
			}
		}
		if masters > 1 {
			c.dual(r)
		}
	}
}

// overdue fails unless another member of the group has to wait.
func (c *simCheck) overdue(h *simHost, r int) {
	for o := range c.w.plan.routers {
		if c.w.plan.groupOf(o) == c.w.plan.groupOf(r) && c.watches[h.id][o].mustBy >= c.w.t {
			return
		}
	}
	c.fail("%v should be MASTER of router %d since %v", h, r, c.watches[h.id][r].mustBy-simEpoch)
}

// dual fails if two masters of r have heard each other for too long.
func (c *simCheck) dual(r int) {
	p, segment := c.w.plan, c.w.plan.routers[r].segment
	bound := p.longest(r) + 2*(p.delay+p.jitter)
	for a, ha := range c.w.hosts {
		for b, hb := range c.w.hosts[:a] {
			sa, sb := &c.watches[a][r], &c.watches[b][r]
			if sa.state != vrrp.Master || sb.state != vrrp.Master || ha.paused || hb.paused ||
				c.w.cut(segment, a, b) || c.w.cut(segment, b, a) {
				continue
			}
			if from := max(sa.since, sb.since, c.quiet[r][a][b], c.quiet[r][b][a]); c.w.t-from > bound {
				c.fail("%v and %v are both MASTER of router %d since %v, at most %v", ha, hb, r, from-simEpoch, bound)
			}
		}
	}
}

// settled wants one master of every router, one that ranks highest if that preempts.
func (c *simCheck) settled() {
	for r := range c.w.plan.routers {
		masters, best, master := 0, c.w.hosts[0], c.w.hosts[0]
		for n, h := range c.w.hosts {
			if c.watches[n][r].state == vrrp.Master {
				masters++
				master = h
			}
			if h.config[r].priority > best.config[r].priority {
				best = h
			}
		}
		top := best.config[r]
		switch {
		case masters != 1:
			c.fail("router %d has %d masters after everything was mended", r, masters)
		case (top.preempt || top.priority == vrrp.OwnerPriority) && master.config[r].priority < top.priority:
			c.fail("%v is MASTER of router %d after everything was mended, though %v ranks higher and preempts", master, r, best)
		}
	}
}
