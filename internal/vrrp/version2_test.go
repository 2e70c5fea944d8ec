package vrrp_test

import (
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

func version2(c *vrrp.Config) { c.Version, c.Interval = 2, 3*s }

// TestVersion2 has what RFC 3768 times otherwise: the skew is a part of a second, and
// nobody's interval is taken over.
func TestVersion2(t *testing.T) {
	foreign := vrrp.Received{Priority: 200, Interval: s, Source: higher}
	runMachineTests(t, []machineTest{
		{
			name: "6.1: the skew does not grow with the interval", adapt: version2, events: backup, state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Init, vrrp.Backup, vrrp.Started), timer(9*s + 500*ms)},
		},
		{name: "6.4.2: after priority 0 the wait is the skew", adapt: version2, events: after(backup, heard(0, higher)), state: vrrp.Backup, want: []vrrp.Action{timer(500 * ms)}},
		{name: "6.4.2: the wait is by our own interval", adapt: version2, events: after(backup, foreign), state: vrrp.Backup, want: []vrrp.Action{timer(9*s + 500*ms)}},
		{
			name: "6.4.3: also where we are outranked", adapt: version2, events: after(master, foreign), state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Master, vrrp.Backup, vrrp.Outranked), timer(9*s + 500*ms)},
		},
		{
			name: "a new interval counts at once", adapt: version2,
			events: after(backup, foreign, vrrp.Reconfigured{Config: vrrp.Config{Version: 2, Priority: 128, Interval: s, Preempt: true, Source: own}}),
			state:  vrrp.Backup, want: []vrrp.Action{{Do: vrrp.ShiftTimer, After: -6 * s}},
		},
	})
}

// TestConfigDownInterval holds the values that keepalived uses, too.
func TestConfigDownInterval(t *testing.T) {
	for _, tt := range []struct {
		version  uint8
		interval time.Duration
		priority uint8
		want     time.Duration
	}{
		{2, s, 100, 3609375 * time.Microsecond}, {2, 3 * s, 1, 9996093750}, {2, 3 * s, 100, 9609375 * time.Microsecond}, {2, 3 * s, 255, 9003906250},
		{3, 3 * s, 1, 11988281250}, {3, 3 * s, 100, 10828125 * time.Microsecond}, {0, 3 * s, 255, 9011718750}, {3, 100 * ms, 254, 300781250},
	} {
		c := vrrp.Config{Version: tt.version, Interval: tt.interval, Priority: tt.priority}
		if got := c.DownInterval(); got != tt.want {
			t.Errorf("%+v.DownInterval() = %v, want %v", c, got, tt.want)
		}
	}
}
