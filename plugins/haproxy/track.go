package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A tracker makes watchers, and has them ask together.
type tracker struct{ desk *desk }

var _ sdk.Tracker = tracker{}

func newTracker() tracker { return tracker{newDesk(fresh)} }

// Schema implements sdk.Tracker.
func (tracker) Schema() sdk.Schema {
	return sdk.Schema{
		"socket":           {Type: sdk.String, Required: true, Description: "path of haproxy's runtime socket (stats socket)"},
		"master_socket":    {Type: sdk.String, Description: "path of the master's socket (haproxy -S), for reloads and where the runtime socket does not answer"},
		"pidfile":          {Type: sdk.String, Description: "file with the master's pid (haproxy -p)"},
		"unit":             {Type: sdk.String, Description: "systemd unit that runs haproxy, such as haproxy.service"},
		"frontends":        {Type: sdk.ListString, Description: "frontends that must be open"},
		"listen":           {Type: sdk.ListString, Description: "addresses with ports on which the kernel must listen"},
		"pause_grace":      {Type: sdk.String, Description: "how long a frontend may be paused, as it is while a reload fails (default 3s)"},
		"restart_grace":    {Type: sdk.String, Description: "how long after its end haproxy may take to come back before that counts (default 0s)"},
		"backends":         {Type: sdk.ListString, Description: "backends that must have min_up servers"},
		"min_up":           {Type: sdk.Number, Description: "servers that must be up in each of backends (default 1)"},
		"min_up_ratio":     {Type: sdk.Number, Description: "share of the servers that must be up in each of backends, from 0 to 1"},
		"min_weight_ratio": {Type: sdk.Number, Description: "share of the servers' weight that must be up in each of backends, from 0 to 1"},
		"count_backup":     {Type: sdk.Bool, Description: "whether backup servers count (default true)"},
		"startup_grace":    {Type: sdk.String, Description: "how long after its start a worker's unchecked servers count as unknown (default 10s)"},
		"warn_capacity":    {Type: sdk.Number, Description: "share of a limit in use that warns (default 0.8)"},
		"crit_capacity":    {Type: sdk.Number, Description: "share of a limit in use that warns of saturation (default 0.95)"},
		"max_old_workers":  {Type: sdk.Number, Description: "workers of earlier configurations that may still run (default 5)"},
		"max_old_age":      {Type: sdk.String, Description: "how long workers of earlier configurations may still run (default 24h)"},
		"managed_file":     {Type: sdk.String, Description: "the file that hareconcile manages, which the worker should have loaded; asking takes level operator or master_socket"},
		"certs":            {Type: sdk.ListString, Description: "certificates by the names that haproxy loaded them under; asking takes level operator"},
		"cert_warn_days":   {Type: sdk.Number, Description: "days before a certificate's end that warn (default 21)"},
		"cert_crit_days":   {Type: sdk.Number, Description: "days before a certificate's end that are urgent (default 3)"},
		"http_url":         {Type: sdk.String, Description: "http URL at an IP address of this node that must answer, such as a monitor-uri"},
		"http_host":        {Type: sdk.String, Description: "Host header of that request"},
		"http_expect":      {Type: sdk.String, Description: "status that must come, such as 200 or 2xx (default 200)"},
	}
}

const (
	// maxProxies bounds how many frontends and backends one watcher asks for.
	maxProxies = 64
	// maxNames bounds all their names: haproxy reads a command line of at most 16 KiB.
	maxNames = 8 << 10
)

var (
	// proxyName is what haproxy allows in the name of a proxy.
	proxyName = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,127}$`)
	// certName is a file name that cannot hold commands.
	certName = regexp.MustCompile(`^[A-Za-z0-9_./@+=-]{1,255}$`)
	unitName = regexp.MustCompile(`^[A-Za-z0-9_.:@\\-]{1,250}\.service$`)
)

// New implements sdk.Tracker.
func (t tracker) New(_ context.Context, v sdk.Value) (sdk.Instance, error) {
	r := reader{v: v}
	w := &watcher{
		desk:    t.desk,
		pidfile: r.path("pidfile"), unit: v.String("unit"), cgroups: proc.Cgroups,
		frontends: v.Strings("frontends"), listen: r.addresses("listen"), pauseGrace: r.duration("pause_grace", pauseGrace, time.Hour),
		restartGrace: r.duration("restart_grace", 0, time.Hour),
		backends:     v.Strings("backends"), minUp: int(r.whole("min_up", 1)), minUpRatio: r.share("min_up_ratio", 0),
		minWeightRatio: r.share("min_weight_ratio", 0),
		countBackup:    !v.Has("count_backup") || v.Bool("count_backup"), startupGrace: r.duration("startup_grace", startupGrace, time.Hour),
		warn: r.share("warn_capacity", 0.8), crit: r.share("crit_capacity", 0.95),
		maxOld: int(r.whole("max_old_workers", 5)), maxOldAge: r.duration("max_old_age", maxOldAge, 10_000*time.Hour),
		managed: r.path("managed_file"),
		certs:   v.Strings("certs"), certWarn: r.whole("cert_warn_days", 21), certCrit: r.whole("cert_crit_days", 3),
		http:     r.http(),
		retarget: make(chan struct{}, 1), // one word is enough: whoever reads it looks at the target
		paused:   map[string]paused{},
	}
	if v.Has("pidfile") && v.Has("unit") {
		r.mistake("unit", "and pidfile both name the process; one is enough")
	}
	if v.Has("unit") && !unitName.MatchString(w.unit) {
		r.mistake("unit", "%q is no name of a service, such as haproxy.service", w.unit)
	}
	for _, name := range []string{"min_up", "min_up_ratio", "min_weight_ratio", "count_backup"} {
		if v.Has(name) && len(w.backends) == 0 {
			r.mistake(name, "counts servers of backends, and backends names none")
		}
	}
	if w.warn > w.crit {
		r.mistake("warn_capacity", "%v is more than crit_capacity, %v", w.warn, w.crit)
	}
	r.names("frontends", w.frontends, proxyName)
	r.names("backends", w.backends, proxyName)
	r.names("certs", w.certs, certName)
	w.commands = commands(w.frontends, w.backends)
	if len(strings.Join(w.commands, ";")) > maxNames {
		r.mistake("frontends", "and backends have more than %d bytes in their names", maxNames)
	}
	socket, master := r.path("socket"), r.path("master_socket")
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	w.enter(socket, master)
	return w, nil
}

// names finds the mistakes in a list of names.
func (r *reader) names(attribute string, names []string, valid *regexp.Regexp) {
	if len(names) > maxProxies {
		r.mistake(attribute, "has %d names, at most %d are allowed", len(names), maxProxies)
	}
	for _, name := range names {
		if !valid.MatchString(name) {
			r.mistake(attribute, "%q is not a name of haproxy", name)
		}
	}
}

// path reads an absolute path, or nothing.
func (r *reader) path(attribute string) string {
	p := r.v.String(attribute)
	if r.v.Has(attribute) && !filepath.IsAbs(p) {
		r.mistake(attribute, "%q is not an absolute path", p)
	}
	return p
}

// showInfo is the command that every watcher wants to have sent.
const showInfo = "show info"

// commands asks for what is judged, on one line. `show stat` takes a proxy, a set of types (1
// for frontends, 2 for backends, 4 for servers) and a server.
func commands(frontends, backends []string) []string {
	c := []string{showInfo}
	for _, name := range frontends {
		c = append(c, fmt.Sprintf("show stat %s 1 -1", name))
	}
	for _, name := range backends {
		c = append(c, fmt.Sprintf("show stat %s 6 -1", name))
	}
	return c
}
