package script

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// elsewhere names what runs a documented command that is not run here, because it needs
// a running agent, a lab or a whole build: a file that holds the given text.
var elsewhere = []struct{ command, file, text string }{
	{"hareconcile agent", "test/script/testdata/root/agent.txtar", "hareconcile agent "},
	{"hareconcile plan", "test/script/testdata/root/agent.txtar", "hareconcile plan -config agent.hcl -detailed-exitcode\n"},
	{"hareconcile apply", "test/script/testdata/root/agent.txtar", "hareconcile apply -config agent.hcl -auto-approve\n"},
	{"hareconcile show", "test/script/testdata/root/agent.txtar", "hareconcile show "},
	{"hareconcile status", "test/script/testdata/root/agent.txtar", "hareconcile status "},
	{"hareconcile plan DIR", "test/script/testdata/root/agent.txtar", "hareconcile plan -config agent.hcl -detailed-exitcode examples/lvs-dr"},
	{"hareconcile lab", "test/script/testdata/lab/lvs_dr.txtar", "hareconcile lab "},
	{"hareconcile lab up DIR", "test/script/testdata/lab/lvs_dr.txtar", "hareconcile lab up examples/lvs-dr"},
	{"hareconcile lab exec client -- curl http://172.25.254.100/", "test/script/testdata/lab/lvs_dr.txtar",
		"client -- curl -s -m 1 http://172.25.254.100/"},
	{"hareconcile lab up examples/lvs-dr", "test/script/testdata/lab/lvs_dr.txtar", "hareconcile lab up examples/lvs-dr"},
	{"hareconcile lab exec ka1 -- ipvsadm -Ln", "test/demo/demo.go", `"ipvsadm", "-Ln"`},
	{"hareconcile lab exec ka1 -- hareconcile status", "test/script/testdata/lab/lvs_dr.txtar", "ka1 -- hareconcile status"},
	{"hareconcile lab cut ka1", "test/cluster/story_test.go", `s.Cut(t.Context(), "ka1")`},
	{"hareconcile lab push", "internal/lab/lab_test.go", "c.Push("},
	{"hareconcile lab down examples/lvs-dr", "test/script/testdata/lab/lvs_dr.txtar", "hareconcile lab down examples/lvs-dr"},
	{"hareconcile lab up examples/haproxy", "test/demo/haproxy.go", `example: "examples/haproxy"`},
	{"hareconcile lab down examples/haproxy", "test/demo/haproxy.go", `example: "examples/haproxy"`},
	{"hareconcile lab down DIR", "test/script/testdata/lab/lvs_dr.txtar", "hareconcile lab down examples/lvs-dr"},
	{"hareconcile drain web/rs1", "test/cluster/drain_test.go", `"drain", "-wait", "-deadline", "1m", "web/rs1"`},
	{"hareconcile drain -list", "test/script/testdata/user/drain.txtar", "hareconcile drain -config agent.hcl -list"},
	{"hareconcile undrain web/rs1", "test/cluster/drain_test.go", `"undrain", "web/rs1"`},
	{"hareconcile plugin lock", "cmd/hareconcile/plugin_lock_test.go", `"plugin", "lock", "-agent", agent, dir`},
	{"hareconcile plugin lock DIR", "cmd/hareconcile/plugin_lock_test.go", `"plugin", "lock", "-agent", agent, dir`},
	{"hareconcile plugin list DIR", "cmd/hareconcile/plugin_lock_test.go", `"plugin", "list", "-agent", agent, dir`},
	{"hareconcile plugin new heartbeat", "cmd/hareconcile/plugin_test.go", `"plugin", "new", "-sdk"`},
	{`hareconcile plugin check -config '{"socket": "/run/haproxy/admin.sock"}' haproxy`, "cmd/hareconcile/plugin_test.go", `"plugin", "check", "-agent", agent`},
	{`hareconcile plugin verify -config '{"path": "/run/beat"}' ./hareconcile-plugin-heartbeat`, "plugins/sdk/docs_test.go", "$ hareconcile plugin verify"},
	{`hareconcile plugin verify -plain -config '{"path": "/run/beat"}' $B`, "test/cluster/abroad_test.go", `"-plain", "-config"`},
	{"systemctl freeze", "plugins/systemd/systemd_test.go", `"frozen.service"`},
	{"hareconcile lab exec NODE -- hareconcile status", "test/script/testdata/lab/lvs_dr.txtar", "ka1 -- hareconcile status"},
	{"hareconcile lab exec NODE -- rm /run/beat", "test/cluster/foreign_test.go", `"rm /run/python"`},
	{"systemctl reload hareconcile-vrrpd", "internal/vrrpd/upgrade_test.go", "UpgradeBySignal()"},
	{"hareconcile status -json", "test/script/testdata/root/agent.txtar", "hareconcile status "},
	{"hareconcile init /srv/git/edge.git", "test/script/testdata/user/init.txtar", "hareconcile init edge.git"},
	{"hareconcile init -hook-only /srv/git/edge.git", "test/script/testdata/user/init.txtar", "hareconcile init -hook-only "},
	{"hareconcile retry 8f3c2d1", "test/script/testdata/root/orders.txtar", "hareconcile retry -config agent.hcl"},
	{"hareconcile history", "test/script/testdata/root/orders.txtar", "hareconcile history -config agent.hcl"},
	{"hareconcile rollback", "test/script/testdata/root/orders.txtar", "hareconcile rollback -config agent.hcl"},
	{"hareconcile suspend -reason \"new switch in rack 3\" -for 2h", "test/script/testdata/root/orders.txtar", "hareconcile suspend -config agent.hcl -reason 'new switch' -for 2h"},
	{"hareconcile resume", "test/script/testdata/root/orders.txtar", "hareconcile resume -config agent.hcl"},
	{"hareconcile node-key", "test/script/testdata/root/orders.txtar", "hareconcile node-key -config agent.hcl"},
	{"hareconcile status -cluster", "test/script/testdata/root/orders.txtar", "hareconcile status -config agent.hcl -cluster"},
	{"hareconcile retry -ignore ka2", "internal/agent/mesh_test.go", `control.Order{Ignore: "rs1"`},
	{"hareconcile handover", "cmd/hareconcile/handover_test.go", "h.handOver(t.Context()"},
	{"hareconcile handover -instance web -wait", "test/cluster/rollout_test.go", `"hareconcile handover -instance web -wait"`},
	{
		`hareconcile status -json | jq -e '.conditions[] | select(.type == "Ready") | .status == "True"'`, "internal/control/condition_test.go",
		`Ready: "True Converged"`,
	},
	{"hareconcile events", "cmd/hareconcile/events_test.go", `run(t, "", "events", config, "-n", "0")`},
	{"hareconcile events -f -json", "cmd/hareconcile/events_test.go", `"events", config, "-f"`},
	{"hareconcile events -f -kind vrrp_transition,alarm", "cmd/hareconcile/events_test.go", `"-f", "-kind", "vrrp_transition,alarm"`},
	{"hareconcile events -n 0 -json | jq .", "cmd/hareconcile/events_test.go", `"-n", "1", "-json"`},
	{"hareconcile reconcile", "cmd/hareconcile/reconcile_test.go", `"reconcile", config)`},
	{"hareconcile reconcile -wait -timeout 2m", "cmd/hareconcile/reconcile_test.go", `"reconcile", config, "-wait", "-timeout", "1m"`},
	{"systemctl stop hareconcile-vrrpd", "internal/vrrpd/namespace_test.go", "syscall.SIGTERM"},
	{"systemctl reload hareconcile", "dist/hareconcile.service", "ExecReload="},
	{"systemctl enable --now hareconcile-vrrpd hareconcile", "dist/hareconcile-vrrpd.service", "ExecStart="},
}

// fenced finds blocks of code, and inline what is set as code in a sentence.
var (
	fenced = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```$")
	inline = regexp.MustCompile("`([^`\n]+)`")
	prog   = regexp.MustCompile(`^(hareconcile|make|systemctl)( |$)`)
)

// documented returns the command lines that a page shows.
func documented(page string) []string {
	var found []string
	for _, m := range fenced.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(m[1]) {
			line, _, _ = strings.Cut(line, "  #")
			found = append(found, strings.TrimPrefix(strings.TrimSpace(line), "$ "))
		}
	}
	for _, m := range inline.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		found = append(found, m[1])
	}
	found = slices.DeleteFunc(found, func(s string) bool { return !prog.MatchString(s) || s == "hareconcile" })
	slices.Sort(found)
	return slices.Compact(found)
}

// pages are what people read: everything but the decisions, which tell of the past.
func pages(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, pattern := range []string{"README.md", "CONTRIBUTING.md", "docs/*.md", "examples/*/README.md"} {
		names, err := fs.Glob(os.DirFS("../.."), pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			b, err := os.ReadFile(filepath.Join("../..", n))
			if err != nil {
				t.Fatal(err)
			}
			out[n] = documented(string(b))
		}
	}
	return out
}

func TestDocumentedCommandsWork(t *testing.T) {
	all := pages(t)
	if len(all["README.md"]) == 0 {
		t.Error("README.md shows no command")
	}
	for page, commands := range all {
		for _, c := range commands {
			t.Run(page+": "+c, func(t *testing.T) {
				if !coveredElsewhere(t, c) {
					runDocumented(t, c)
				}
			})
		}
	}
}

// coveredElsewhere reports whether c is in the list, and holds the list to what it says.
func coveredElsewhere(t *testing.T, c string) bool {
	t.Helper()
	for _, e := range elsewhere {
		if e.command != c {
			continue
		}
		b, err := os.ReadFile(filepath.Join("../..", e.file))
		if err != nil || !strings.Contains(string(b), e.text) {
			t.Errorf("%q should be covered by %q in %s (%v)", c, e.text, e.file, err)
		}
		return true
	}
	return false
}

// runDocumented runs c beside a copy of the examples, where DIR is the reference lab.
func runDocumented(t *testing.T, c string) {
	t.Helper()
	if target, ok := strings.CutPrefix(c, "make"); ok {
		makeTarget(t, strings.TrimSpace(target))
		return
	}
	if !strings.HasPrefix(c, "hareconcile ") {
		t.Fatalf("%q is run by no test: add it to elsewhere with what covers it", c)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(c, "DIR", "examples/lvs-dr"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", c, err, out)
	}
}

// makeTarget checks that the Makefile knows a target: CI runs them, and this test is run by one.
func makeTarget(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile("../../Makefile")
	if err != nil || !strings.Contains("\n"+string(b), "\n"+name+":") && name != "" {
		t.Errorf("the Makefile has no target %q (%v)", name, err)
	}
}
