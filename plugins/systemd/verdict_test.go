package main

import (
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
	"github.com/hareconcile/hareconcile/plugins/sdk/sdktest"
)

// TestJudge has the states that a real systemd is not easily brought into, or not this one.
func TestJudge(t *testing.T) {
	c := config{unit: "x.service", restartWindow: time.Minute, maxRestarts: 3}
	for _, tt := range []struct {
		name   string
		s      state
		want   sdk.Status
		code   string
		detail string
	}{
		{"refreshing came with systemd 257", state{active: "refreshing", sub: "refresh", load: "loaded"}, sdk.Warn, "RELOADING", "x.service is up and reloads"},
		{"auto-restart-queued with 254", state{active: "activating", sub: "auto-restart-queued", load: "loaded", result: "core-dump", code: 3, status: 11},
			sdk.Fail, "RESTARTING", "x.service has ended (core-dump, its main process was killed by signal 11), and systemd is about to start it again"},
		{"frozen by its slice", state{active: "active", sub: "running", load: "loaded", frozen: "frozen-by-parent"}, sdk.Fail, "FROZEN", "x.service is frozen: systemctl thaw x.service"},
		{"on the way there", state{active: "active", sub: "running", load: "loaded", frozen: "freezing"}, sdk.Fail, "FROZEN", "x.service is frozen: systemctl thaw x.service"},
		{"and back", state{active: "active", sub: "running", load: "loaded", frozen: "thawing"}, sdk.Pass, "", "x.service is active (running)"},
		{"no watchdog message came", state{active: "failed", sub: "failed", load: "loaded", result: "watchdog", code: 3, status: 6}, sdk.Fail, "WATCHDOG", "x.service has failed: watchdog, its main process was killed by signal 6"},
		{"out of memory", state{active: "failed", sub: "failed", load: "loaded", result: "oom-kill", code: 2, status: 9}, sdk.Fail, "OOM_KILL", "x.service has failed: oom-kill, its main process was killed by signal 9"},
		{"nothing was started at all", state{active: "failed", sub: "failed", load: "loaded", result: "resources"}, sdk.Fail, "RESOURCES", "x.service has failed: resources"},
		{"a type without a result", state{active: "failed", sub: "failed", load: "loaded"}, sdk.Fail, "FAILED", "x.service has failed"},
		{"its condition did not hold", state{active: "inactive", sub: "dead", load: "loaded", result: "exec-condition", code: 1, status: 1},
			sdk.Fail, "INACTIVE", "x.service is inactive: exec-condition, its main process exited with 1"},
		{"it waits for others", state{active: "inactive", sub: "dead", load: "loaded", job: "start"}, sdk.Fail, "RESTARTING", "x.service is inactive (dead), and systemd is about to start it"},
		{"a state of the future", state{active: "dreaming", load: "loaded"}, sdk.Unknown, "", `x.service is in the state "dreaming", which this plugin does not know`},
	} {
		r, err := c.judge(tt.s, &history{}, time.Now())
		if err != nil {
			r = sdk.Result{Status: sdk.Unknown, Detail: err.Error()}
		}
		if r.Status != tt.want || r.Code != tt.code || r.Detail != tt.detail {
			t.Errorf("%s: %s %s %q, want %s %s %q", tt.name, r.Status, r.Code, r.Detail, tt.want, tt.code, tt.detail)
		}
	}
}

// TestRestarts counts what systemd restarted, and nothing else.
func TestRestarts(t *testing.T) {
	c := config{unit: "x.service", restartWindow: time.Minute, maxRestarts: 2}
	h := &history{}
	begin := time.Now()
	for _, tt := range []struct {
		at       time.Duration
		restarts uint32
		want     sdk.Status
		recent   float64
	}{
		{0, 90, sdk.Pass, 0}, // before anybody looked
		{1 * time.Second, 91, sdk.Pass, 1},
		{2 * time.Second, 92, sdk.Pass, 2},
		{3 * time.Second, 92, sdk.Pass, 2},
		{4 * time.Second, 93, sdk.Warn, 3},
		{61 * time.Second, 93, sdk.Pass, 2},
		{62 * time.Second, 99, sdk.Warn, 7},
		{63 * time.Second, 0, sdk.Pass, 0}, // somebody started it
		{64 * time.Second, 4_000_000_000, sdk.Warn, maxAt},
	} {
		r, err := c.judge(state{active: "active", sub: "running", load: "loaded", restarts: tt.restarts}, h, begin.Add(tt.at))
		if err != nil || r.Status != tt.want || r.Metrics["recent_restarts"] != tt.recent {
			t.Errorf("after %v: %s, %v recent, %v, want %s, %v", tt.at, r.Status, r.Metrics["recent_restarts"], err, tt.want, tt.recent)
		}
	}
}

// TestGrace: it is one grace for a restart, however many states that has.
func TestGrace(t *testing.T) {
	c := config{unit: "x.service", restartWindow: time.Minute, maxRestarts: 3, grace: 3 * time.Second}
	h := &history{}
	begin := time.Now()
	for _, tt := range []struct {
		at          time.Duration
		active, job string
		want        sdk.Status
	}{
		{0, "deactivating", "restart", sdk.Unknown},
		{1 * time.Second, "inactive", "restart", sdk.Unknown},
		{2 * time.Second, "activating", "start", sdk.Unknown},
		{3 * time.Second, "activating", "start", sdk.Fail},
		{4 * time.Second, "active", "", sdk.Pass},
		{5 * time.Second, "activating", "", sdk.Unknown}, // another one
		{6 * time.Second, "failed", "", sdk.Fail},        // systemd gave up
		{7 * time.Second, "deactivating", "stop", sdk.Fail},
		{8 * time.Second, "inactive", "", sdk.Fail},
	} {
		r, err := c.judge(state{active: tt.active, job: tt.job, load: "loaded"}, h, begin.Add(tt.at))
		if err != nil || r.Status != tt.want {
			t.Errorf("after %v, %s: %s %q, %v, want %s", tt.at, tt.active, r.Status, r.Detail, err, tt.want)
		}
	}
}

// TestUnitPath compares with what `systemd-escape` and busctl make of names.
func TestUnitPath(t *testing.T) {
	for name, want := range map[string]string{
		"haproxy.service":         "haproxy_2eservice",
		"-.mount":                 "_2d_2emount",
		"389-ds@main.service":     "_3389_2dds_40main_2eservice",
		`a\x2db_c:d.slice`:        "a_5cx2db_5fc_3ad_2eslice",
		"run-netns.automount":     "run_2dnetns_2eautomount",
		"Upper9.timer":            "Upper9_2etimer",
		"dev-disk-by\\x2did.swap": "dev_2ddisk_2dby_5cx2did_2eswap",
	} {
		if got := unitPath(name); string(got) != "/org/freedesktop/systemd1/unit/"+want || !got.IsValid() {
			t.Errorf("unitPath(%q) = %q, want %q", name, got, want)
		}
	}
	if got := unitInterface("x.automount"); got != "org.freedesktop.systemd1.Automount" {
		t.Errorf("unitInterface(x.automount) = %q", got)
	}
}

func TestConfiguration(t *testing.T) {
	sdktest.Run(t, newTracker(), []sdktest.Case{
		{Name: "a unit will do, whatever its bus says", Config: `{"unit": "haproxy.service", "bus": "/absent"}`, Want: sdk.Unknown, Detail: "connect to the bus at /absent"},
		{Name: "all that there is", Config: `{"unit": "389-ds@main.service", "bus": "/absent", "restart_grace": "3s", "restart_window": "1m", "max_restarts": 0, "allow_exited": true}`, Want: sdk.Unknown},
		{Name: "a unit is required", Config: `{}`, Mistakes: []string{"unit"}},
		{Name: "with its type", Config: `{"unit": "haproxy"}`, Mistakes: []string{"unit"}},
		{Name: "that is one", Config: `{"unit": "haproxy.conf"}`, Mistakes: []string{"unit"}},
		{Name: "a pattern is no unit", Config: `{"unit": "ha*.service"}`, Mistakes: []string{"unit"}},
		{Name: "a path is no unit", Config: `{"unit": "/etc/systemd/system/x.service"}`, Mistakes: []string{"unit"}},
		{Name: "a template is no unit", Config: `{"unit": "openvpn@.service"}`, Mistakes: []string{"unit"}},
		{Name: "a name has an end", Config: `{"unit": "` + strings.Repeat("x", 250) + `.service"}`, Mistakes: []string{"unit"}},
		{Name: "a bus is a path", Config: `{"unit": "a.service", "bus": "system"}`, Mistakes: []string{"bus"}},
		{Name: "a number is no duration", Config: `{"unit": "a.service", "restart_grace": "3"}`, Mistakes: []string{"restart_grace"}},
		{Name: "a grace is no holiday", Config: `{"unit": "a.service", "restart_grace": "2h"}`, Mistakes: []string{"restart_grace"}},
		{Name: "no window is refused", Config: `{"unit": "a.service", "restart_window": "0s"}`, Mistakes: []string{"restart_window"}},
		{Name: "half a restart is refused", Config: `{"unit": "a.service", "max_restarts": 0.5}`, Mistakes: []string{"max_restarts"}},
		{Name: "only services exit", Config: `{"unit": "a.target", "allow_exited": true}`, Mistakes: []string{"allow_exited"}},
		{Name: "all mistakes at once", Config: `{"unit": "a", "max_restarts": -1, "bus": "x"}`, Mistakes: []string{"unit", "max_restarts", "bus"}},
	})
}
