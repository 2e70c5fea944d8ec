package holding

import (
	"net/netip"
	"slices"
)

// Tools are what a Table does to the host by other ways than rtnetlink.
type Tools interface {
	// Sysctl reads and SetSysctl writes a file below /proc/sys.
	Sysctl(name string) (string, error)
	SetSysctl(name, value string) error
	// Refused lists the addresses whose packets are dropped; false if there is no filter,
	// or not all of it.
	Refused() ([]netip.Addr, bool, error)
	// Refuse changes the list. RefuseOnly makes it anew, with all that drops by it, and
	// RefuseNothing removes that.
	Refuse(add, remove []netip.Addr) error
	RefuseOnly(all []netip.Addr) error
	RefuseNothing() error
}

// refuse counts the addresses of an owner that accepts nothing in or out (RFC 9568,
// section 6.1, Accept_Mode), and returns those that were not or are no longer counted.
func (t *Table) refuse(o *owner, n int) []netip.Addr {
	if !o.wants.NoAccept {
		return nil
	}
	var changed []netip.Addr
	for i := range o.addrs {
		a := o.addrs[i].place.prefix.Addr()
		before := t.refusals[a]
		if t.refusals[a] = before + n; before == 0 || before+n == 0 {
			changed = append(changed, a)
		}
		if t.refusals[a] == 0 {
			delete(t.refusals, a)
		}
	}
	return changed
}

// refuseNow changes the filter on the failover path. What goes wrong is left to Sync.
func (t *Table) refuseNow(add, remove []netip.Addr) {
	if len(add)+len(remove) == 0 {
		return
	}
	if err := t.tools.Refuse(add, remove); err != nil {
		t.look.refusals = true
	}
}

// syncRefusals compares the filter. It is there as soon as somebody might need it, knows
// addresses before they come, and may forget them when they have gone.
func (t *Table) syncRefusals() (remove func()) {
	nothing := func() {}
	wanted := slices.ContainsFunc(t.order, func(o *owner) bool { return o.wants.NoAccept })
	if !wanted && t.swept.refusals {
		return nothing
	}
	have, whole, err := t.tools.Refused()
	if err != nil {
		if wanted {
			t.refused(err)
		}
		return nothing
	}
	t.swept.refusals = !wanted
	there := map[netip.Addr]bool{}
	for _, a := range have {
		there[a] = true
	}
	var more []netip.Addr
	for a := range t.refusals {
		if !there[a] {
			more = append(more, a)
		}
	}
	if wanted && !whole {
		t.refuseOnly()
		return nothing
	}
	if len(more) > 0 && t.tools.Refuse(more, nil) != nil {
		t.refuseOnly()
		return nothing
	}
	return func() {
		switch {
		case !wanted && (whole || len(have) > 0):
			if err := t.tools.RefuseNothing(); err != nil {
				t.refused(err)
			}
		case wanted && len(have)+len(more) > len(t.refusals):
			t.refuseOnly()
		}
	}
}

func (t *Table) refuseOnly() {
	all := make([]netip.Addr, 0, len(t.refusals))
	for a := range t.refusals {
		all = append(all, a)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	if err := t.tools.RefuseOnly(all); err != nil {
		t.refused(err)
	}
}
