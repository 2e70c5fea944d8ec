package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/event"
)

func TestEventsAreFilteredAndCounted(t *testing.T) {
	a := &fakeAgent{events: event.NewLog()}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for range event.Kept {
		a.events.Add(event.Event{Time: at, Kind: event.ServerUp, Subject: "web/a"})
	}
	a.events.Add(event.Event{Time: at, Kind: event.VRRPTransition, Subject: "vrrp_instance.web", From: "BACKUP", To: "MASTER", Reason: "no master"})
	config := startAgent(t, a)
	const line = `2026-01-02T03:04:05Z  vrrp_transition   vrrp_instance.web  BACKUP -> MASTER  no master`
	run(t, "", "events", config, "-kind", "vrrp_transition").want(t, exitOK, "^"+line+"\n$", "")
	run(t, "", "events", config, "-n", "1", "-json").want(t, exitOK, `^{"seq":1001,"time":"2026-01-02T03:04:05Z","kind":"vrrp_transition","node":"","subject":"vrrp_instance.web","from":"BACKUP","to":"MASTER","reason":"no master"}`, "")
	run(t, "", "events", config, "-kind", "alarm").want(t, exitOK, "^$", "")
	run(t, "", "events", config, "-n", "0").want(t, exitOK, `^\(1 events before this one are no longer known\)`, "")
	run(t, "", "events", config, "-kind", "vrrp_transitions").want(t, exitError, "", `vrrp_transition"`)
}

// TestEventsAreFollowed: what happens later is printed when it does, and an interrupt is no error.
func TestEventsAreFollowed(t *testing.T) {
	a := &fakeAgent{events: event.NewLog()}
	a.events.Add(event.Event{Kind: event.VRRPTransition, Subject: "before"})
	config := startAgent(t, a)
	for _, format := range [][]string{nil, {"-json"}} {
		ctx, interrupt := context.WithCancel(t.Context())
		out := &follower{seen: map[string]func(){
			"before": func() { a.events.Add(event.Event{Kind: event.VRRPTransition, Subject: "later"}) },
			"later":  interrupt,
		}}
		var errs bytes.Buffer
		args := append([]string{"events", config, "-f", "-kind", "vrrp_transition,alarm"}, format...)
		if code := dispatch(ctx, &env{stdout: out, stderr: &errs}, args); code != exitOK || errs.Len() > 0 {
			t.Errorf("%q: exit code %d, stderr %q", args, code, &errs)
		}
	}
}

// A follower calls a function the first time that a text is written.
type follower struct{ seen map[string]func() }

func (f *follower) Write(b []byte) (int, error) {
	for text, do := range f.seen {
		if bytes.Contains(b, []byte(text)) {
			delete(f.seen, text)
			do()
		}
	}
	return len(b), nil
}
