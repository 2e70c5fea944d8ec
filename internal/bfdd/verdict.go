package bfdd

import (
	"math"
	"time"

	"github.com/hareconcile/hareconcile/internal/bfd"
)

const (
	never = time.Duration(math.MaxInt64)
	// grace is how long a session may take to come up before it counts as down: three
	// packets at the pace of a session that is not up.
	grace = 3 * bfd.SlowTx
	// excuse is how long the last word counts after the peer took the session down on
	// purpose, which is no failure (RFC 5882, section 3.2).
	excuse = 5 * time.Minute
)

// A verdict turns what a session goes through into what its tracker is.
type verdict struct {
	state, message string
	due            time.Duration // when the word ends, unless something happens before
	excused        bool          // until due
}

// started says that a session begins to look for its peer.
func (v *verdict) started(now time.Duration) {
	*v = verdict{due: now + grace}
}

// refused says that no session can run.
func (v *verdict) refused(why string) {
	*v = verdict{message: why, due: never}
}

// moved says that the session's state changed; peer is what the peer said last.
func (v *verdict) moved(now time.Duration, from, to bfd.State, why bfd.Diagnostic, peer bfd.Packet) {
	switch {
	case to == bfd.Up:
		*v = verdict{state: Up, due: never}
	case from == bfd.Up && peer.State == bfd.AdminDown && why == bfd.NeighborSignaledDown:
		v.message, v.due, v.excused = "the peer took the session down on purpose", now+excuse, true
	case from == bfd.Up && why == bfd.NeighborSignaledDown:
		*v = verdict{state: Down, message: why.String() + ": " + peer.Diag.String(), due: never}
	case from == bfd.Up:
		*v = verdict{state: Down, message: why.String(), due: never}
	}
}

// heard says that the peer wants a session: its excuse ends.
func (v *verdict) heard(now time.Duration, peer bfd.State) {
	if v.excused && peer != bfd.AdminDown {
		v.excused, v.due = false, now+grace
	}
}

// fire is for when due has come.
func (v *verdict) fire(peer bfd.Packet, heard bool) {
	switch {
	case v.excused:
		*v = verdict{message: v.message, due: never}
	case heard && peer.State == bfd.AdminDown:
		*v = verdict{message: "the peer holds the session down on purpose", due: never}
	case heard:
		*v = verdict{state: Down, message: "the peer does not hear us", due: never}
	default:
		*v = verdict{state: Down, message: "the peer was not heard", due: never}
	}
}
