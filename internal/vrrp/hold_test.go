package vrrp_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

const hold = 5 * time.Minute

var (
	holdTimer = vrrp.Action{Do: vrrp.SetTimer, Timer: vrrp.HoldTimer, After: hold}
	clearHold = vrrp.Action{Do: vrrp.ClearTimer, Timer: vrrp.HoldTimer}
	holdOver  = vrrp.TimerFired{Timer: vrrp.HoldTimer}
	handOver  = vrrp.Resign{Hold: hold}
	ownerDown = timer(3*s + s/256)
)

// TestHold: who hands over stays away while there is another master, and no longer than that.
func TestHold(t *testing.T) {
	left := after(master, handOver)
	runMachineTests(t, []machineTest{
		{
			name: "a master that hands over resigns, and starts its hold", events: left, state: vrrp.Backup,
			want: []vrrp.Action{advertise(0), move(vrrp.Master, vrrp.Backup, vrrp.Resigned), down, holdTimer},
		},
		{name: "a master of lower priority is followed", events: after(left, heard(100, lower)), state: vrrp.Backup, want: []vrrp.Action{down}},
		{name: "also by the owner of the addresses", adapt: ownerConfig, events: []vrrp.Event{vrrp.Start{}, handOver, heard(100, lower)}, state: vrrp.Backup, want: []vrrp.Action{ownerDown}},
		{name: "and without a preempt_delay beginning", adapt: patient, events: after(left, heard(100, lower)), state: vrrp.Backup, want: []vrrp.Action{down}},
		{
			name: "silence promotes all the same, and ends the hold", events: after(left, heard(100, lower), vrrp.TimerFired{}), state: vrrp.Master,
			want: []vrrp.Action{advertise(128), clearHold, move(vrrp.Backup, vrrp.Master, vrrp.Silence), timer(s)},
		},
		{name: "a resignation shortens the wait all the same", events: after(left, heard(100, lower), heard(0, lower)), state: vrrp.Backup, want: []vrrp.Action{timer(500 * ms)}},
		{name: "a backup can be held, too", events: after(backup, handOver), state: vrrp.Backup, want: []vrrp.Action{holdTimer}},
		{
			name: "which ends a preempt_delay", adapt: patient, events: after(backup, heard(100, lower), handOver), state: vrrp.Backup,
			want: []vrrp.Action{clearPreempt, holdTimer},
		},
		{name: "a repetition starts the hold anew", events: after(left, handOver), state: vrrp.Backup, want: []vrrp.Action{holdTimer}},
		{name: "a resignation without one leaves it as it is", events: after(left, vrrp.Resign{}, heard(100, lower)), state: vrrp.Backup, want: []vrrp.Action{down}},
		{name: "its end does nothing at once", events: after(left, heard(100, lower), holdOver), state: vrrp.Backup},
		{name: "from then on a lower master is discarded", events: after(left, heard(100, lower), holdOver, heard(100, lower)), state: vrrp.Backup},
		{name: "a release ends it", events: after(left, heard(100, lower), vrrp.Release{}), state: vrrp.Backup, want: []vrrp.Action{clearHold}},
		{name: "so that a lower master is discarded", events: after(left, vrrp.Release{}, heard(100, lower)), state: vrrp.Backup},
		{name: "a release without a hold does nothing", events: after(backup, vrrp.Release{}), state: vrrp.Backup},
		{name: "nor on a master", events: after(master, vrrp.Release{}), state: vrrp.Master},
		{name: "FAULT does not end it", events: after(left, vrrp.Gate{}, vrrp.Gate{Up: true}, heard(100, lower)), state: vrrp.Backup, want: []vrrp.Action{down}},
		{
			name: "an owner whose gate comes up waits for silence", adapt: ownerConfig,
			events: []vrrp.Event{vrrp.Start{}, handOver, vrrp.Gate{}, vrrp.Gate{Up: true}}, state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Fault, vrrp.Backup, vrrp.GateUp), ownerDown},
		},
		{name: "it ends in FAULT as well", events: after(left, vrrp.Gate{}, holdOver, vrrp.Gate{Up: true}, heard(100, lower)), state: vrrp.Backup},
		{name: "it can begin before the start, as after a restart", events: []vrrp.Event{handOver, vrrp.Start{}, heard(100, lower)}, state: vrrp.Backup, want: []vrrp.Action{down}},
		{
			name: "a stop ends it", events: after(left, vrrp.Stop{}), state: vrrp.Init,
			want: []vrrp.Action{clearHold, clearTimer, move(vrrp.Backup, vrrp.Init, vrrp.Stopped)},
		},
	})
}

// TestGroupHold: a sync group hands over as one, and is held as one.
func TestGroupHold(t *testing.T) {
	low := config
	low.Priority = 110
	tm := newTeam(config, low)
	for _, e := range []groupEvent{a(vrrp.Start{}), b(vrrp.Start{}), a(vrrp.TimerFired{}), b(vrrp.TimerFired{})} {
		tm.step(e.member, e.event)
	}
	if got := tm.states(); got != "MASTER MASTER" {
		t.Fatalf("before: %s", got)
	}
	tm.log = nil
	tm.step(0, vrrp.Resign{Hold: time.Minute})
	want := []string{
		"a sends 0", "a is BACKUP: resigned", "a waits 3.5s", "a waits 1m0s",
		"b sends 0", "b is BACKUP: resigned", "b waits 3.5703125s", "b waits 1m0s",
	}
	if d := cmp.Diff(want, tm.log); d != "" {
		t.Errorf("a hand-over (-want +got):\n%s", d)
	}
	tm.log = nil
	tm.step(1, heard(100, lower))
	if d := cmp.Diff([]string{"b waits 3.5703125s"}, tm.log); d != "" {
		t.Errorf("a lower master (-want +got):\n%s", d)
	}
	tm.log = nil
	tm.step(1, vrrp.Release{})
	if d := cmp.Diff([]string{"b clears hold", "a clears hold"}, tm.log); d != "" {
		t.Errorf("a release (-want +got):\n%s", d)
	}
}
