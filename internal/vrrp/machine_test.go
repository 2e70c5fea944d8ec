package vrrp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

const (
	s  = time.Second
	ms = time.Millisecond
)

var (
	lower, own, higher = netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("10.0.0.200")

	// Skew at priority 128 is half an interval.
	config = vrrp.Config{Priority: 128, Interval: s, Preempt: true, Source: own}

	backup = []vrrp.Event{vrrp.Start{}}
	master = []vrrp.Event{vrrp.Start{}, vrrp.TimerFired{}}
)

func after(events []vrrp.Event, more ...vrrp.Event) []vrrp.Event {
	return append(append([]vrrp.Event{}, events...), more...)
}

func heard(priority uint8, from netip.Addr) vrrp.Received {
	return vrrp.Received{Priority: priority, Interval: s, Source: from}
}

func advertise(priority uint8) vrrp.Action {
	return vrrp.Action{Do: vrrp.Advertise, Priority: priority}
}
func timer(d time.Duration) vrrp.Action { return vrrp.Action{Do: vrrp.SetTimer, After: d} }
func move(from, to vrrp.State, why vrrp.Reason) vrrp.Action {
	return vrrp.Action{Do: vrrp.Move, From: from, To: to, Why: why}
}

var (
	clearTimer = vrrp.Action{Do: vrrp.ClearTimer}
	announce   = vrrp.Action{Do: vrrp.Announce}
)

// A machineTest feeds events to a machine and looks at what the last one made it do.
type machineTest struct {
	name   string
	adapt  func(*vrrp.Config)
	events []vrrp.Event
	want   []vrrp.Action
	state  vrrp.State
}

func runMachineTests(t *testing.T, tests []machineTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config
			if tt.adapt != nil {
				tt.adapt(&cfg)
			}
			m := vrrp.New(cfg)
			var got []vrrp.Action
			for _, e := range tt.events {
				got = append([]vrrp.Action(nil), m.Step(e)...)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("actions of the last event (-want +got):\n%s", d)
			}
			if m.State() != tt.state {
				t.Errorf("State() = %v, want %v", m.State(), tt.state)
			}
		})
	}
}

func ownerConfig(c *vrrp.Config)  { c.Priority = 255 }
func neverPreempt(c *vrrp.Config) { c.Preempt = false }

// TestInitialize has a row for each sentence of RFC 9568, section 6.4.1.
func TestInitialize(t *testing.T) {
	runMachineTests(t, []machineTest{
		{
			name: "105-145: the owner sends, takes the addresses, sets the advert timer and is MASTER", adapt: ownerConfig,
			events: []vrrp.Event{vrrp.Start{}}, state: vrrp.Master,
			want: []vrrp.Action{advertise(255), move(vrrp.Init, vrrp.Master, vrrp.Owner), timer(s)},
		},
		{
			name:   "150-165: anybody else waits the master-down interval of its own interval as BACKUP",
			events: backup, state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Init, vrrp.Backup, vrrp.Started), timer(3*s + 500*ms)},
		},
		{name: "an advert before the start has no effect", events: []vrrp.Event{heard(200, higher)}, state: vrrp.Init},
		{name: "a stop before the start has no effect", events: []vrrp.Event{vrrp.Stop{}}, state: vrrp.Init},
		{
			name:   "a killed master that is back in time goes on, and says so at once",
			events: []vrrp.Event{vrrp.Adopt{}}, state: vrrp.Master,
			want: []vrrp.Action{advertise(128), move(vrrp.Init, vrrp.Master, vrrp.Adopted), timer(s)},
		},
		{
			name:   "a start behind a gate that is down is a FAULT",
			events: []vrrp.Event{vrrp.Gate{}, vrrp.Start{}}, state: vrrp.Fault,
			want: []vrrp.Action{move(vrrp.Init, vrrp.Fault, vrrp.GateDown)},
		},
		{
			name:   "adoption behind a gate that is down is a FAULT",
			events: []vrrp.Event{vrrp.Gate{}, vrrp.Adopt{}}, state: vrrp.Fault,
			want: []vrrp.Action{move(vrrp.Init, vrrp.Fault, vrrp.GateDown)},
		},
	})
}

// TestBackup has a row for each sentence of RFC 9568, section 6.4.2.
func TestBackup(t *testing.T) {
	runMachineTests(t, []machineTest{
		{
			name:   "335-345: a stop cancels the timer and says nothing",
			events: after(backup, vrrp.Stop{}), state: vrrp.Init,
			want: []vrrp.Action{clearTimer, move(vrrp.Backup, vrrp.Init, vrrp.Stopped)},
		},
		{
			name:   "350-395: silence makes it send first, then take the addresses",
			events: master, state: vrrp.Master,
			want: []vrrp.Action{advertise(128), move(vrrp.Backup, vrrp.Master, vrrp.Silence), timer(s)},
		},
		{
			name:   "425-430: priority 0 shortens the wait to the skew",
			events: after(backup, heard(200, higher), heard(0, higher)), state: vrrp.Backup,
			want: []vrrp.Action{timer(500 * ms)},
		},
		{
			name:   "priority 0 from somebody who is not the master has no effect",
			events: after(backup, heard(200, higher), heard(0, lower)), state: vrrp.Backup,
		},
		{
			name:   "priority 0 counts while no master is known",
			events: after(backup, heard(0, lower)), state: vrrp.Backup,
			want: []vrrp.Action{timer(500 * ms)},
		},
		{
			name:   "445-460: a higher priority starts the wait again",
			events: after(backup, heard(200, lower)), state: vrrp.Backup,
			want: []vrrp.Action{timer(3*s + 500*ms)},
		},
		{
			name:   "445: an equal priority counts as higher, whatever the addresses",
			events: after(backup, heard(128, lower)), state: vrrp.Backup,
			want: []vrrp.Action{timer(3*s + 500*ms)},
		},
		{
			name:   "450-457: wait and skew follow the master's interval",
			events: after(backup, vrrp.Received{Priority: 200, Interval: 2 * s, Source: higher}), state: vrrp.Backup,
			want: []vrrp.Action{timer(7 * s)},
		},
		{
			name:   "the skew after priority 0 follows the master's interval",
			events: after(backup, vrrp.Received{Priority: 200, Interval: 2 * s, Source: higher}, heard(0, higher)), state: vrrp.Backup,
			want: []vrrp.Action{timer(s)},
		},
		{
			name: "445: without preemption any priority starts the wait again", adapt: neverPreempt,
			events: after(backup, heard(1, lower)), state: vrrp.Backup,
			want: []vrrp.Action{timer(3*s + 500*ms)},
		},
		{
			name:   "465-470: a lower priority does not put preemption off",
			events: after(backup, heard(127, higher)), state: vrrp.Backup,
		},
		{
			name:   "a gate that goes down takes it out of the election without a word",
			events: after(backup, vrrp.Gate{}), state: vrrp.Fault,
			want: []vrrp.Action{clearTimer, move(vrrp.Backup, vrrp.Fault, vrrp.GateDown)},
		},
		{
			name:   "a pause starts the wait again",
			events: after(backup, vrrp.Woke{}), state: vrrp.Backup,
			want: []vrrp.Action{timer(3*s + 500*ms)},
		},
		{
			name:   "a new priority shifts the running timer by the difference",
			events: after(backup, vrrp.Reprioritized{Priority: 64}), state: vrrp.Backup,
			want: []vrrp.Action{{Do: vrrp.ShiftTimer, After: 250 * ms}},
		},
		{
			name:   "a new interval of ours counts only once a master uses it",
			events: after(backup, heard(200, higher), vrrp.Reconfigured{Config: vrrp.Config{Priority: 128, Interval: 2 * s, Preempt: true, Source: own}}), state: vrrp.Backup,
		},
		{name: "a request to resign has no effect", events: after(backup, vrrp.Resign{}), state: vrrp.Backup},
		{name: "a second start has no effect", events: after(backup, vrrp.Start{}), state: vrrp.Backup},
	})
}

// TestMaster has a row for each sentence of RFC 9568, section 6.4.3.
func TestMaster(t *testing.T) {
	runMachineTests(t, []machineTest{
		{
			name:   "655-670: a stop sends priority 0 before it leaves",
			events: after(master, vrrp.Stop{}), state: vrrp.Init,
			want: []vrrp.Action{advertise(0), clearTimer, move(vrrp.Master, vrrp.Init, vrrp.Stopped)},
		},
		{
			name:   "680-690: the timer sends an advert and starts again",
			events: after(master, vrrp.TimerFired{}), state: vrrp.Master,
			want: []vrrp.Action{advertise(128), timer(s)},
		},
		{
			name:   "705-715: priority 0 is answered at once and starts the timer again",
			events: after(master, heard(0, higher)), state: vrrp.Master,
			want: []vrrp.Action{advertise(128), timer(s)},
		},
		{
			name:   "725-755: a higher priority makes it BACKUP",
			events: after(master, heard(129, lower)), state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Master, vrrp.Backup, vrrp.Outranked), timer(3*s + 500*ms)},
		},
		{
			name:   "725: an equal priority from a higher address makes it BACKUP",
			events: after(master, heard(128, higher)), state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Master, vrrp.Backup, vrrp.Outranked), timer(3*s + 500*ms)},
		},
		{
			name: "725: it is outranked also where it would not preempt", adapt: neverPreempt,
			events: after(master, heard(129, lower)), state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Master, vrrp.Backup, vrrp.Outranked), timer(3*s + 500*ms)},
		},
		{
			name:   "735-750: the wait follows the new master's interval",
			events: after(master, vrrp.Received{Priority: 200, Interval: 500 * ms, Source: higher}), state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Master, vrrp.Backup, vrrp.Outranked), timer(1750 * ms)},
		},
		{
			name:   "760-770: a lower priority is answered at once, and the addresses announced",
			events: after(master, heard(127, higher)), state: vrrp.Master,
			want: []vrrp.Action{advertise(128), announce},
		},
		{
			name:   "760-770: an equal priority from a lower address is answered at once",
			events: after(master, heard(128, lower)), state: vrrp.Master,
			want: []vrrp.Action{advertise(128), announce},
		},
		{
			name:   "a gate that goes down resigns",
			events: after(master, vrrp.Gate{}), state: vrrp.Fault,
			want: []vrrp.Action{advertise(0), clearTimer, move(vrrp.Master, vrrp.Fault, vrrp.GateDown)},
		},
		{
			name:   "resigning sends priority 0 and stays in the election",
			events: after(master, vrrp.Resign{}), state: vrrp.Backup,
			want: []vrrp.Action{advertise(0), move(vrrp.Master, vrrp.Backup, vrrp.Resigned), timer(3*s + 500*ms)},
		},
		{
			name:   "a new priority is told at once",
			events: after(master, vrrp.Reprioritized{Priority: 64}), state: vrrp.Master,
			want: []vrrp.Action{advertise(64), timer(s)},
		},
		{
			name:   "the same configuration again says nothing",
			events: after(master, vrrp.Reconfigured{Config: config}), state: vrrp.Master,
		},
		{name: "after a pause a new priority is not told before the next advert is due", events: after(master, vrrp.Woke{}, vrrp.Reprioritized{Priority: 64}), state: vrrp.Master},
		{name: "a pause alone says nothing", events: after(master, vrrp.Woke{}), state: vrrp.Master},
		{
			name:   "after a pause another master's advert makes it BACKUP, though lower and without a word",
			events: after(master, vrrp.Woke{}, heard(1, lower)), state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Master, vrrp.Backup, vrrp.Paused), timer(3*s + 500*ms)},
		},
		{name: "after a pause a resignation is not answered", events: after(master, vrrp.Woke{}, heard(0, lower)), state: vrrp.Master},
		{
			name:   "what is heard after the first advert since the pause counts as ever",
			events: after(master, vrrp.Woke{}, vrrp.TimerFired{}, heard(1, lower)), state: vrrp.Master,
			want: []vrrp.Action{advertise(128), announce},
		},
	})
}

// TestFault has what the RFC does not: a router that something keeps out of the election.
func TestFault(t *testing.T) {
	fault := after(backup, vrrp.Gate{})
	runMachineTests(t, []machineTest{
		{name: "adverts have no effect", events: after(fault, heard(1, lower)), state: vrrp.Fault},
		{name: "a timer that is left over has no effect", events: after(fault, vrrp.TimerFired{}), state: vrrp.Fault},
		{
			name:   "all gates up means BACKUP with a whole wait",
			events: after(fault, vrrp.Gate{Up: true}), state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Fault, vrrp.Backup, vrrp.GateUp), timer(3*s + 500*ms)},
		},
		{
			name: "all gates up makes the owner MASTER", adapt: ownerConfig,
			events: []vrrp.Event{vrrp.Start{}, vrrp.Gate{}, vrrp.Gate{Up: true}}, state: vrrp.Master,
			want: []vrrp.Action{advertise(255), move(vrrp.Fault, vrrp.Master, vrrp.Owner), timer(s)},
		},
		{
			name:   "a stop says nothing",
			events: after(fault, vrrp.Stop{}), state: vrrp.Init,
			want: []vrrp.Action{clearTimer, move(vrrp.Fault, vrrp.Init, vrrp.Stopped)},
		},
		{
			name:   "a priority that changed meanwhile counts",
			events: after(fault, vrrp.Reprioritized{Priority: 192}, vrrp.Gate{Up: true}), state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Fault, vrrp.Backup, vrrp.GateUp), timer(3*s + 250*ms)},
		},
	})
}

func TestMasterIsTheOneLastHeard(t *testing.T) {
	m := vrrp.New(config)
	m.Step(vrrp.Start{})
	m.Step(heard(200, higher))
	if m.Master() != higher {
		t.Errorf("Master() = %v, want %v", m.Master(), higher)
	}
	m.Step(vrrp.TimerFired{})
	if m.Master().IsValid() {
		t.Errorf("Master() = %v while MASTER, want none", m.Master())
	}
}

// TestDownInterval holds the values that keepalived uses, too.
func TestDownInterval(t *testing.T) {
	for _, tt := range []struct {
		interval time.Duration
		priority uint8
		want     time.Duration
	}{
		{s, 1, 3996093750}, {s, 100, 3609375000}, {s, 254, 3007812500}, {s, 255, 3003906250},
		{100 * ms, 100, 360937500}, {100 * ms, 200, 321875000}, {3 * s, 50, 11414062500},
	} {
		if got := vrrp.DownInterval(tt.interval, tt.priority); got != tt.want {
			t.Errorf("DownInterval(%v, %d) = %v, want %v", tt.interval, tt.priority, got, tt.want)
		}
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	m, b := vrrp.New(config), vrrp.New(config)
	m.Step(vrrp.Start{})
	m.Step(vrrp.TimerFired{})
	b.Step(vrrp.Start{})
	n := testing.AllocsPerRun(1000, func() {
		m.Step(vrrp.TimerFired{})
		m.Step(heard(1, lower))
		b.Step(heard(200, higher))
	})
	if n != 0 {
		t.Errorf("%v allocations for an advert, want 0", n)
	}
}
