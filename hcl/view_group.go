package hcl

import (
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// A group is a sync_group block. What it says becomes part of its members.
type group struct {
	origin  spec.Origin
	name    string
	members []string
	gates   []string
	points  []spec.Points
}

func (v *view) group(in *instance) group {
	return group{v.note(in), in.name, in.strings("members"), in.strings("gates"), v.pointsOf(in)}
}

// join makes the groups' words those of their members, and remembers where points are written.
func (v *view) join() {
	for _, i := range v.cluster.Instances {
		v.points[i.Name] = v.at[i.Origin.Address]
	}
	for _, g := range v.groups {
		v.groupRules(g)
		for _, name := range g.members {
			k := slices.IndexFunc(v.cluster.Instances, func(i spec.VRRPInstance) bool { return i.Name == name })
			if k < 0 {
				continue // a reference leads to a block that exists
			}
			i := &v.cluster.Instances[k]
			if i.Group != "" && i.Group != g.name {
				v.fail(g.origin, "members", "The instance is in two groups", "%s is in sync_group.%s, too.", i.Origin.Address, i.Group)
			}
			if len(i.Points) > 0 {
				v.fail(i.Origin, "points", "Points belong to the group", "%s is a member of %s and moves with the others only: write the points there.", i.Origin.Address, g.origin.Address)
			}
			i.Group = g.name
			for _, t := range g.gates {
				if !slices.Contains(i.Gates, t) {
					i.Gates = append(i.Gates, t)
				}
			}
		}
	}
	v.share()
}

// share gives the groups' points to the members, after all were asked for their own.
func (v *view) share() {
	for _, g := range v.groups {
		for k := range v.cluster.Instances {
			i := &v.cluster.Instances[k]
			if i.Group == g.name && len(g.points) > 0 {
				i.Points = g.points
				v.points[i.Name] = v.at[g.origin.Address]
			}
		}
	}
}

// groupRules checks that the members can move together.
func (v *view) groupRules(g group) {
	var members []spec.VRRPInstance
	for k, name := range g.members {
		if slices.Contains(g.members[:k], name) {
			v.fail(g.origin, "members", "The member is there twice", "vrrp_instance.%s is in the list more than once.", name)
			return
		}
		if i, ok := v.cluster.Instance(name); ok {
			members = append(members, i)
		}
	}
	if len(members) < 2 {
		v.fail(g.origin, "members", "The group has too few members", "One instance moves by itself; a group has at least two.")
		return
	}
	first := members[0]
	for _, i := range members[1:] {
		v.sameOrder(g, first, i)
		if i.Preempt != first.Preempt || i.PreemptDelay != first.PreemptDelay {
			v.fail(g.origin, "members", "The members preempt differently", "%s and %s take their addresses back together or not at all: preempt has to be the same.", first.Origin.Address, i.Origin.Address)
		}
	}
	v.gateRules(g.origin, g.gates)
}

// sameOrder checks that two members have the same nodes, the same owner and no two nodes of
// which each is preferred by one of them: otherwise neither node would ever get both.
func (v *view) sameOrder(g group, a, b spec.VRRPInstance) {
	nodes := a.Members()
	for _, n := range nodes {
		if _, ok := b.Priority[n]; !ok || len(a.Priority) != len(b.Priority) {
			v.fail(g.origin, "members", "The members have different nodes", "%s and %s cannot move together: they have to be on the same nodes.", a.Origin.Address, b.Origin.Address)
			return
		}
	}
	for k, n := range nodes {
		if (a.Priority[n] == owner) != (b.Priority[n] == owner) {
			v.fail(g.origin, "members", "Not all members have the owner", "%s is the owner of one of %s and %s. It never leaves what it owns, so it has to own all or none.", n, a.Origin.Address, b.Origin.Address)
			return
		}
		if k == 0 {
			continue
		}
		above := nodes[k-1]
		if order(a.Priority[above], a.Priority[n]) != order(b.Priority[above], b.Priority[n]) {
			v.fail(g.origin, "members", "The members prefer different nodes", "%s and %s do not have the same order of %s and %s, so neither node could keep both.", a.Origin.Address, b.Origin.Address, above, n)
			return
		}
	}
}

func order(a, b uint8) int {
	switch {
	case a > b:
		return 1
	case a < b:
		return -1
	}
	return 0
}
