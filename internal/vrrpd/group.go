package vrrpd

import (
	"slices"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// A group is the routers of one sync group, which move together.
type group struct {
	members  []*router
	machines *vrrp.Group
}

// regroup puts routers into the groups that their configuration names. A group whose
// members stay is left as it is; the members of others learn at once with whom they are.
func (l *loop) regroup() {
	members := map[string][]*router{}
	clear(l.byMachine)
	for _, r := range l.routers {
		l.byMachine[r.m] = r
		r.group = nil
		if r.cfg.Group != "" {
			members[r.cfg.Group] = append(members[r.cfg.Group], r)
		}
	}
	groups, fresh := map[string]*group{}, []*group(nil)
	for name, list := range members {
		g := l.groups[name]
		if g == nil || !slices.Equal(g.members, list) {
			machines := make([]*vrrp.Machine, len(list))
			for i, r := range list {
				machines[i] = r.m
			}
			g = &group{members: list, machines: vrrp.NewGroup(machines...)}
			fresh = append(fresh, g)
		}
		groups[name] = g
		for _, r := range list {
			r.group = g
		}
	}
	l.groups = groups
	for _, g := range fresh {
		g.machines.Settle(l.doMachine)
	}
}
