package main

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// systemBus is where the system bus listens (D-Bus specification, "Well-known Message Bus
// Instances").
const systemBus = "/run/dbus/system_bus_socket"

// What restarts mean by default. systemd itself gives up after five starts within 10 s
// (systemd.unit(5), StartLimitBurst=); what crashes more slowly it restarts forever.
const (
	maxRestarts   = 3
	restartWindow = 5 * time.Minute
)

// A tracker makes units.
type tracker struct {
	buses *buses
}

var _ sdk.Tracker = tracker{}

func newTracker() tracker { return tracker{&buses{known: map[string]*bus{}}} }

// Schema implements sdk.Tracker.
func (tracker) Schema() sdk.Schema {
	return sdk.Schema{
		"unit":           {Type: sdk.String, Required: true, Description: "the unit, such as haproxy.service"},
		"restart_grace":  {Type: sdk.String, Description: "how long it may be down while systemd starts it again, which is unknown and then down (default 0s)"},
		"restart_window": {Type: sdk.String, Description: "how long restarts by systemd are counted (default 5m)"},
		"max_restarts":   {Type: sdk.Number, Description: "more restarts in that time are a warning (default 3)"},
		"allow_exited":   {Type: sdk.Bool, Description: "a service that is active without a process is no warning"},
		"bus":            {Type: sdk.String, Description: "path of the bus's socket (default " + systemBus + ")"},
	}
}

// A config is what a tracker block says.
type config struct {
	unit          string
	bus           string
	grace         time.Duration
	restartWindow time.Duration
	maxRestarts   int
	allowExited   bool
}

// unitName is what systemd allows in the name of a unit (systemd.unit(5)).
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|socket|target|device|mount|automount|swap|timer|path|slice|scope)$`)

// maxUnitName is UNIT_NAME_MAX of systemd.
const maxUnitName = 255

// New implements sdk.Tracker.
func (t tracker) New(_ context.Context, v sdk.Value) (sdk.Instance, error) {
	r := reader{v: v}
	c := config{
		unit: r.unit(), bus: systemBus, allowExited: v.Bool("allow_exited"),
		grace:         r.duration("restart_grace", 0),
		restartWindow: r.duration("restart_window", restartWindow),
		maxRestarts:   r.count("max_restarts", maxRestarts),
	}
	if v.Has("bus") {
		c.bus = v.String("bus")
		if !filepath.IsAbs(c.bus) {
			r.blame("bus", "%q is no absolute path of a socket, such as %s", c.bus, systemBus)
		}
	}
	if c.restartWindow == 0 {
		r.blame("restart_window", "no time is too short to count anything in")
	}
	if v.Has("allow_exited") && !strings.HasSuffix(c.unit, ".service") {
		r.blame("allow_exited", "is about services, and %s is none", c.unit)
	}
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	return newUnit(c, t.buses), nil
}

// A reader reads attributes and collects what is wrong with them.
type reader struct {
	v    sdk.Value
	errs []error
}

func (r *reader) blame(attribute, format string, args ...any) {
	r.errs = append(r.errs, sdk.AttributeErrorf(attribute, format, args...))
}

func (r *reader) unit() string {
	name := r.v.String("unit")
	switch {
	case len(name) <= maxUnitName && unitName.MatchString(name):
		if strings.Contains(name, "@.") {
			r.blame("unit", "%q is a template; name an instance of it, such as %s", name, strings.Replace(name, "@.", "@main.", 1))
		}
	case !strings.Contains(name, ".") && unitName.MatchString(name+".service"):
		r.blame("unit", "%q has no type; if it is a service, write %q", name, name+".service")
	default:
		r.blame("unit", "%.80q is no name of a unit, such as haproxy.service", name)
	}
	return name
}

func (r *reader) duration(attribute string, otherwise time.Duration) time.Duration {
	if !r.v.Has(attribute) {
		return otherwise
	}
	d, err := time.ParseDuration(r.v.String(attribute))
	if err != nil || d < 0 || d > time.Hour {
		r.blame(attribute, "%q is no duration, such as 3s, of at most an hour", r.v.String(attribute))
		return otherwise
	}
	return d
}

func (r *reader) count(attribute string, otherwise int) int {
	if !r.v.Has(attribute) {
		return otherwise
	}
	n := r.v.Number(attribute)
	if n != math.Trunc(n) || n < 0 || n > 1000 {
		r.blame(attribute, "%v is no count from 0 to 1000", n)
		return otherwise
	}
	return int(n)
}
