package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
	"github.com/hareconcile/hareconcile/plugins/sdk/sdktest"
)

// sleeper is a service that runs.
const sleeper = "[Service]\nExecStart=/bin/sleep 1000\n"

// TestSystemd asks a real systemd for the states that a unit can be in.
func TestSystemd(t *testing.T) {
	m := boot(t, map[string]string{
		"good.service":    sleeper,
		"killed.service":  sleeper,
		"watched.service": sleeper,
		"exits.service":   "[Service]\nExecStart=/bin/sh -c 'exit 3'\n",
		"limit.service":   "[Service]\nRestart=always\nRestartSec=0\nExecStart=/bin/false\n",
		"loop.service":    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=20ms\nExecStart=/bin/sleep 0.1\n",
		"slow.service":    "[Service]\nType=notify\nExecStart=/bin/sleep 1000\n",
		"waits.service":   "[Service]\nRestart=always\nRestartSec=1h\nExecStart=/bin/sh -c 'exit 3'\n",
		"again.service":   sleeper + "ExecStop=/bin/sleep 0.5\n",
		"stops.service":   sleeper + "ExecStop=/bin/sleep 1000\n",
		"reloads.service": sleeper + "ExecReload=/bin/sleep 1000\n",
		"oneshot.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
		"bad.service":     "[Service]\nType=simple\n",
		"frozen.service":  sleeper,
		"real.service":    sleeper,
	})
	for _, link := range [][2]string{{"/dev/null", "masked.service"}, {"real.service", "alias.service"}} {
		if err := os.Symlink(link[0], filepath.Join(m.dir, "units", link[1])); err != nil {
			t.Fatal(err)
		}
	}
	m.do(t, "Reload")
	m.binary = filepath.Join(openDir(t), "hareconcile-plugin-systemd")
	if out, err := exec.Command("go", "build", "-o", m.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	t.Run("states", m.states)
	t.Run("it tells what changes", m.changes)
	t.Run("a loop of crashes is a warning while it is up", m.crashLoop)
	t.Run("a grace is for what systemd starts again", m.graces)
	t.Run("a unit comes to be", m.comes)
	t.Run("an alias is the unit", m.alias)
	t.Run("anybody may ask", m.anybody)
	t.Run("the binary is a plugin", func(t *testing.T) { sdktest.Verify(t, m.binary, m.config("good.service", nil)) })
	t.Run("systemd executes itself again", m.reexecute)
	t.Run("the bus hangs, and comes back", m.busTrouble)
}

func (m *machine) states(t *testing.T) {
	for _, name := range []string{"good", "exits", "limit", "slow", "waits", "reloads", "oneshot", "killed", "frozen", "stops"} {
		m.start(t, name+".service")
	}
	m.instance(t, "reloads.service", nil).await(sdk.Pass, "")
	m.do(t, "ReloadUnit", "reloads.service", "replace")
	m.instance(t, "killed.service", nil).await(sdk.Pass, "")
	m.do(t, "KillUnit", "killed.service", "all", int32(syscall.SIGKILL))
	m.instance(t, "stops.service", nil).await(sdk.Pass, "")
	m.do(t, "StopUnit", "stops.service", "replace")
	m.instance(t, "frozen.service", nil).await(sdk.Pass, "")
	m.do(t, "FreezeUnit", "frozen.service")
	for _, tt := range []struct {
		unit   string
		more   map[string]any
		want   sdk.Status
		code   string
		detail string
	}{
		{"good.service", nil, sdk.Pass, "", "good.service is active (running)"},
		{"default.target", nil, sdk.Pass, "", "default.target is active (active)"},
		{"dbus.socket", nil, sdk.Pass, "", "dbus.socket is active (running)"},
		{"-.mount", nil, sdk.Pass, "", "-.mount is active (mounted)"},
		{"exits.service", nil, sdk.Fail, "EXIT_CODE", "exits.service has failed: exit-code, its main process exited with 3"},
		{"killed.service", nil, sdk.Fail, "SIGNAL", "killed.service has failed: signal, its main process was killed by signal 9"},
		{"limit.service", nil, sdk.Fail, "EXIT_CODE", "limit.service has failed: exit-code, its main process exited with 1"},
		{"slow.service", nil, sdk.Fail, "STARTING", "slow.service is starting (start)"},
		{"slow.service", map[string]any{"restart_grace": "1h"}, sdk.Unknown, "STARTING", "slow.service is starting (start), for 0s now"},
		{"waits.service", nil, sdk.Fail, "RESTARTING", "waits.service has ended (exit-code, its main process exited with 3), and systemd is about to start it again"},
		{"stops.service", nil, sdk.Fail, "STOPPING", "stops.service is stopping (stop)"},
		{"reloads.service", nil, sdk.Warn, "RELOADING", "reloads.service is up and reloads"},
		{"oneshot.service", nil, sdk.Warn, "EXITED", "oneshot.service is active, and no process of it runs: allow_exited = true if that is all that it does"},
		{"oneshot.service", map[string]any{"allow_exited": true}, sdk.Pass, "", "oneshot.service is active (exited)"},
		{"frozen.service", nil, sdk.Fail, "FROZEN", "frozen.service is frozen: systemctl thaw frozen.service"},
		{"watched.service", nil, sdk.Fail, "INACTIVE", "watched.service is inactive (dead)"},
		{"masked.service", nil, sdk.Fail, "MASKED", "masked.service cannot be started: its file is masked"},
		{"bad.service", nil, sdk.Fail, "BAD_SETTING", "bad.service cannot be started: its file is bad-setting"},
		{"nobody.service", nil, sdk.Fail, "NOT_FOUND", "this host has no unit nobody.service: systemctl list-unit-files shows what there is"},
		{`with\x2ddash@a.b.service`, nil, sdk.Fail, "NOT_FOUND", `this host has no unit with\x2ddash@a.b.service: systemctl list-unit-files shows what there is`},
	} {
		r := m.instance(t, tt.unit, tt.more).await(tt.want, tt.code)
		if r.Detail != tt.detail {
			t.Errorf("%s %v: %q, want %q", tt.unit, tt.more, r.Detail, tt.detail)
		}
		if up := r.Metrics["up"] == 1; up != (tt.want == sdk.Pass || tt.want == sdk.Warn) {
			t.Errorf("%s %v: up is %v", tt.unit, tt.more, up)
		}
	}
}

// watched watches a unit, and starts it when that has begun.
func (m *machine) watched(t *testing.T, unit string, more map[string]any) <-chan sdk.Result {
	t.Helper()
	m.do(t, "StopUnit", unit, "replace")
	m.instance(t, unit, nil).await(sdk.Fail, "INACTIVE")
	from := sdktest.Watch(t, newTracker(), m.config(unit, more))
	told(t, from, sdk.Fail, "INACTIVE")
	m.start(t, unit)
	told(t, from, sdk.Pass, "")
	return from
}

// changes follows one unit: nobody asks, and everything is told.
func (m *machine) changes(t *testing.T) {
	from := m.watched(t, "watched.service", nil)
	m.do(t, "KillUnit", "watched.service", "main", int32(syscall.SIGKILL))
	told(t, from, sdk.Fail, "SIGNAL")
	m.do(t, "ResetFailedUnit", "watched.service")
	told(t, from, sdk.Fail, "INACTIVE")
	m.start(t, "watched.service")
	told(t, from, sdk.Pass, "")
	m.do(t, "StopUnit", "watched.service", "replace")
	told(t, from, sdk.Fail, "INACTIVE")
}

func (m *machine) crashLoop(t *testing.T) {
	u := m.instance(t, "loop.service", nil)
	u.await(sdk.Fail, "INACTIVE")
	from := m.watched(t, "loop.service", nil)
	if r := u.await(sdk.Warn, "CRASH_LOOP"); r.Metrics["recent_restarts"] <= maxRestarts {
		t.Errorf("%v restarts make a loop", r.Metrics["recent_restarts"])
	}
	told(t, from, sdk.Warn, "CRASH_LOOP")
	graced := m.instance(t, "loop.service", map[string]any{"restart_grace": "1h"})
	graced.await(sdk.Fail, "RESTARTING") // it has used up its grace
	m.do(t, "StopUnit", "loop.service", "replace")
	told(t, from, sdk.Fail, "INACTIVE")
}

func (m *machine) graces(t *testing.T) {
	long := m.watched(t, "again.service", map[string]any{"restart_grace": "1h"})
	short := m.watched(t, "again.service", map[string]any{"restart_grace": "100ms"})
	told(t, long, sdk.Fail, "INACTIVE") // nobody was about to start it again
	told(t, long, sdk.Pass, "")
	m.do(t, "RestartUnit", "again.service", "replace")
	if r := <-long; r.Status != sdk.Unknown || r.Code != "RESTARTING" {
		t.Errorf("while it is restarted: %s %s %q, want unknown", r.Status, r.Code, r.Detail)
	}
	told(t, short, sdk.Unknown, "RESTARTING")
	told(t, short, sdk.Fail, "RESTARTING") // though systemd says nothing in between
	told(t, short, sdk.Pass, "")
	told(t, long, sdk.Pass, "")
	m.do(t, "StopUnit", "again.service", "replace")
	told(t, long, sdk.Fail, "STOPPING")
}

func (m *machine) comes(t *testing.T) {
	from := sdktest.Watch(t, newTracker(), m.config("new.service", nil))
	told(t, from, sdk.Fail, "NOT_FOUND")
	m.unit("new.service", sleeper)
	m.do(t, "Reload")
	m.start(t, "new.service")
	told(t, from, sdk.Pass, "")
	if err := os.Remove(filepath.Join(m.dir, "units/new.service")); err != nil {
		t.Fatal(err)
	}
	m.do(t, "Reload")
	m.instance(t, "new.service", nil).await(sdk.Warn, "NOT_FOUND")
	m.do(t, "StopUnit", "new.service", "replace")
	told(t, from, sdk.Fail, "NOT_FOUND")
}

func (m *machine) alias(t *testing.T) {
	m.start(t, "real.service")
	m.instance(t, "alias.service", nil).await(sdk.Pass, "")
	from := sdktest.Watch(t, newTracker(), m.config("alias.service", nil))
	m.do(t, "StopUnit", "real.service", "replace")
	told(t, from, sdk.Fail, "INACTIVE")
	m.start(t, "real.service")
	told(t, from, sdk.Pass, "")
}

// anybody runs the plugin as a user without rights.
func (m *machine) anybody(t *testing.T) {
	cmd := exec.Command(m.binary, "-check", m.config("good.service", nil))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "pass: good.service is active (running)") {
		t.Errorf("nobody's check: %v\n%s", err, out)
	}
}

// reexecute has systemd leave the bus for a moment, with all that it owes.
func (m *machine) reexecute(t *testing.T) {
	from := m.watched(t, "good.service", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	<-m.root.ask(ctx, managerObj, manager+".Reexecute").Done // which is never answered
	m.instance(t, "good.service", nil).await(sdk.Pass, "")
	m.do(t, "StopUnit", "good.service", "replace")
	told(t, from, sdk.Fail, "INACTIVE")
	m.start(t, "good.service")
	told(t, from, sdk.Pass, "")
}

// busTrouble stops the bus, and then ends it. Neither says anything of a unit.
func (m *machine) busTrouble(t *testing.T) {
	u := m.instance(t, "good.service", nil)
	u.await(sdk.Pass, "")
	pid := m.busPid(t)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if r := u.look(200 * time.Millisecond); r.Status != sdk.Unknown || r.Detail != "systemd does not answer" {
		t.Errorf("while the bus hangs: %s %q, want unknown", r.Status, r.Detail)
	}
	fresh := m.instance(t, "good.service", nil)
	if r := fresh.look(200 * time.Millisecond); r.Status != sdk.Unknown || r.Detail != "the bus at "+m.bus()+" does not answer" {
		t.Errorf("while the bus hangs: %s %q, want unknown", r.Status, r.Detail)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	u.await(sdk.Pass, "")
	fresh.await(sdk.Pass, "")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-m.root.conn.Context().Done()
	u.await(sdk.Pass, "") // systemd starts the bus for whoever comes
}

// busPid finds the bus by its configuration.
func (m *machine) busPid(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), "--config-file="+m.dir) {
			var pid int
			if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("there is no bus")
	return 0
}
