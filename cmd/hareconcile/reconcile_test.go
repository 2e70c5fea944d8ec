package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// settled returns what FetchNow makes of a status: a look that is over, with change's result.
func settled(change func(*control.Status)) func(time.Time, *control.Status) {
	return func(asked time.Time, s *control.Status) {
		*s = control.Status{Node: "rs1", Phase: control.Converged, Revision: planfile.Revision{Ref: "main", Commit: "8f3c2d1000", Subject: "web: add web4"}}
		s.Look.Began = asked
		change(s)
	}
}

func TestReconcile(t *testing.T) {
	a := &fakeAgent{}
	config := startAgent(t, a)
	run(t, "", "reconcile", config).want(t, exitOK, `^The agent of rs1 looks at its source now; hareconcile status`, "")
	a.status.Source.URL = "ssh://git@git.example.com/edge.git"
	run(t, "", "reconcile", config, "-wait", "-timeout", "10ms").want(t, exitError, "^", "^Error: after 10ms it is not decided; the last word is: ")
	for name, c := range map[string]struct {
		change      func(*control.Status)
		code        int
		stdout, err string
	}{
		"a push that is in force": {func(*control.Status) {}, exitOK, `^converged at main@8f3c2d1  "web: add web4"$`, ""},
		"a source that is away": {func(s *control.Status) { s.Source.Error = "no route to host" }, exitError, "",
			"^Error: the source cannot be read, and what is in force stays: no route to host$"},
		"a push that is refused": {func(s *control.Status) {
			s.Refused = &revision.Refused{Commit: "51aa07e111", Stage: "verify", Reason: "it is not signed\nnor \x1b[2J is its parent"}
		}, exitRefused, "", "^Error: 51aa07e is refused by verify, and what is in force stays: it is not signed\nnor \uFFFD\\[2J is its parent$"},
	} {
		t.Run(name, func(t *testing.T) {
			a.mu.Lock()
			a.fetch = settled(c.change)
			a.mu.Unlock()
			run(t, "", "reconcile", config, "-wait", "-timeout", "1m").want(t, c.code, c.stdout, c.err)
		})
	}
}

// TestNewsOfAPush holds what is said while it goes on, and of its ends.
func TestNewsOfAPush(t *testing.T) {
	asked := time.Now()
	now := asked.Add(time.Minute)
	old, tried := planfile.Revision{Ref: "main", Commit: "8f3c2d1000", Subject: "web: add web4"}, planfile.Revision{Ref: "main", Commit: "51aa07e111", Subject: "web: typo"}
	status := func(phase control.Phase, change func(*control.Status)) control.Status {
		s := control.Status{Phase: phase, Revision: old, Look: control.Look{Began: asked}, Source: control.Source{URL: "/srv/a.git"}}
		change(&s)
		return s
	}
	rollout := func(stage control.Stage, reason string, left time.Duration) control.Status {
		return status(control.Converged, func(s *control.Status) {
			s.Rollout = &control.Rollout{Stage: stage, Revision: tried, Prior: old.Commit, Reason: reason, Deadline: now.Add(left)}
		})
	}
	rolledBack := status(control.Converged, func(s *control.Status) {
		s.Quarantined = []journal.Quarantined{{Commit: tried.Commit, Reason: "not verified within 2m"}}
	})
	for claim, c := range map[string]struct {
		before []control.Status // what was heard
		s      control.Status
		text   string // of what goes on, or of the error
		code   int    // of the end; -1 while there is none
		late   int
	}{
		"an earlier look says nothing": {nil, status(control.Converged, func(s *control.Status) { s.Look.Began = asked.Add(-1) }), "asking /srv/a.git", -1, exitError},
		"it is applied":                {nil, status(control.Applying, func(s *control.Status) { s.Message = "applying 8f3c2d1" }), "applying: applying 8f3c2d1", -1, exitError},
		"it does not get through":      {nil, status(control.Degraded, func(s *control.Status) { s.Message = "192.0.2.1 is in the way" }), "degraded: 192.0.2.1 is in the way", -1, exitError},
		"it waits for its turn":        {nil, rollout(control.Waiting, "ka2 goes first", 0), "waiting: ka2 goes first", -1, exitLocked},
		"it is verified":               {nil, rollout(control.Verifying, "", time.Minute), `verifying main@51aa07e  "web: typo"`, -1, exitError},
		"it is undone":                 {nil, rollout(control.Reverting, "no quorum", time.Minute), `reverting main@51aa07e  "web: typo"`, -1, exitError},
		"the way back takes too long":  {nil, rollout(control.Reverting, "no quorum", -1), "51aa07e failed, and so does the way back to 8f3c2d1: a person is needed: no quorum", exitRollbackDied, 0},
		"it was undone": {[]control.Status{rollout(control.Verifying, "", time.Minute)}, rolledBack,
			"51aa07e was rolled back, and 8f3c2d1 is in force: not verified within 2m", exitRolledBack, 0},
		"another one was undone before": {nil, rolledBack, "", exitOK, 0},
		"it was undone some time ago": {nil, status(control.Converged, func(s *control.Status) {
			s.Refused = &revision.Refused{Commit: tried.Commit, Stage: "quarantine", Reason: "it failed"}
		}), "51aa07e was rolled back: it failed", exitRolledBack, 0},
		"it failed and stays": {nil, status(control.Converged, func(s *control.Status) { s.Failed = "no quorum" }), "8f3c2d1 failed and stays in force all the same: no quorum", exitError, 0},
	} {
		w := pushWatch{asked: asked}
		for _, s := range c.before {
			w.news(s, now)
		}
		n := w.news(c.s, now)
		code, text := -1, n.text
		if n.over {
			code, text = (&env{stderr: io.Discard}).exit(n.err), ""
		}
		if n.err != nil {
			text = n.err.Error()
		}
		if code != c.code || text != c.text || n.late != c.late {
			t.Errorf("%s: code %d, late %d, %q; want %d, %d, %q", claim, code, n.late, text, c.code, c.late, c.text)
		}
	}
}

func TestReconcileIsAskedForProperly(t *testing.T) {
	run(t, "", "reconcile", "now").want(t, exitError, "", `unexpected argument "now"`)
	run(t, "", "reconcile", "-timeout", "0s").want(t, exitError, "", "a timeout of 0s is none")
	config := filepath.Join(t.TempDir(), "agent.hcl")
	text := fmt.Sprintf("node_name = \"rs1\"\nsocket = %q\nsource \"git\" \"a\" {\n  url = \"/srv/a.git\"\n  ref = { branch = \"main\" }\n}\n", config+".sock")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", "reconcile", "-config", config).want(t, exitError, "", "^Error: there is no agent to look at the source: nobody listens on ")
}
