package holding

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
)

// A thing is a route or rule that some owner holds or should hold.
type thing[S comparable] struct {
	spec    S
	refs    int // active owners that want it
	state   state
	other   bool   // spec was another before, so that the kernel's is no surprise
	waits   bool   // for its device
	blocked bool   // something with its key is in the way
	done    uint32 // the generation that dealt with it
}

// raiseThing counts one more owner in. Of several owners' wishes the first counts.
func raiseThing[K comparable, S comparable](m map[K]*thing[S], key K, spec S) {
	it := m[key]
	if it == nil {
		it = &thing[S]{}
		m[key] = it
	}
	if it.refs == 0 {
		it.other = it.other || it.spec != spec
		it.spec = spec
	}
	it.refs++
}

// dropThing forgets a thing that no active owner wants, and asks for its end if we hold it.
func dropThing[K comparable, S comparable](t *Table, m map[K]*thing[S], key K, end func(S) rtnl.Request) {
	it := m[key]
	if it == nil || it.refs > 0 {
		return
	}
	if it.state == holds {
		t.ask(end(it.spec), it)
	}
	delete(m, key)
}

// settle notes what became of a request about it.
func (it *thing[S]) settle(t *Table, op rtnl.Op, err error) {
	switch {
	case op == rtnl.DeleteRoute || op == rtnl.DeleteRule:
		if err != nil {
			t.refused(err)
		}
	case err == nil:
		it.state, it.other, it.blocked = holds, false, false
	case errors.Is(err, unix.EEXIST):
		it.state, it.blocked = absent, true
		if !t.syncing || op == rtnl.AddRule { // Sync looks who is in the way of a route by itself
			t.look.routes = t.look.routes || op != rtnl.AddRule
			t.look.rules = t.look.rules || op == rtnl.AddRule
		}
	default:
		it.state = absent
		t.lacking = true
		t.refused(err)
	}
}
