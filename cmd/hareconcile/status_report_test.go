package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
)

// TestStatusShowsWhatPluginsSay: a warning is up and is not hidden, and what is wrong with a
// plugin itself is told, too.
func TestStatusShowsWhatPluginsSay(t *testing.T) {
	var b bytes.Buffer
	writeTrackers(&b, control.Status{Trackers: []control.Tracker{
		{Name: "a", Verdict: reconcile.Up, Message: "old", Report: &control.Report{Status: "warn", Code: "SLOW", Detail: "it is slow"}},
		{Name: "b", Verdict: reconcile.Up, Message: "fine", Report: &control.Report{Status: "pass", Note: "the old one goes on"}},
		{Name: "c", Verdict: reconcile.Down, Message: "gone", Report: &control.Report{Status: "fail", Detail: "gone"}},
		{Name: "d", Verdict: reconcile.Up, Message: "vrrpd's own"},
	}})
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := "|TRACKER VERDICT MESSAGE|a up (WARN) SLOW: it is slow|b up fine; the old one goes on|c down (FAIL) gone|d up vrrpd's own"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("trackers\n%s\nwant\n%s", s, want)
	}
}
