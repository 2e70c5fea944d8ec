package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
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

// TestNewsOfAPush holds what is said while it goes on.
func TestNewsOfAPush(t *testing.T) {
	asked := time.Now()
	for _, c := range []struct {
		s    control.Status
		want string
	}{
		{control.Status{Phase: control.Converged, Look: control.Look{Began: asked.Add(-1)}, Source: control.Source{URL: "/srv/a.git"}}, "asking /srv/a.git"},
		{control.Status{Phase: control.Applying, Look: control.Look{Began: asked}, Message: "applying 8f3c2d1"}, "applying: applying 8f3c2d1"},
		{control.Status{Phase: control.Degraded, Look: control.Look{Began: asked}, Message: "192.0.2.1 is in the way"}, "degraded: 192.0.2.1 is in the way"},
	} {
		if n := newsOf(c.s, asked); n.over || n.err != nil || n.text != c.want || n.late != exitError {
			t.Errorf("newsOf(%+v) = %+v, want %q and more to come", c.s, n, c.want)
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
