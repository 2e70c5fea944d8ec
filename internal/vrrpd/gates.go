package vrrpd

import (
	"fmt"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// linkChanged follows what the kernel says of an interface.
func (l *loop) linkChanged(k link, gone bool) {
	for name, old := range l.links {
		if old.index == k.index && (gone || name != k.name) {
			delete(l.links, name) // removed, or renamed
			l.regate()            // while the routers still know where their addresses are
		}
	}
	if gone {
		l.host.leave(k.index)
		delete(l.joined, k.index)
	} else {
		if old, known := l.links[k.name]; known && old.index != k.index {
			l.host.leave(old.index)
			delete(l.joined, old.index)
		}
		l.links[k.name] = k
	}
	l.attach()
	l.regate()
}

// attach gives every router its interface, and every interface in use its socket.
func (l *loop) attach() {
	clear(l.byKey)
	used := map[int]bool{}
	for _, r := range l.routers {
		k, exists := l.links[r.cfg.Interface]
		if r.ifindex != 0 && r.ifindex != k.index {
			clear(r.held) // the interface took them along
		}
		r.ifindex = k.index
		if !exists {
			continue
		}
		used[k.index] = true
		l.byKey[routerKey{k.index, r.cfg.VRID}] = r
		if why, done := l.joined[k.index]; done && why == "" {
			continue
		}
		l.joined[k.index] = ""
		if err := l.host.join(k); err != nil {
			l.joined[k.index] = err.Error()
			l.retryAt = min(l.retryAt, l.t+retryAfter)
		}
	}
	for index := range l.joined {
		if !used[index] {
			l.host.leave(index)
			delete(l.joined, index)
		}
	}
}

// regate tells routers whose gates changed.
func (l *loop) regate() {
	for _, r := range l.routers {
		l.regateOne(r)
	}
}

func (l *loop) regateOne(r *router) {
	gate := l.closedGate(r)
	if gate == r.gate {
		return
	}
	r.gate, l.changed = gate, true
	if r.m.State() == vrrp.Fault && gate != "" {
		r.reason = gate
	}
	l.do(r, r.m.Step(vrrp.Gate{Up: gate == ""}))
}

// closedGate says what keeps r out of the election; "" if nothing does.
func (l *loop) closedGate(r *router) string {
	if why := l.linkDown(r.cfg.Interface); why != "" {
		return why
	}
	if why := l.joined[r.ifindex]; why != "" {
		return why
	}
	for _, key := range r.cfg.Gates.Items() {
		t, ok := l.trackers[key]
		if !ok {
			return fmt.Sprintf("tracker %s does not exist", key)
		}
		if t.cfg.Type == trackInterface {
			if why := l.linkDown(t.cfg.Target); why != "" {
				return "tracker " + key + ": " + why
			}
			continue
		}
		if why := t.down(); why != "" {
			return "tracker " + key + " " + why
		}
	}
	return ""
}

// linkDown says what is wrong with an interface; "" if it can carry traffic.
func (l *loop) linkDown(name string) string {
	k, exists := l.links[name]
	switch {
	case !exists:
		return fmt.Sprintf("interface %s does not exist", name)
	case !k.up:
		return fmt.Sprintf("interface %s is down", name)
	case !k.running:
		return fmt.Sprintf("interface %s has no carrier", name)
	}
	return ""
}
