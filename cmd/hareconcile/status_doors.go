package main

import (
	"fmt"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
)

// writeDoors writes how news gets in: when the source is looked at next, if that is not soon,
// and who rings.
func writeDoors(t table, s control.Status, now time.Time) {
	if wait := s.Look.Next.Sub(now); s.Source.Error != "" && wait > 0 {
		t.row(" ", fmt.Sprintf("asked again in %v, or by hareconcile reconcile", wait.Round(time.Second)))
	}
	w := s.Webhook
	if w == nil {
		return
	}
	text := fmt.Sprintf("%s, %s accepted", w.Address, thousands(int(w.Accepted)))
	if !w.LastAccepted.IsZero() {
		text += " (the last " + age(now, w.LastAccepted) + ")"
	}
	if w.Refused > 0 {
		text += fmt.Sprintf(", %s refused", thousands(int(w.Refused)))
	}
	t.row("Webhook", text)
	if w.Error != "" {
		t.row(" ", "does not work: "+w.Error)
	}
}
