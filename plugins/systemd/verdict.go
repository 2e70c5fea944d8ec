package main

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A state is what systemd says of a unit.
type state struct {
	path     dbus.ObjectPath // of the unit itself, which may have been asked for by an alias
	load     string          // whether its file was read
	active   string
	sub      string
	job      string // what systemd is about to do with it, if anything
	frozen   string // running, freezing, frozen or thawing; nothing before systemd 246
	restarts uint32 // by systemd itself, since somebody started it

	// What became of its last run. It is only asked for where the unit is not active.
	result string
	code   int32 // how its main process ended: CLD_EXITED and so on (waitid(2))
	status int32 // with which exit status or by which signal
}

// cldExited is CLD_EXITED: the status is an exit status and no signal.
const cldExited = 1

// A history is what was seen of one unit over time.
type history struct {
	seen     bool
	restarts uint32      // at the last look
	at       []time.Time // of restarts within the window, as far as they were seen
	since    time.Time   // when it was first seen being started; zero if it is not
}

// maxAt bounds how many restarts are remembered.
const maxAt = 1024

// see takes over what a look found.
func (h *history) see(s state, c *config, now time.Time) {
	switch {
	case !h.seen || s.restarts < h.restarts: // first look, or somebody started it
		h.at = nil
	default:
		for range min(s.restarts-h.restarts, maxAt) {
			h.at = append(h.at, now)
		}
	}
	h.seen, h.restarts = true, s.restarts
	for len(h.at) > 0 && (now.Sub(h.at[0]) >= c.restartWindow || len(h.at) > maxAt) {
		h.at = h.at[1:]
	}
	switch {
	case !s.starting():
		h.since = time.Time{}
	case h.since.IsZero():
		h.since = now
	}
}

// starting reports whether the unit is down and systemd brings it up, or is about to.
func (s state) starting() bool {
	switch s.active {
	case "activating":
		return true
	case "inactive", "failed", "deactivating":
		return s.job == "start" || s.job == "restart"
	}
	return false
}

// judge says what a state means.
func (c *config) judge(s state, h *history, now time.Time) (sdk.Result, error) {
	h.see(s, c, now)
	loop := len(h.at) > c.maxRestarts
	r := sdk.Result{
		Metrics: map[string]float64{"up": 0, "restarts": float64(s.restarts), "recent_restarts": float64(len(h.at))},
		Facts:   map[string]string{"state": s.active + " (" + s.sub + ")", "load_state": s.load},
	}
	if s.result != "" {
		r.Facts["result"] = s.result
	}
	switch s.active {
	case "active":
		r.Status, r.Code, r.Detail = c.up(s, loop, len(h.at))
	case "reloading", "refreshing":
		r.Status, r.Code, r.Detail = sdk.Warn, "RELOADING", c.unit+" is up and reloads"
	case "activating", "deactivating", "inactive", "failed", "maintenance":
		r.Status = sdk.Fail
		r.Code, r.Detail = c.down(s)
		if s.starting() && !loop && now.Sub(h.since) < c.grace {
			r.Status = sdk.Unknown
			r.Detail += fmt.Sprintf(", for %v now", now.Sub(h.since).Round(time.Millisecond))
		}
	default:
		return sdk.Result{}, fmt.Errorf("%s is in the state %q, which this plugin does not know", c.unit, s.active)
	}
	if r.Status == sdk.Pass || r.Status == sdk.Warn {
		r.Metrics["up"] = 1
	}
	return r, nil
}

// up judges a unit that is active.
func (c *config) up(s state, loop bool, restarts int) (sdk.Status, string, string) {
	switch {
	case strings.HasPrefix(s.frozen, "freez"), strings.HasPrefix(s.frozen, "frozen"):
		return sdk.Fail, "FROZEN", c.unit + " is frozen: systemctl thaw " + c.unit
	case loop:
		return sdk.Warn, "CRASH_LOOP", fmt.Sprintf("systemd has restarted %s %d times within %v", c.unit, restarts, c.restartWindow)
	case s.load != "loaded":
		return sdk.Warn, code(s.load), fmt.Sprintf("%s is active, but would not start again: its file is %s", c.unit, s.load)
	case path.Ext(c.unit) == ".service" && s.sub == "exited" && !c.allowExited:
		return sdk.Warn, "EXITED", c.unit + " is active, and no process of it runs: allow_exited = true if that is all that it does"
	}
	return sdk.Pass, "", fmt.Sprintf("%s is active (%s)", c.unit, s.sub)
}

// down says why a unit is not active.
func (c *config) down(s state) (string, string) {
	switch {
	case s.active == "inactive" && s.load == "not-found":
		return code(s.load), "this host has no unit " + c.unit + ": systemctl list-unit-files shows what there is"
	case s.active == "inactive" && s.load != "loaded":
		return code(s.load), fmt.Sprintf("%s cannot be started: its file is %s", c.unit, s.load)
	case s.active == "failed" && s.result == "": // a type that has no result
		return "FAILED", c.unit + " has failed"
	case s.active == "failed":
		return code(s.result), c.unit + " has failed: " + s.why()
	case strings.HasPrefix(s.sub, "auto-restart"):
		return "RESTARTING", fmt.Sprintf("%s has ended (%s), and systemd is about to start it again", c.unit, s.why())
	case s.active == "activating":
		return "STARTING", fmt.Sprintf("%s is starting (%s)", c.unit, s.sub)
	case s.starting():
		return "RESTARTING", fmt.Sprintf("%s is %s (%s), and systemd is about to start it", c.unit, s.active, s.sub)
	case s.active == "deactivating":
		return "STOPPING", fmt.Sprintf("%s is stopping (%s)", c.unit, s.sub)
	case s.result != "" && s.result != "success":
		return code(s.active), fmt.Sprintf("%s is %s: %s", c.unit, s.active, s.why())
	}
	return code(s.active), fmt.Sprintf("%s is %s (%s)", c.unit, s.active, s.sub)
}

// why says how the last run ended.
func (s state) why() string {
	switch {
	case s.code == 0:
		return s.result
	case s.code == cldExited:
		return fmt.Sprintf("%s, its main process exited with %d", s.result, s.status)
	}
	return fmt.Sprintf("%s, its main process was killed by signal %d", s.result, s.status)
}

// code makes the code of a word of systemd's, such as exit-code.
func code(word string) string {
	return strings.ToUpper(strings.ReplaceAll(word, "-", "_"))
}
