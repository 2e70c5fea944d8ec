package vrrp_test

import (
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

const delay = 10 * s

func patient(c *vrrp.Config)           { c.PreemptDelay = delay }
func patientNever(c *vrrp.Config)      { c.PreemptDelay, c.Preempt = delay, false }
func patientOwner(c *vrrp.Config)      { c.PreemptDelay, c.Priority = delay, 255 }
func neverAsOwner(c *vrrp.Config)      { c.Preempt, c.Priority = false, 255 }
func with(d time.Duration) vrrp.Config { c := config; c.PreemptDelay = d; return c }

var (
	preemptTimer = vrrp.Action{Do: vrrp.SetTimer, Timer: vrrp.PreemptTimer, After: delay}
	clearPreempt = vrrp.Action{Do: vrrp.ClearTimer, Timer: vrrp.PreemptTimer}
	preemptNow   = vrrp.TimerFired{Timer: vrrp.PreemptTimer}
	down         = timer(3*s + 500*ms)
)

// TestPreempt has a row for each sentence on Preempt_Mode of RFC 9568, section 6.1, and
// on preempt, nopreempt and preempt_delay as keepalived has them.
func TestPreempt(t *testing.T) {
	provoked := after(backup, heard(100, lower))
	runMachineTests(t, []machineTest{
		{name: "immediate: the timer runs on whatever a lower master says", events: after(backup, heard(100, lower), heard(100, lower)), state: vrrp.Backup},
		{name: "never: a lower master is followed", adapt: neverPreempt, events: provoked, state: vrrp.Backup, want: []vrrp.Action{down}},
		{
			name: "never: silence promotes all the same", adapt: neverPreempt, events: after(provoked, vrrp.TimerFired{}), state: vrrp.Master,
			want: []vrrp.Action{advertise(128), move(vrrp.Backup, vrrp.Master, vrrp.Silence), timer(s)},
		},
		{name: "never: priority 0 shortens the wait all the same", adapt: neverPreempt, events: after(provoked, heard(0, lower)), state: vrrp.Backup, want: []vrrp.Action{timer(500 * ms)}},
		{name: "6.1: the owner preempts whatever the flag", adapt: neverAsOwner, events: []vrrp.Event{vrrp.Start{}, vrrp.Resign{}, heard(254, lower)}, state: vrrp.Backup},
		{name: "6.1: the owner does not delay", adapt: patientOwner, events: []vrrp.Event{vrrp.Start{}, vrrp.Resign{}, heard(254, lower)}, state: vrrp.Backup},
		{
			name: "delay: the first advert of a lower master starts it, and is followed", adapt: patient,
			events: provoked, state: vrrp.Backup, want: []vrrp.Action{preemptTimer, down},
		},
		{name: "delay: the next ones do not start it again", adapt: patient, events: after(provoked, heard(101, higher)), state: vrrp.Backup, want: []vrrp.Action{down}},
		{
			name: "delay: a master with another interval is followed in that, too", adapt: patient,
			events: after(backup, vrrp.Received{Priority: 100, Interval: 2 * s, Source: lower}), state: vrrp.Backup, want: []vrrp.Action{preemptTimer, timer(7 * s)},
		},
		{name: "delay: when it is over nothing happens at once", adapt: patient, events: after(provoked, preemptNow), state: vrrp.Backup},
		{name: "delay: from then on a lower master is discarded", adapt: patient, events: after(provoked, preemptNow, heard(100, lower)), state: vrrp.Backup},
		{
			name: "delay: so that it is replaced a master-down interval after its last advert that counted", adapt: patient,
			events: after(provoked, preemptNow, heard(100, lower), vrrp.TimerFired{}), state: vrrp.Master,
			want: []vrrp.Action{advertise(128), move(vrrp.Backup, vrrp.Master, vrrp.Silence), timer(s)},
		},
		{
			name: "delay: silence is not put off", adapt: patient, events: after(provoked, vrrp.TimerFired{}), state: vrrp.Master,
			want: []vrrp.Action{advertise(128), clearPreempt, move(vrrp.Backup, vrrp.Master, vrrp.Silence), timer(s)},
		},
		{name: "delay: a resignation is not put off", adapt: patient, events: after(provoked, heard(0, lower)), state: vrrp.Backup, want: []vrrp.Action{timer(500 * ms)}},
		{name: "delay: a higher priority cancels it", adapt: patient, events: after(provoked, heard(200, higher)), state: vrrp.Backup, want: []vrrp.Action{clearPreempt, down}},
		{name: "delay: an equal priority cancels it", adapt: patient, events: after(provoked, heard(128, lower)), state: vrrp.Backup, want: []vrrp.Action{clearPreempt, down}},
		{
			name: "delay: after that it starts from nothing", adapt: patient, events: after(provoked, heard(200, higher), heard(100, lower)), state: vrrp.Backup,
			want: []vrrp.Action{preemptTimer, down},
		},
		{
			name: "delay: also where it was over", adapt: patient, events: after(provoked, preemptNow, heard(200, higher), heard(100, lower)), state: vrrp.Backup,
			want: []vrrp.Action{preemptTimer, down},
		},
		{
			name: "delay: BACKUP again means from nothing", adapt: patient, events: after(provoked, preemptNow, vrrp.TimerFired{}, vrrp.Resign{}, heard(100, lower)), state: vrrp.Backup,
			want: []vrrp.Action{preemptTimer, down},
		},
		{
			name: "delay: a gate ends it", adapt: patient, events: after(provoked, vrrp.Gate{}), state: vrrp.Fault,
			want: []vrrp.Action{clearPreempt, clearTimer, move(vrrp.Backup, vrrp.Fault, vrrp.GateDown)},
		},
		{
			name: "delay: a stop ends it", adapt: patient, events: after(provoked, vrrp.Stop{}), state: vrrp.Init,
			want: []vrrp.Action{clearPreempt, clearTimer, move(vrrp.Backup, vrrp.Init, vrrp.Stopped)},
		},
		{name: "delay: without preemption there is none", adapt: patientNever, events: provoked, state: vrrp.Backup, want: []vrrp.Action{down}},
		{
			name: "delay: a longer one shifts it", adapt: patient, events: after(provoked, vrrp.Reconfigured{Config: with(12 * s)}), state: vrrp.Backup,
			want: []vrrp.Action{{Do: vrrp.ShiftTimer, Timer: vrrp.PreemptTimer, After: 2 * s}},
		},
		{name: "delay: none any more ends it", adapt: patient, events: after(provoked, vrrp.Reconfigured{Config: with(0)}), state: vrrp.Backup, want: []vrrp.Action{clearPreempt}},
		{name: "delay: a new priority does not touch it", adapt: patient, events: after(provoked, vrrp.Reprioritized{Priority: 128}), state: vrrp.Backup},
		{name: "a timer that is left over has no effect on a master", adapt: patient, events: after(master, preemptNow), state: vrrp.Master},
		{name: "nor on a backup that waits for nothing", adapt: patient, events: after(backup, preemptNow), state: vrrp.Backup},
	})
}
