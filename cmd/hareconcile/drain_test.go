package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// setDrains publishes a status with those drains.
func (a *fakeAgent) setDrains(ds ...control.Drain) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.Drains = ds
	close(a.changed)
	a.changed = make(chan struct{})
}

func draining(n int) control.Drain {
	return control.Drain{Server: "web/rs1", State: control.Draining, Connections: n, Since: time.Now(), Until: time.Now().Add(5 * time.Minute)}
}

func TestDrainAsksTheAgent(t *testing.T) {
	a := &fakeAgent{}
	config := startAgent(t, a)
	a.setDrains(draining(118))
	run(t, "", "drain", config, "web/rs1").want(t, 0, `^web/rs1 on rs1: draining with 118 connections until [0-9:]+ \(5m0s\)\.\nOther directors`, "")
	run(t, "", "drain", config, "web/rs1", "-json", "-deadline", "90s", "-force").want(t, 0, `"connections": 118`, "")
	run(t, "", "undrain", config, "web/rs1").want(t, 0, `^web/rs1 takes connections on rs1 again`, "")
	run(t, "", "undrain", config, "web/rs1", "-json").want(t, 0, `"node": "rs1"`, "")
	want := []control.DrainRequest{
		{Server: "web/rs1"}, {Server: "web/rs1", Deadline: resource.Duration(90 * time.Second), Force: true},
		{Server: "web/rs1", Cancel: true}, {Server: "web/rs1", Cancel: true},
	}
	if d := cmp.Diff(want, a.drained); d != "" {
		t.Errorf("requests (-want +got):\n%s", d)
	}
	a.refusal = &control.APIError{Code: "invalid", Message: "rs1 is the last server in service of pool web; to drain it nevertheless, add -force"}
	run(t, "", "drain", config, "web/rs1").want(t, 1, "", "^Error: rs1 is the last server in service of pool web; to drain it nevertheless, add -force$")
	run(t, "", "undrain", config, "web/rs1").want(t, 1, "", "^Error: rs1 is")
}

func TestDrainListsWhatIsDrained(t *testing.T) {
	a := &fakeAgent{}
	config := startAgent(t, a)
	run(t, "", "drain", config, "-list").want(t, 0, `^Nothing is drained on rs1\.$`, "")
	run(t, "", "drain", config, "-list", "-json").want(t, 0, `^  "drains": \[\]$`, "")
	gone := control.Drain{Server: "web/rs2", State: control.Drained, Connections: 1, Since: time.Now()}
	file := control.Drain{Server: "mail/mx1", State: control.Drained, File: true, Since: time.Now()}
	removed := draining(2)
	removed.Server, removed.Removed = "10.0.0.7 of virtual_server.http", true
	a.setDrains(draining(1), gone, file, removed)
	run(t, "", "drain", config, "-list").want(t, 0, `^SERVER +SINCE +STATE
web/rs1 +0\.\ds ago +draining with 1 connection until .*
web/rs2 +0\.\ds ago +drained; its time was over with 1 connection left
mail/mx1 +0\.\ds ago +drained, as the cluster file says
10\.0\.0\.7 of virtual_server\.http +0\.\ds ago +draining with 2 connections until .*; the cluster file has it no more\n`, "")
}

func TestDrainIsAskedForProperly(t *testing.T) {
	run(t, "", "drain").want(t, 1, "", "name the server, as POOL/SERVER; -list prints")
	run(t, "", "drain", "-list", "web/rs1").want(t, 1, "", "-list takes no server")
	run(t, "", "drain", "web/rs1", "-deadline", "0s").want(t, 1, "", "a deadline of 0s is none")
	run(t, "", "drain", "web/rs1", "-deadline", "-1m").want(t, 1, "", "a deadline of -1m0s is none")
	run(t, "", "drain", "web/rs1", "-deadline", "5").want(t, 1, "", "invalid value")
	run(t, "", "undrain").want(t, 1, "", "name the server")
	config := startAgent(t, &fakeAgent{})
	stopped := strings.Replace(config, "-config=", "", 1) + ".stopped"
	if err := writeFile(stopped, func(w io.Writer) error {
		_, err := io.WriteString(w, "node_name = \"rs1\"\nsocket = \"/nonexistent/s\"\nsource \"git\" \"p\" {\n  url = \"file:///x\"\n  ref = { branch = \"main\" }\n}\n")
		return err
	}, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", "drain", "-config", stopped, "web/rs1").want(t, 1, "", "draining needs the agent, and none runs: .* draining = true")
}

func TestDrainWaitsUntilTheServerIsDrained(t *testing.T) {
	for _, tt := range []struct {
		name           string
		end            control.Drain
		code           int
		stdout, stderr string
	}{
		{"drained", control.Drain{Server: "web/rs1", State: control.Drained}, 0, `^web/rs1 on rs1: drained\.\n$`, "^$"},
		{"out of time", control.Drain{Server: "web/rs1", State: control.Drained, Connections: 2}, 0, `^web/rs1 on rs1: drained; its time was over with 2 connections left\.\n$`, "^$"},
		{"taken back", control.Drain{Server: "web/rs2", State: control.Drained}, 1, "^$", "web/rs1 was taken back while it was draining"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &fakeAgent{}
			config := startAgent(t, a)
			a.setDrains(draining(3)) // already: it is followed and not asked for again
			seen := make(chan struct{})
			out := &watcher{text: []byte("3 connections"), seen: func() { close(seen) }}
			go func() {
				<-seen
				a.setDrains(tt.end)
			}()
			var stdout, stderr bytes.Buffer
			e := &env{stdout: &stdout, stderr: io.MultiWriter(out, &stderr), live: true}
			code := dispatch(t.Context(), e, []string{"drain", config, "web/rs1", "-wait"})
			// What was on the terminal's line is gone when the command ends.
			_, last, _ := strings.Cut(stderr.String()[strings.LastIndex(stderr.String(), "\r"):], "\x1b[K")
			result{code, stdout.String(), last}.want(t, tt.code, tt.stdout, tt.stderr)
			if len(a.drained) != 0 {
				t.Errorf("asked for %+v again", a.drained)
			}
		})
	}
}

func TestWaitingForWhatIsDrainedIsShort(t *testing.T) {
	a := &fakeAgent{}
	config := startAgent(t, a)
	a.setDrains(control.Drain{Server: "web/rs1", State: control.Drained})
	run(t, "", "drain", config, "web/rs1", "-wait").want(t, 0, `^web/rs1 on rs1: drained\.\n$`, "^$")
	if len(a.drained) != 0 {
		t.Errorf("asked for %+v", a.drained)
	}
}

func TestAnInterruptedWaitLeavesTheServerDraining(t *testing.T) {
	a := &fakeAgent{}
	config := startAgent(t, a)
	a.setDrains(draining(3))
	ctx, interrupt := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	out := &watcher{text: []byte("3 connections"), seen: interrupt}
	code := dispatch(ctx, &env{stdout: io.Discard, stderr: io.MultiWriter(&stderr, out), live: true}, []string{"drain", config, "web/rs1", "-wait"})
	if code != 1 || !strings.Contains(stderr.String(), "nobody waits any more, and web/rs1 goes on draining") {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
}

func TestAPipeHearsOfADrainOnce(t *testing.T) {
	a := &fakeAgent{}
	config := startAgent(t, a)
	a.setDrains(control.Drain{Server: "web/rs1", State: control.Drained})
	run(t, "", "drain", config, "web/rs1", "-wait").want(t, 0, `\Aweb/rs1 on rs1: drained\.\n\z`, "")
	run(t, "", "drain", config, "web/rs1", "-wait", "-json").want(t, 0, `"state": "drained"`, "")
}
