package holding

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A wantedRule is one policy rule of an owner. The kernel tells rules apart by all that
// they say, so the rule is its own key.
type wantedRule struct {
	spec rtnl.Rule
	text string
}

func wantedRules(w Wants) []wantedRule {
	out := make([]wantedRule, 0, len(w.Rules))
	for _, v := range w.Rules {
		r := rtnl.Rule{
			IPv6: v.Family == resource.IPv6, Priority: v.Priority, From: some(v.From), To: some(v.To),
			Input: v.Input, Output: v.Output, Mark: v.Mark, Mask: v.Mask, Table: v.Table,
			Action: ruleAction(v.Action), Protocol: rtnl.Mark,
		}
		if r.Action == rtnl.ActionTable && r.Table == 0 {
			r.Table = unix.RT_TABLE_MAIN
		}
		if r.Mark != 0 && r.Mask == 0 {
			r.Mask = ^uint32(0)
		}
		out = append(out, wantedRule{r, v.String()})
	}
	return out
}

// some makes nothing of a prefix that says nothing.
func some(p netip.Prefix) netip.Prefix {
	if p.Bits() <= 0 {
		return netip.Prefix{}
	}
	return p.Masked()
}

func ruleAction(s string) uint8 {
	switch s {
	case "blackhole":
		return rtnl.ActionBlackhole
	case "unreachable":
		return rtnl.ActionUnreachable
	case "prohibit":
		return rtnl.ActionProhibit
	}
	return rtnl.ActionTable
}

// syncRules compares rules; what has to go is asked for by the func it returns.
func (t *Table) syncRules() (remove func()) {
	have, err := t.kernel.Rules()
	if err != nil {
		t.refused(err)
		return func() {}
	}
	ours, foreign := map[rtnl.Rule]bool{}, map[rtnl.Rule]bool{}
	for _, r := range have {
		if r.Protocol == rtnl.Mark {
			ours[r] = true
			continue
		}
		r.Protocol = rtnl.Mark
		foreign[r] = true
	}
	for _, o := range t.order {
		for i := range o.rules {
			w := &o.rules[i]
			it := t.rules[w.spec]
			switch {
			case !o.active || it == nil:
			case ours[w.spec]:
				it.state, it.blocked = holds, false
			case it.blocked && foreign[w.spec]: // a kernel that tells no protocols of rules apart
				it.state = theirs
			default:
				if it.state == holds || it.state == lost {
					t.repaired(o, w.text, "rule was missing")
				}
				ours[w.spec] = true
				t.ask(rtnl.Request{Op: rtnl.AddRule, Rule: w.spec}, it)
			}
		}
	}
	return func() {
		for r := range ours {
			if it := t.rules[r]; it == nil || it.refs == 0 {
				t.ask(rtnl.Request{Op: rtnl.DeleteRule, Rule: r}, &thing[rtnl.Rule]{})
			}
		}
		for r, it := range t.rules {
			if it.refs == 0 {
				delete(t.rules, r)
			}
		}
	}
}

// heardRule notes a change to a rule that is ours, or equal to one of ours.
func (t *Table) heardRule(ev *rtnl.Event) {
	r := ev.Rule
	marked := r.Protocol == rtnl.Mark
	r.Protocol = rtnl.Mark
	it := t.rules[r]
	switch {
	case ev.Own:
	case it != nil:
		if ev.Gone && marked && it.state == holds {
			it.state = lost
		}
		t.look.rules = true
	case marked && !ev.Gone:
		t.look.rules = true
	}
}
