package main

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
)

const example = "../../examples/lvs-dr"

func TestPlanIsTheAgents(t *testing.T) {
	a := &fakeAgent{}
	config := startAgent(t, a)
	run(t, "", "plan", config, "-detailed-exitcode").want(t, 0, `^No changes\. rs1 matches main@8f3c2d1`, "")
	a.changes = []reconcile.Change{update1()}
	run(t, "", "plan", config).want(t, 0, `Plan: 0 to add, 1 to change, 0 to destroy\.`, "")
	run(t, "", "plan", config, "-detailed-exitcode", "-node=rs1").want(t, 2, `~ value = "0" -> "1"`, "")
	run(t, "", "plan", config, "-node=rs2").want(t, 1, "", `this host is node "rs1"`)
}

func TestPlanOfAFolderHasTheAgentsFacts(t *testing.T) {
	config := startAgent(t, &fakeAgent{})
	r := run(t, "", "plan", config, example)
	r.want(t, 0, `Plan: 5 to add`, "")
	if strings.Contains(r.stdout, "Note: no facts") {
		t.Errorf("the plan has no facts:\n%s", r.stdout)
	}
}

func TestApplyGoesThroughTheAgent(t *testing.T) {
	for _, tt := range []struct {
		name           string
		stdin          string
		args           []string
		refusal        error
		code           int
		stdout, stderr string
	}{
		{"approved", "yes\n", nil, nil, 0, `^Apply complete! Resources: 0 added, 1 changed, 0 destroyed\.$`, ""},
		{"approved without a newline", "yes", nil, nil, 0, `^Apply complete!`, ""},
		{"approved beforehand", "", []string{"-auto-approve"}, nil, 0, `^update sysctl/net/ipv4/conf/lo/arp_ignore$`, ""},
		{"as JSON", "", []string{"-auto-approve", "-json"}, nil, 0, `^  "applied": \[\n    "update sysctl/`, ""},
		{"not approved", "y\n", nil, nil, 1, `Only 'yes' will be accepted`, "apply cancelled: nothing was changed"},
		{"nobody to ask", "", nil, nil, 1, `Enter a value:`, "there was no answer; run apply in a terminal or with -auto-approve"},
		{"stale", "yes\n", nil, &control.APIError{Code: "stale", Message: "the plan is stale"}, 5, "", "^Error: the plan is stale$"},
		{"denied", "yes\n", nil, &control.APIError{Code: "denied", Message: "denied by keep_a_vip"}, 4, "", "keep_a_vip"},
		{"not ready", "yes\n", nil, &control.APIError{Code: "not_ready", Message: "no revision yet"}, 1, "", "no revision yet"},
		{"a folder", "yes\n", []string{example}, nil, 6, "", "follows ssh://git@git.example.com/edge.git; push the change there"},
		{"no plan", "", []string{"main.go"}, nil, 1, "", "main.go is no saved plan"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &fakeAgent{changes: []reconcile.Change{update1()}, refusal: tt.refusal}
			config := startAgent(t, a)
			r := run(t, tt.stdin, append([]string{"apply", config}, tt.args...)...)
			r.want(t, tt.code, cmp.Or(tt.stdout, "^"), cmp.Or(tt.stderr, "^$"))
			if done := len(a.changes) == 0; done != (tt.code == 0) {
				t.Errorf("carried out = %v with exit code %d", done, r.code)
			}
		})
	}
}

func TestASavedPlanIsAppliedOnceThroughTheAgent(t *testing.T) {
	a := &fakeAgent{changes: []reconcile.Change{update1()}}
	config := startAgent(t, a)
	saved := filepath.Join(t.TempDir(), "plan")
	run(t, "", "plan", config, "-out", saved).want(t, 0, "^Saved the plan to: ", "")
	run(t, "yes\n", "apply", config, saved).want(t, 0, "^Apply complete!", "")
	run(t, "yes\n", "apply", config, saved).want(t, 5, "Only 'yes'", "the plan is stale")
}

func TestAChangeThatFailsIsAnError(t *testing.T) {
	bad := reconcile.Change{Action: reconcile.Create, ID: broken.ID(), After: broken}
	config := startAgent(t, &fakeAgent{changes: []reconcile.Change{update1(), bad}})
	run(t, "yes\n", "apply", config).want(t, 1, `^Apply incomplete\. Resources: 0 added, 1 changed`,
		`^Error: 1 change\(s\) could not be made:\n  sysctl/net/broken: no such file$`)
}

func TestADeniedPlanIsNotAskedAbout(t *testing.T) {
	a := &fakeAgent{changes: []reconcile.Change{update1()}, findings: []reconcile.Finding{{
		Set: "host", Policy: "p", File: "p.policy.hcl", Line: 1, Level: "mandatory", Result: "deny", Message: "never"}}}
	config := startAgent(t, a)
	r := run(t, "yes\n", "apply", config)
	r.want(t, 4, "Denied", "the plan is denied by 1 mandatory policy result")
	if strings.Contains(r.stdout, "Only 'yes'") || len(a.changes) == 0 {
		t.Errorf("a denied plan was asked about or carried out:\n%s", r.stdout)
	}
}

func TestAnInterruptAtThePromptChangesNothing(t *testing.T) {
	a := &fakeAgent{changes: []reconcile.Change{update1()}}
	config := startAgent(t, a)
	stdin, typist, err := os.Pipe() // nobody types
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer typist.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	var errs bytes.Buffer
	out := &watcher{text: []byte("Enter a value:"), seen: interrupt}
	code := dispatch(ctx, &env{stdin: stdin, stdout: out, stderr: &errs}, []string{"apply", config})
	if code != 1 || len(a.changes) != 1 || !strings.Contains(errs.String(), "nothing was applied") {
		t.Errorf("exit code %d, %d changes left, stderr %q", code, len(a.changes), errs.String())
	}
}

// A watcher calls seen when something is written.
type watcher struct {
	text []byte
	seen func()
}

// Write implements io.Writer.
func (w *watcher) Write(b []byte) (int, error) {
	if bytes.Contains(b, w.text) {
		w.seen()
	}
	return len(b), nil
}

func TestSnapshotAndShowAskTheAgent(t *testing.T) {
	config := startAgent(t, &fakeAgent{})
	out := filepath.Join(t.TempDir(), "snap.json")
	run(t, "", "snapshot", config, "-out", out).want(t, 0, "", "")
	run(t, "", "plan", "-against", out, "-detailed-exitcode", example).want(t, 2, "Plan: 5 to add", "")
	run(t, "", "show", config).want(t, 0, "^hareconcile manages nothing on this host", "")
	run(t, "", "show", config, "-json").want(t, 0, `"managed": \[\]`, "")
}

func TestStatusFollowsTheAgent(t *testing.T) {
	a := &fakeAgent{status: control.Status{Node: "rs1", Phase: control.Starting}}
	config := startAgent(t, a)
	run(t, "", "status", config).want(t, 0, `^Phase +starting$`, "")
	run(t, "", "status", config, "-json").want(t, 0, `^  "phase": "starting"`, "")

	for _, asJSON := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		args := []string{"status", config, "-watch"}
		if asJSON {
			args = append(args, "-json")
		}
		a.setPhase(control.Starting)
		out := &watcher{text: []byte("starting"), seen: func() { a.setPhase(control.Converged) }}
		last := &watcher{text: []byte("converged"), seen: cancel}
		if code := dispatch(ctx, &env{stdout: io.MultiWriter(out, last), stderr: io.Discard}, args); code != 0 {
			t.Errorf("status -watch, JSON %v: exit code %d, want 0", asJSON, code)
		}
		cancel()
	}
}
