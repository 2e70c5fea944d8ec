package vrrp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// A team is a Group of routers a, b, ... and what they did.
type team struct {
	group   *vrrp.Group
	members []*vrrp.Machine
	log     []string
}

func newTeam(cfgs ...vrrp.Config) *team {
	tm := &team{}
	for _, cfg := range cfgs {
		cfg.Grouped = true
		tm.members = append(tm.members, vrrp.New(cfg))
	}
	tm.group = vrrp.NewGroup(tm.members...)
	return tm
}

func (tm *team) step(i int, e vrrp.Event) {
	tm.group.Step(tm.members[i], e, func(m *vrrp.Machine, actions []vrrp.Action) {
		for _, a := range actions {
			tm.log = append(tm.log, tm.name(m)+" "+text(a))
		}
	})
}

func (tm *team) name(m *vrrp.Machine) string {
	for i, o := range tm.members {
		if o == m {
			return string(rune('a' + i))
		}
	}
	return "?"
}

func (tm *team) states() string {
	var out []string
	for _, m := range tm.members {
		out = append(out, m.State().String())
	}
	return strings.Join(out, " ")
}

// text writes an action in few words.
func text(a vrrp.Action) string {
	timer := [...]string{"deadline", "preempt", "hold"}[a.Timer]
	switch a.Do {
	case vrrp.Advertise:
		return fmt.Sprintf("sends %d", a.Priority)
	case vrrp.SetTimer:
		return fmt.Sprintf("waits %v", a.After)
	case vrrp.ShiftTimer:
		return fmt.Sprintf("shifts %s %v", timer, a.After)
	case vrrp.ClearTimer:
		return "clears " + timer
	case vrrp.Announce:
		return "announces"
	}
	return fmt.Sprintf("is %v: %v", a.To, a.Why)
}

// A groupEvent is an event of one member.
type groupEvent struct {
	member int
	event  vrrp.Event
}

func a(e vrrp.Event) groupEvent { return groupEvent{0, e} }
func b(e vrrp.Event) groupEvent { return groupEvent{1, e} }

func events(before []groupEvent, more ...groupEvent) []groupEvent {
	return append(append([]groupEvent(nil), before...), more...)
}

// TestGroup has a row for each rule of sync groups as keepalived has them, and for those
// that it leaves open.
func TestGroup(t *testing.T) {
	fired := vrrp.TimerFired{}
	backups := []groupEvent{a(vrrp.Start{}), b(vrrp.Start{})}
	masters := events(backups, a(fired), b(fired))
	faults := events(masters, a(vrrp.Gate{}))
	owner := func(c *vrrp.Config) { c.Priority = 255 }
	for _, tt := range []struct {
		name   string
		adapt  func(*vrrp.Config)
		events []groupEvent
		want   string // what the last event made them do
		states string
	}{
		{"a member starts as any router", nil, []groupEvent{a(vrrp.Start{})}, "a is BACKUP: started, a waits 3.5s", "BACKUP INIT"},
		{"one whose timer fires first is held back, and waits again", nil, events(backups, a(fired)), "a waits 3.5s", "BACKUP BACKUP"},
		{"one beside a member that did not start is held back", nil, []groupEvent{a(vrrp.Start{}), a(fired)}, "a waits 3.5s", "BACKUP INIT"},
		{
			"the last one takes all along, its own advert first", nil, masters,
			"b sends 128, b is MASTER: no master was heard, b waits 1s, a sends 128, a is MASTER: no master was heard, a waits 1s", "MASTER MASTER",
		},
		{"one that hears a master is no longer ready", nil, events(backups, a(fired), a(heard(200, higher)), b(fired)), "b waits 3.5s", "BACKUP BACKUP"},
		{"one that discards a lower master is ready", nil, events(backups, a(fired), a(heard(1, lower)), b(fired)), "b sends 128, b is MASTER: no master was heard, b waits 1s, a sends 128, a is MASTER: no master was heard, a waits 1s", "MASTER MASTER"},
		{"after a pause nobody is ready", nil, events(backups, a(fired), a(vrrp.Woke{}), b(fired)), "b waits 3.5s", "BACKUP BACKUP"},
		{"an owner waits for the others", owner, []groupEvent{a(vrrp.Start{})}, "a is BACKUP: started, a waits 3.00390625s", "BACKUP INIT"},
		{
			"owners are MASTER at once when the last one starts", owner, backups,
			"b sends 255, b is MASTER: address owner, b waits 1s, a sends 255, a is MASTER: address owner, a waits 1s", "MASTER MASTER",
		},
		{
			"where one loses, the others resign", nil, events(masters, a(heard(200, higher))),
			"a is BACKUP: a better master was heard, a waits 3.5s, b sends 0, b is BACKUP: another router of the sync group is not MASTER, b waits 3.5s", "BACKUP BACKUP",
		},
		{
			"what follows is heard as ever", nil, events(masters, a(heard(200, higher)), b(heard(200, higher))), "b waits 3.5s", "BACKUP BACKUP",
		},
		{
			"a resignation of one is one of all", nil, events(masters, b(vrrp.Resign{})),
			"b sends 0, b is BACKUP: resigned, b waits 3.5s, a sends 0, a is BACKUP: resigned, a waits 3.5s", "BACKUP BACKUP",
		},
		{
			"a pause alone changes nothing", nil, events(masters, a(vrrp.Woke{}), b(vrrp.Woke{})), "", "MASTER MASTER",
		},
		{
			"one that was replaced during a pause takes the others along without a word", nil, events(masters, a(vrrp.Woke{}), b(vrrp.Woke{}), b(heard(1, lower))),
			"b is BACKUP: another master was heard after a pause, b waits 3.5s, a is BACKUP: another router of the sync group is not MASTER, a waits 3.5s", "BACKUP BACKUP",
		},
		{
			"a lower master on one segment makes all announce", nil, events(masters, a(heard(1, lower))), "a sends 128, a announces, b announces", "MASTER MASTER",
		},
		{"an advert of one is no matter of the others", nil, events(masters, a(fired)), "a sends 128, a waits 1s", "MASTER MASTER"},
		{
			"one FAULT is everyone's, with priority 0", nil, faults,
			"a sends 0, a clears deadline, a is FAULT: a gate is down, b sends 0, b clears deadline, b is FAULT: another router of the sync group is in FAULT", "FAULT FAULT",
		},
		{
			"also where nobody was MASTER", nil, events(backups, b(vrrp.Gate{})),
			"b clears deadline, b is FAULT: a gate is down, a clears deadline, a is FAULT: another router of the sync group is in FAULT", "FAULT FAULT",
		},
		{
			"also where the faulty one did not start", nil, []groupEvent{a(vrrp.Start{}), b(vrrp.Gate{})},
			"a clears deadline, a is FAULT: another router of the sync group is in FAULT", "FAULT INIT",
		},
		{
			"a start beside one that is faulty is a FAULT", nil, []groupEvent{a(vrrp.Gate{}), b(vrrp.Start{})},
			"b is FAULT: another router of the sync group is in FAULT", "INIT FAULT",
		},
		{"a second FAULT changes nothing", nil, events(faults, b(vrrp.Gate{})), "", "FAULT FAULT"},
		{"a FAULT does not clear while another member is faulty", nil, events(faults, b(vrrp.Gate{}), a(vrrp.Gate{Up: true})), "", "FAULT FAULT"},
		{
			"when none is faulty all wait as BACKUP", nil, events(faults, b(vrrp.Gate{}), a(vrrp.Gate{Up: true}), b(vrrp.Gate{Up: true})),
			"b is BACKUP: all gates are up, b waits 3.5s, a is BACKUP: all gates are up, a waits 3.5s", "BACKUP BACKUP",
		},
		{
			"owners are MASTER when none is faulty", owner, events(backups, a(vrrp.Gate{}), a(vrrp.Gate{Up: true})),
			"a is BACKUP: all gates are up, a waits 3.00390625s, b sends 255, b is MASTER: address owner, b waits 1s, a sends 255, a is MASTER: address owner, a waits 1s", "MASTER MASTER",
		},
		{"adoption waits for the last member", nil, []groupEvent{a(vrrp.Adopt{})}, "", "INIT INIT"},
		{
			"all are adopted together", nil, []groupEvent{a(vrrp.Adopt{}), b(vrrp.Adopt{})},
			"a sends 128, a is MASTER: adopted after a restart, a waits 1s, b sends 128, b is MASTER: adopted after a restart, b waits 1s", "MASTER MASTER",
		},
		{
			"if one cannot be adopted, none is", nil, []groupEvent{a(vrrp.Adopt{}), b(vrrp.Start{})},
			"b is BACKUP: started, b waits 3.5s, a is BACKUP: started, a waits 3.5s", "BACKUP BACKUP",
		},
		{
			"nor if the first one cannot", nil, []groupEvent{a(vrrp.Start{}), b(vrrp.Adopt{})}, "b is BACKUP: started, b waits 3.5s", "BACKUP BACKUP",
		},
		{
			"nor if one is faulty", nil, []groupEvent{a(vrrp.Gate{}), a(vrrp.Adopt{}), b(vrrp.Adopt{})},
			"a is FAULT: a gate is down, b is FAULT: another router of the sync group is in FAULT", "FAULT FAULT",
		},
		{
			"a stop takes one out, and the others go on", nil, events(masters, a(vrrp.Stop{})),
			"a sends 0, a clears deadline, a is INIT: stopped", "INIT MASTER",
		},
		{
			"they do not wait for it", nil, events(backups, b(fired), a(vrrp.Stop{})),
			"a clears deadline, a is INIT: stopped, b sends 128, b is MASTER: no master was heard, b waits 1s", "INIT MASTER",
		},
		{
			"nor for its gate", nil, events(faults, a(vrrp.Stop{})),
			"a clears deadline, a is INIT: stopped, b is BACKUP: all gates are up, b waits 3.5s", "INIT BACKUP",
		},
		{
			"nor for it to be adopted", nil, []groupEvent{a(vrrp.Adopt{}), b(vrrp.Stop{})},
			"a sends 128, a is MASTER: adopted after a restart, a waits 1s", "MASTER INIT",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config
			if tt.adapt != nil {
				tt.adapt(&cfg)
			}
			tm := newTeam(cfg, cfg)
			for _, e := range tt.events {
				tm.log = nil
				tm.step(e.member, e.event)
			}
			if got := strings.Join(tm.log, ", "); got != tt.want {
				t.Errorf("the last event made them do\n%s\nwant\n%s", got, tt.want)
			}
			if got := tm.states(); got != tt.states {
				t.Errorf("states %s, want %s", got, tt.states)
			}
		})
	}
}

// TestGroupIsAltered makes another Group of machines that run.
func TestGroupIsAltered(t *testing.T) {
	tm := newTeam(config, config)
	for _, e := range []groupEvent{a(vrrp.Start{}), a(vrrp.TimerFired{})} {
		tm.group = vrrp.NewGroup(tm.members[0])
		tm.step(e.member, e.event)
	}
	tm.group = vrrp.NewGroup(tm.members...)
	tm.log = nil
	tm.step(1, vrrp.Start{})
	if got, want := tm.states(), "MASTER BACKUP"; got != want {
		t.Fatalf("a router that joins masters: %s, want %s", got, want)
	}
	tm.step(1, vrrp.TimerFired{})
	if got, want := tm.states(), "MASTER MASTER"; got != want {
		t.Fatalf("after a silence: %s, want %s", got, want)
	}

	tm.group = vrrp.NewGroup(tm.members[0])
	tm.step(0, vrrp.Resign{})
	tm.group = vrrp.NewGroup(tm.members...)
	grouped := config
	grouped.Grouped = true
	tm.step(1, vrrp.Reconfigured{Config: grouped})
	if got, want := tm.states(), "BACKUP MASTER"; got != want {
		t.Fatalf("a master that joins a backup: %s, want %s", got, want)
	}
	tm.step(0, heard(200, higher))
	if got, want := tm.states(), "BACKUP BACKUP"; got != want {
		t.Errorf("where the backup has a better master: %s, want %s", got, want)
	}

	tm.step(0, vrrp.Gate{})
	tm.step(1, vrrp.Reconfigured{Config: config})
	if got, want := tm.states(), "FAULT BACKUP"; got != want {
		t.Errorf("a router that leaves a group in FAULT: %s, want %s", got, want)
	}
	tm.members[1].Step(vrrp.TimerFired{})
	if got, want := tm.states(), "FAULT MASTER"; got != want {
		t.Errorf("and stands for itself: %s, want %s", got, want)
	}
}

// TestGroupOfOneIsAMachine gives both the same long history.
func TestGroupOfOneIsAMachine(t *testing.T) {
	history := []vrrp.Event{
		vrrp.Start{}, vrrp.TimerFired{}, heard(1, lower), vrrp.Resign{}, heard(0, higher), vrrp.TimerFired{}, vrrp.Woke{}, heard(1, lower), heard(1, lower),
		vrrp.TimerFired{Timer: vrrp.PreemptTimer}, vrrp.Gate{}, vrrp.Gate{Up: true}, vrrp.Reprioritized{Priority: 255}, vrrp.Gate{}, vrrp.Gate{Up: true}, vrrp.Stop{}, vrrp.Adopt{}, heard(255, higher), vrrp.Stop{},
	}
	cfg := config
	cfg.PreemptDelay = 5 * time.Second
	m, tm := vrrp.New(cfg), newTeam(cfg)
	for i, e := range history {
		tm.log = nil
		var want []string
		for _, a := range m.Step(e) {
			want = append(want, "a "+text(a))
		}
		tm.step(0, e)
		if _, stopped := e.(vrrp.Stop); stopped {
			tm.group = vrrp.NewGroup(tm.members[0])
		}
		if got, want := strings.Join(tm.log, ", "), strings.Join(want, ", "); got != want {
			t.Errorf("event %d, %T: %s, want %s", i, e, got, want)
		}
	}
}

// TestGroupedMachineAloneWaits keeps what belongs to a Group from being MASTER by itself.
func TestGroupedMachineAloneWaits(t *testing.T) {
	for _, priority := range []uint8{128, 255} {
		cfg := config
		cfg.Grouped, cfg.Priority = true, priority
		m := vrrp.New(cfg)
		m.Step(vrrp.Start{})
		m.Step(vrrp.TimerFired{})
		if m.State() != vrrp.Backup {
			t.Errorf("priority %d: %v, want BACKUP", priority, m.State())
		}
	}
}

func TestGroupStepAllocatesNothing(t *testing.T) {
	tm := newTeam(config, config)
	for _, e := range []groupEvent{a(vrrp.Start{}), b(vrrp.Start{}), a(vrrp.TimerFired{}), b(vrrp.TimerFired{})} {
		tm.step(e.member, e.event)
	}
	actions := 0
	do := func(_ *vrrp.Machine, as []vrrp.Action) { actions += len(as) }
	n := testing.AllocsPerRun(1000, func() {
		tm.group.Step(tm.members[0], vrrp.TimerFired{}, do)
		tm.group.Step(tm.members[1], heard(1, lower), do)
	})
	if n != 0 {
		t.Errorf("%v allocations for an advert, want 0", n)
	}
}
