package holding

import (
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
)

// A subject is an object that learns what became of a request about it.
type subject interface {
	settle(t *Table, op rtnl.Op, err error)
}

// room is how many requests wait for each other: they go to the kernel together.
const room = 256

// passes bounds how often one Sync starts over, since what it found out asks for it.
const passes = 3

// ask puts a request in line; flush hands the line to the kernel.
func (t *Table) ask(r rtnl.Request, s subject) {
	t.report.Changed = true
	t.reqs, t.subjects = append(t.reqs, r), append(t.subjects, s)
	if len(t.reqs) >= room {
		t.flush()
	}
}

func (t *Table) flush() {
	if len(t.reqs) == 0 {
		return
	}
	t.errs = slices.Grow(t.errs[:0], len(t.reqs))[:len(t.reqs)]
	clear(t.errs)
	if err := t.kernel.Do(t.reqs, t.errs); err != nil {
		t.look = everything // nobody knows what it did
		for i := range t.errs {
			t.errs[i] = err
		}
	}
	for i := range t.reqs {
		t.subjects[i].settle(t, t.reqs[i].Op, t.errs[i])
	}
	clear(t.subjects)
	t.reqs, t.subjects = t.reqs[:0], t.subjects[:0]
}

// refused notes what the kernel would not do.
func (t *Table) refused(err error) {
	if text := err.Error(); text != t.told { // the rest of a series says the same each second
		t.told = text
		t.log.Error("kernel refused", "err", err)
	}
	t.report.Retry = true
	if t.report.Err == nil {
		t.report.Err = err
	}
}

// repaired counts an object that we held and that was not as it should be.
func (t *Table) repaired(o *owner, id, what string) {
	t.report.Repairs++
	t.log.Warn(what, "router", o.name, "id", id)
}

// Sync makes the host have what the active owners should have. It costs a list of each
// kind of objects to which something happened.
func (t *Table) Sync() Report {
	t.syncing = true
	for range passes {
		if !t.unlike() {
			break
		}
		t.pass()
	}
	t.syncing = false
	r := t.report
	if !r.Retry {
		t.told = ""
	}
	t.report = Report{}
	r.Fresh = t.freshOwners()
	return r
}

// pass compares once. What is added comes before what is removed, and what others rest on
// comes first and goes last.
func (t *Table) pass() {
	t.resolve()
	var removals []func()
	step := func(wanted bool, sync func() func()) {
		if wanted {
			removals = append(removals, sync())
			t.flush()
		}
	}
	l := t.take()
	step(l.links || l.settings, func() func() { return t.syncLinks(l.settings) })
	t.resolve()
	l = l.or(t.take())
	step(l.refusals, t.syncRefusals)
	step(l.addresses, t.syncAddresses)
	l.routes = l.routes || t.look.routes // which an address took along, as it was made anew
	t.look.routes = false
	step(l.routes, t.syncRoutes)
	step(l.rules, t.syncRules)
	for _, remove := range slices.Backward(removals) {
		remove()
		t.flush()
	}
}

func (t *Table) take() look {
	l := t.look
	t.look = look{}
	return l
}

// freshOwners are the active owners with an address that is new on the host.
func (t *Table) freshOwners() []string {
	var out []string
	for _, o := range t.order {
		fresh := false
		for i := range o.addrs {
			if it := t.addrs[o.addrs[i].place]; o.active && it != nil && it.fresh {
				fresh = true
			}
		}
		if fresh {
			out = append(out, o.name)
		}
	}
	for _, it := range t.addrs {
		it.fresh = false
	}
	return out
}

// settleConflicts replaces the owners' conflicts of one kind.
func (t *Table) settleConflicts(kind int, found map[*owner][]string) {
	for _, o := range t.order {
		now := found[o]
		slices.Sort(now)
		if slices.Equal(now, o.conflicts[kind]) {
			continue
		}
		o.conflicts[kind], t.report.Changed = now, true
		if len(now) > 0 {
			t.log.Error("object was put on this host by somebody else", "router", o.name, "id", strings.Join(now, ", "))
		}
	}
}
