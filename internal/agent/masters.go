package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/rollout"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A census is which nodes say that they are master of an instance.
type census struct {
	masters []string
	whole   bool // every node that takes part was heard
}

// single reports whether there is one master; where not all were heard, nobody can say that
// there is none.
func (c census) single() bool { return len(c.masters) == 1 || len(c.masters) == 0 && !c.whole }

// masters counts those of the instances in which this node takes part, where nodes hear each other.
func (a *Agent) masters() map[string]census {
	out := map[string]census{}
	if len(a.neighbours) == 0 {
		return out
	}
	for _, i := range a.selfReport().Instances {
		c := census{whole: true}
		if i.State == reconcile.RoleMaster {
			c.masters = append(c.masters, a.cfg.Node)
		}
		for node, n := range a.neighbours {
			k := slices.IndexFunc(n.message.Instances, func(o rollout.Instance) bool { return o.Name == i.Name })
			switch {
			case !n.heard, k >= 0 && n.message.Instances[k].State == "":
				c.whole = false
			case k >= 0 && n.message.Instances[k].State == reconcile.RoleMaster:
				c.masters = append(c.masters, node)
			}
		}
		slices.Sort(c.masters)
		out[i.Name] = c
	}
	return out
}

// contested names instances that had one master and now have none, or several.
func (a *Agent) contested(b baseline) []string {
	var out []string
	now := a.masters()
	for _, i := range a.rev.Cluster.Instances {
		was, known := b.masters[i.Name]
		c, is := now[i.Name]
		switch {
		case !known || !is || len(was.masters) != 1 || c.single():
		case len(c.masters) == 0:
			out = append(out, fmt.Sprintf("vrrp_instance.%s has no master", i.Name))
		default:
			out = append(out, fmt.Sprintf("vrrp_instance.%s has the masters %s", i.Name, strings.Join(c.masters, " and ")))
		}
	}
	return out
}
