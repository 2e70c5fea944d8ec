package vrrp

import (
	"net/netip"
	"time"
)

// An Event is something that happened to a Machine.
type Event interface{ event() }

type (
	// Start brings the virtual router up.
	Start struct{}
	// Adopt brings it up as MASTER: the process died and came back before any peer noticed.
	Adopt struct{}
	// Stop takes it down, giving mastership away at once.
	Stop struct{}
	// Resign gives mastership away and stays in the election. For as long as Hold it replaces
	// no master that can be heard, whatever that one's priority; a repetition starts that
	// while anew, also on a BACKUP, and 0 leaves it as it is.
	Resign struct{ Hold time.Duration }
	// Release ends a Hold.
	Release struct{}
	// TimerFired says that a timer ran out.
	TimerFired struct{ Timer Timer }
	// Received is an advertisement that the guard let through.
	Received struct {
		Priority uint8
		Interval time.Duration
		Source   netip.Addr
	}
	// Reprioritized changes our priority, as when a tracked check fails.
	Reprioritized struct{ Priority uint8 }
	// Reconfigured changes everything that the operator chose, in place.
	Reconfigured struct{ Config Config }
	// Gate says whether everything that the router depends on is there.
	Gate struct{ Up bool }
	// Woke says that the process did not run for so long that what it believed may be
	// old. It comes before the adverts that queued meanwhile.
	Woke struct{}
)

func (Start) event()         {}
func (Adopt) event()         {}
func (Stop) event()          {}
func (Resign) event()        {}
func (Release) event()       {}
func (TimerFired) event()    {}
func (Received) event()      {}
func (Reprioritized) event() {}
func (Reconfigured) event()  {}
func (Gate) event()          {}
func (Woke) event()          {}

// A Timer is one of those that a Machine may have running.
type Timer uint8

// The timers.
const (
	// Deadline is for the master's silence while BACKUP, for the next advert while MASTER.
	Deadline Timer = iota
	// PreemptTimer is for PreemptDelay.
	PreemptTimer
	// HoldTimer is for the Hold of a Resign.
	HoldTimer
)

// A Verb says what an Action does.
type Verb uint8

// What a Machine can ask for.
const (
	// Advertise sends one advertisement with Priority.
	Advertise Verb = iota + 1
	// SetTimer makes Timer fire After from now, whether it runs or not.
	SetTimer
	// ShiftTimer moves Timer by After, which may be negative, if it runs.
	ShiftTimer
	// ClearTimer stops Timer.
	ClearTimer
	// Move reports a transition; the caller puts the addresses on the host or takes them off.
	Move
	// Announce repeats the gratuitous ARP for the addresses held.
	Announce
)

// An Action is something that the caller must do for a Machine, in order.
type Action struct {
	Do       Verb
	Priority uint8         // Advertise
	Timer    Timer         // SetTimer, ShiftTimer, ClearTimer
	After    time.Duration // SetTimer, ShiftTimer
	From, To State         // Move
	Why      Reason        // Move
}

// A Reason says why a Machine moved.
type Reason uint8

// The reasons to move.
const (
	Started Reason = iota + 1
	Adopted
	Owner
	Silence
	Outranked
	Stopped
	Resigned
	GateDown
	GateUp
	Paused
	Insisted
	GroupLeft
	GroupFault
)

var reasons = [...]string{
	Started:   "started",
	Adopted:   "adopted after a restart",
	Owner:     "address owner",
	Silence:   "no master was heard",
	Outranked: "a better master was heard",
	Stopped:   "stopped",
	Resigned:  "resigned",
	GateDown:  "a gate is down",
	GateUp:    "all gates are up",
	Paused:    "another master was heard after a pause",
	Insisted:  "another owner of the addresses does not yield",
	GroupLeft: "another router of the sync group is not MASTER",
	// The reason of the one that is faulty is its own.
	GroupFault: "another router of the sync group is in FAULT",
}

// String returns the reason in words.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return "unknown"
}
