package vrrp_test

import (
	"net/netip"
	"testing"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// TestTwoOwners has rows on what must not be: two routers of priority 255. The one with
// the lower address yields; if it does not, the other one does, after a while.
func TestTwoOwners(t *testing.T) {
	owner := []vrrp.Event{vrrp.Start{}}
	answered := []vrrp.Action{advertise(255), announce}
	turn := []vrrp.Event{vrrp.TimerFired{}, heard(255, lower)} // one interval with a rival
	insisting := after(owner, heard(255, lower))
	for range 4 { // two adverts of ours, and twice the interval, which covers 1.2 of it
		insisting = append(insisting, turn...)
	}
	runMachineTests(t, []machineTest{
		{
			name: "the lower address yields", adapt: ownerConfig, events: after(owner, heard(255, higher)), state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Master, vrrp.Backup, vrrp.Outranked), timer(3*s + s/256)},
		},
		{name: "the higher one answers", adapt: ownerConfig, events: after(owner, heard(255, lower)), state: vrrp.Master, want: answered},
		{name: "and goes on for two adverts and 1.2 intervals", adapt: ownerConfig, events: insisting[:len(insisting)-2], state: vrrp.Master, want: answered},
		{
			name: "then it yields to one that insists", adapt: ownerConfig, events: insisting, state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Master, vrrp.Backup, vrrp.Insisted), timer(3*s + s/256)},
		},
		{name: "it stays BACKUP while that is heard", adapt: ownerConfig, events: after(insisting, heard(255, lower)), state: vrrp.Backup, want: []vrrp.Action{timer(3*s + s/256)}},
		{
			name: "and is MASTER again when it falls silent", adapt: ownerConfig, events: after(insisting, vrrp.TimerFired{}), state: vrrp.Master,
			want: []vrrp.Action{advertise(255), move(vrrp.Backup, vrrp.Master, vrrp.Silence), timer(s)},
		},
		{name: "and does not yield again at once", adapt: ownerConfig, events: after(insisting, vrrp.TimerFired{}, heard(255, lower)), state: vrrp.Master, want: answered},
		{
			name: "a slower rival gets more time", adapt: ownerConfig, state: vrrp.Master, want: answered,
			events: after(owner, vrrp.Received{Priority: 255, Interval: 4 * s, Source: lower}, vrrp.TimerFired{}, vrrp.TimerFired{}, vrrp.TimerFired{}, vrrp.TimerFired{}, heard(255, lower)),
		},
		{
			name: "one that was heard long ago is forgotten", adapt: ownerConfig, state: vrrp.Master, want: answered,
			events: after(owner, heard(255, lower), vrrp.TimerFired{}, vrrp.TimerFired{}, vrrp.TimerFired{}, vrrp.TimerFired{}, vrrp.TimerFired{},
				vrrp.TimerFired{}, vrrp.TimerFired{}, vrrp.TimerFired{}, heard(255, lower)),
		},
		{name: "who owns nothing insists on nothing", events: after(master, heard(128, lower), vrrp.TimerFired{}, vrrp.TimerFired{}, vrrp.TimerFired{}, vrrp.TimerFired{}, vrrp.TimerFired{}, heard(128, lower)), state: vrrp.Master, want: []vrrp.Action{advertise(128), announce}},
	})
}

// TestTiesAreUnsigned has the addresses that a signed comparison, or one of texts, would
// put in another order.
func TestTiesAreUnsigned(t *testing.T) {
	for _, tt := range []struct{ own, other string }{ // other is higher
		{"10.0.0.9", "10.0.0.10"}, {"127.255.255.254", "128.0.0.1"}, {"10.0.0.127", "10.0.0.128"},
		{"fe80::9", "fe80::10"}, {"fe80::7fff:ffff:ffff:ffff", "fe80::8000:0:0:0"}, {"7fff::1", "fe80::1"},
		{"fe80::1%eth9", "fe80::2%eth0"}, {"fe80::1", "fe80:0:0:1::"},
	} {
		own, other := netip.MustParseAddr(tt.own), netip.MustParseAddr(tt.other)
		for _, way := range []struct {
			own, other netip.Addr
			want       vrrp.State
		}{{own, other, vrrp.Backup}, {other, own, vrrp.Master}, {own, own.WithZone("eth7"), vrrp.Master}} {
			m := vrrp.New(vrrp.Config{Priority: 128, Interval: s, Source: way.own})
			m.Step(vrrp.Start{})
			m.Step(vrrp.TimerFired{})
			m.Step(heard(128, way.other))
			if m.State() != way.want {
				t.Errorf("%v, which hears %v at its own priority, is %v, want %v", way.own, way.other, m.State(), way.want)
			}
		}
	}
}
