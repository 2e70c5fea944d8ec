package main

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A tracker makes watchers, which share what they look at.
type tracker struct{ desk *desk }

var _ sdk.Tracker = tracker{}

func newTracker() tracker { return tracker{newDesk()} }

// maxList bounds listen and cert_sni.
const maxList = 64

// Schema implements sdk.Tracker.
func (tracker) Schema() sdk.Schema {
	return sdk.Schema{
		"pidfile":            {Type: sdk.String, Description: "nginx's pid file (default /run/nginx.pid)"},
		"unit":               {Type: sdk.String, Description: "systemd service that runs nginx, such as nginx.service, instead of a pid file"},
		"listen":             {Type: sdk.ListString, Description: "addresses that nginx must listen on, such as 0.0.0.0:443"},
		"workers_min":        {Type: sdk.Number, Description: "fewer workers than this are a warning (default 1); none is down"},
		"http_url":           {Type: sdk.String, Description: "URL on this host that must answer, such as http://127.0.0.1/health"},
		"http_host":          {Type: sdk.String, Description: "Host header (default from http_url)"},
		"http_sni":           {Type: sdk.String, Description: "server name in TLS (default http_host without its port)"},
		"http_expect_status": {Type: sdk.ListString, Description: "codes and ranges that are good (default 200-299)"},
		"http_expect_body":   {Type: sdk.String, Description: "must be in the first 64 KiB of the answer"},
		"http_timeout":       {Type: sdk.String, Description: "how long an answer may take (default 1s); the tracker's timeout bounds it too"},
		"http_ca":            {Type: sdk.String, Description: "PEM file of the authorities to trust (default the system's)"},
		"http_insecure":      {Type: sdk.Bool, Description: "accept any certificate"},
		"stub_status_url":    {Type: sdk.String, Description: "URL of stub_status: figures and warnings only"},
		"max_connections":    {Type: sdk.Number, Description: "worker_processes times worker_connections, for warn_active_ratio"},
		"warn_active_ratio":  {Type: sdk.Number, Description: "share of max_connections that is a warning (default 0.8)"},
		"cert_address":       {Type: sdk.String, Description: "where certificates are looked at (default that of an https http_url)"},
		"cert_sni":           {Type: sdk.ListString, Description: "server names whose certificates are looked at: warnings only"},
		"cert_warn":          {Type: sdk.String, Description: "how long before its end a certificate is a warning (default 504h)"},
		"config_test":        {Type: sdk.Bool, Description: "run nginx -t when the configuration changes and every 10 minutes: warnings only"},
		"config_file":        {Type: sdk.String, Description: "what config_test tests, in a folder of nginx's (default /etc/nginx/nginx.conf)"},
		"max_old":            {Type: sdk.Number, Description: "more workers than this that are shutting down are a warning (default twice the workers)"},
		"max_old_age":        {Type: sdk.String, Description: "how long workers may be shutting down before that is a warning (default 24h)"},
		"respawn_window":     {Type: sdk.String, Description: "how long replaced workers are counted (default 60s)"},
		"respawn_max":        {Type: sdk.Number, Description: "more replaced workers in a window are a warning, in two windows down (default three times the workers)"},
	}
}

// A config is what a tracker block says.
type config struct {
	pidfile    string
	unit       string // instead of pidfile
	cgroups    string // where systemd keeps what belongs to a unit
	listen     []netip.AddrPort
	workersMin int

	web        target
	stub       string // URL
	maxActive  float64
	warnRatio  float64
	certAddr   string
	certNames  []string
	certWarn   time.Duration
	configTest bool
	configFile string
	binaries   []string

	maxOld        int // 0: twice the workers
	maxOldAge     time.Duration
	respawnWindow time.Duration
	respawnMax    int // 0: three times the workers
}

// New implements sdk.Tracker.
func (t tracker) New(_ context.Context, v sdk.Value) (sdk.Instance, error) {
	r := reader{v: v}
	c := config{
		pidfile: r.path("pidfile", "/run/nginx.pid"),
		unit:    r.unit(), cgroups: proc.Cgroups,
		workersMin:    r.count("workers_min", 1),
		stub:          r.url("stub_status_url"),
		maxActive:     float64(r.count("max_connections", 0)),
		warnRatio:     0.8,
		certNames:     r.list("cert_sni"),
		certWarn:      r.duration("cert_warn", 21*24*time.Hour),
		configTest:    v.Bool("config_test"),
		configFile:    r.configFile(),
		binaries:      binaries,
		maxOld:        r.count("max_old", 0),
		maxOldAge:     r.duration("max_old_age", 24*time.Hour),
		respawnWindow: r.duration("respawn_window", time.Minute),
		respawnMax:    r.count("respawn_max", 0),
	}
	r.listeners(&c)
	r.web(&c)
	r.capacity(&c)
	r.certificates(&c)
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	return newWatcher(c, t.desk), nil
}

// A reader reads attributes and collects what is wrong with them.
type reader struct {
	v    sdk.Value
	errs []error
}

func (r *reader) blame(attribute, format string, args ...any) {
	r.errs = append(r.errs, sdk.AttributeErrorf(attribute, format, args...))
}

func (r *reader) path(name, otherwise string) string {
	if !r.v.Has(name) {
		return otherwise
	}
	s := r.v.String(name)
	if !filepath.IsAbs(s) {
		r.blame(name, "%q is not an absolute path", s)
	}
	return s
}

var unitName = regexp.MustCompile(`^[A-Za-z0-9_.:@\\-]{1,250}\.service$`)

// unit reads the name of a service, which takes the place of a pid file.
func (r *reader) unit() string {
	name := r.v.String("unit")
	switch {
	case !r.v.Has("unit"):
	case r.v.Has("pidfile"):
		r.blame("unit", "and pidfile both name the master; one is enough")
	case !unitName.MatchString(name):
		r.blame("unit", "%q is no name of a service, such as nginx.service", name)
	}
	return name
}

// configFile reads which file nginx -t reads: it loads the modules that the file names, and
// says in public what it does not understand.
func (r *reader) configFile() string {
	s := r.path("config_file", "/etc/nginx/nginx.conf")
	if filepath.Clean(s) != s || !slices.ContainsFunc(confFolders, func(dir string) bool { return strings.HasPrefix(s, dir+"/") }) {
		r.blame("config_file", "%q is no clean path below %s", s, strings.Join(confFolders, ", "))
	}
	return s
}

func (r *reader) count(name string, otherwise int) int {
	if !r.v.Has(name) {
		return otherwise
	}
	n := r.v.Number(name)
	if n != math.Trunc(n) || n < 1 || n > 1e9 {
		r.blame(name, "%v is not a number from 1", n)
		return otherwise
	}
	return int(n)
}

func (r *reader) duration(name string, otherwise time.Duration) time.Duration {
	if !r.v.Has(name) {
		return otherwise
	}
	d, err := time.ParseDuration(r.v.String(name))
	if err != nil || d <= 0 {
		r.blame(name, "%q is no duration, such as %s", r.v.String(name), otherwise)
	}
	return d
}

func (r *reader) list(name string) []string {
	l := r.v.Strings(name)
	if len(l) > maxList {
		r.blame(name, "has %d entries, at most %d are allowed", len(l), maxList)
		return nil
	}
	return l
}

// url reads a URL of http or https, without a password in it.
func (r *reader) url(name string) string {
	s := r.v.String(name)
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		r.blame(name, "%q is no URL such as http://127.0.0.1/health", s)
	}
	return s
}

func (r *reader) listeners(c *config) {
	for _, s := range r.list("listen") {
		a, err := netip.ParseAddrPort(strings.Replace(s, "*:", "0.0.0.0:", 1))
		if err != nil || a.Port() == 0 {
			r.blame("listen", "%q is no address with a port, such as 0.0.0.0:443 or [::]:443", s)
			continue
		}
		c.listen = append(c.listen, a)
	}
}

// web reads what starts with http_.
func (r *reader) web(c *config) {
	t := target{
		url: r.url("http_url"), host: r.v.String("http_host"), sni: r.v.String("http_sni"),
		body: r.v.String("http_expect_body"), timeout: r.duration("http_timeout", time.Second),
		ca: r.path("http_ca", ""), insecure: r.v.Bool("http_insecure"),
	}
	for _, s := range r.list("http_expect_status") {
		low, high, ok := statusRange(s)
		if !ok {
			r.blame("http_expect_status", "%q is neither a code from 100 to 599 nor a range of them, such as 200-299", s)
			continue
		}
		t.status = append(t.status, [2]int{low, high})
	}
	if t.status == nil {
		t.status = [][2]int{{200, 299}}
	}
	if t.url == "" {
		for _, name := range []string{"http_host", "http_sni", "http_expect_status", "http_expect_body", "http_timeout", "http_ca", "http_insecure"} {
			if r.v.Has(name) {
				r.blame(name, "means nothing without http_url")
			}
		}
	}
	if t.ca != "" && t.insecure {
		r.blame("http_ca", "means nothing where http_insecure accepts any certificate")
	}
	if strings.ContainsAny(t.host, " /\r\n\t") {
		r.blame("http_host", "%q is no host", t.host)
	}
	c.web = t
}

func statusRange(s string) (low, high int, ok bool) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	low, err := strconv.Atoi(from)
	high, err2 := strconv.Atoi(to)
	return low, high, err == nil && err2 == nil && 100 <= low && low <= high && high <= 599
}

func (r *reader) capacity(c *config) {
	if c.maxActive > 0 && c.stub == "" {
		r.blame("max_connections", "means nothing without stub_status_url")
	}
	if !r.v.Has("warn_active_ratio") {
		return
	}
	c.warnRatio = r.v.Number("warn_active_ratio")
	if !(c.warnRatio > 0 && c.warnRatio <= 1) {
		r.blame("warn_active_ratio", "%v is no share above 0 and at most 1", c.warnRatio)
	}
	if c.maxActive == 0 {
		r.blame("warn_active_ratio", "is a share of max_connections, which is not written: worker_processes times worker_connections")
	}
}

func (r *reader) certificates(c *config) {
	c.certAddr = r.v.String("cert_address")
	if c.certAddr != "" {
		if a, err := netip.ParseAddrPort(c.certAddr); err != nil || a.Port() == 0 {
			r.blame("cert_address", "%q is no address with a port, such as 127.0.0.1:443", c.certAddr)
		}
	} else if u, err := url.Parse(c.web.url); err == nil && u.Scheme == "https" {
		c.certAddr = address(u)
	}
	if len(c.certNames) > 0 && c.certAddr == "" {
		r.blame("cert_sni", "needs cert_address, or an http_url with https")
	}
	if r.v.Has("cert_warn") && len(c.certNames) == 0 {
		r.blame("cert_warn", "is about the certificates of cert_sni, which names none")
	}
}
