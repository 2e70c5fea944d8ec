package main

import (
	"fmt"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
)

// writeDrift tells what others changed: what was put back, and what stays.
func writeDrift(t table, d control.Drift, now time.Time) {
	line := fmt.Sprintf("%d repaired", d.Total)
	if d.PollInterval > 0 {
		line += fmt.Sprintf(", polled every %v", d.PollInterval.Round(100*time.Millisecond))
	}
	t.row("Drift", line)
	for _, l := range d.Left {
		t.row(" ", fmt.Sprintf("stays since %s: %s is %s, want %s (hareconcile apply corrects it)", age(now, l.Since), l.Resource, l.Found, l.Want))
	}
	if more := d.LeftTotal - len(d.Left); more > 0 {
		t.row(" ", fmt.Sprintf("and %d more stay", more))
	}
	for _, r := range d.Last {
		t.row(" ", fmt.Sprintf("%s: %s %s", age(now, r.Time), r.Action, r.Resource))
	}
}
