package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A tracker makes watchers.
type tracker struct{}

var _ sdk.Tracker = tracker{}

// maxProxies bounds how many frontends and backends one watcher asks for: haproxy reads a
// command line of at most 16 KiB.
const maxProxies = 64

// Schema implements sdk.Tracker.
func (tracker) Schema() sdk.Schema {
	return sdk.Schema{
		"socket":    {Type: sdk.String, Required: true, Description: "path of haproxy's runtime socket (stats socket)"},
		"frontends": {Type: sdk.ListString, Description: "frontends that must be open"},
		"backends":  {Type: sdk.ListString, Description: "backends that must have min_up servers"},
		"min_up":    {Type: sdk.Number, Description: "servers that must be up in each of backends (default 1)"},
	}
}

// proxyName is what haproxy allows in the name of a proxy.
var proxyName = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,127}$`)

// New implements sdk.Tracker.
func (tracker) New(_ context.Context, v sdk.Value) (sdk.Instance, error) {
	w := &watcher{
		socket:    v.String("socket"),
		frontends: v.Strings("frontends"),
		backends:  v.Strings("backends"),
		minUp:     1,
	}
	var errs []error
	if !filepath.IsAbs(w.socket) {
		errs = append(errs, sdk.AttributeErrorf("socket", "%q is not an absolute path", w.socket))
	}
	if v.Has("min_up") {
		n := v.Number("min_up")
		if n != math.Trunc(n) || n < 0 || n > 1e6 {
			errs = append(errs, sdk.AttributeErrorf("min_up", "%v is not a number of servers", n))
		}
		if len(w.backends) == 0 {
			errs = append(errs, sdk.AttributeErrorf("min_up", "counts servers of backends, and backends names none"))
		}
		w.minUp = int(n)
	}
	for _, a := range []struct {
		attribute string
		names     []string
	}{{"frontends", w.frontends}, {"backends", w.backends}} {
		if len(a.names) > maxProxies {
			errs = append(errs, sdk.AttributeErrorf(a.attribute, "has %d names, at most %d are allowed", len(a.names), maxProxies))
		}
		for _, name := range a.names {
			if !proxyName.MatchString(name) {
				errs = append(errs, sdk.AttributeErrorf(a.attribute, "%q is not a name of haproxy", name))
			}
		}
	}
	return w, errors.Join(errs...)
}

// A watcher watches one haproxy.
type watcher struct {
	socket    string
	frontends []string
	backends  []string
	minUp     int
}

// Check implements sdk.Instance.
//
// haproxy is down if nobody listens on the socket, if whoever does stays silent (a frozen
// process still has connections accepted by the kernel), does not answer like haproxy, is
// stopping, or lacks what the configuration asks for. What keeps the plugin from looking,
// such as missing permission, is an error.
func (w *watcher) Check(ctx context.Context) (sdk.Result, error) {
	reply, err := ask(ctx, w.socket, w.commands())
	switch {
	case errors.Is(err, errSilent), errors.Is(err, errEmpty):
		return down("%v", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return down("nobody listens on %s", w.socket)
	case errors.Is(err, syscall.ENOENT):
		return down("there is no socket %s", w.socket)
	case errors.Is(err, syscall.EAGAIN):
		return down("nobody accepts connections on %s", w.socket)
	case err != nil:
		return sdk.Result{}, err
	}
	return w.judge(parse(reply))
}

// commands asks for what judge wants to know, on one line. `show stat` takes a proxy, a
// type (1 for frontends, 2 for backends) and a server.
func (w *watcher) commands() string {
	c := []string{"show info"}
	for _, name := range w.frontends {
		c = append(c, "show stat "+name+" 1 -1")
	}
	for _, name := range w.backends {
		c = append(c, "show stat "+name+" 2 -1")
	}
	return strings.Join(c, ";") + "\n"
}

func (w *watcher) judge(s state) (sdk.Result, error) {
	if s.info["Name"] != "HAProxy" || s.info["Pid"] == "" {
		return down("what answers on %s is not haproxy", w.socket)
	}
	said := []string{"haproxy " + s.info["Version"]}
	if s.info["Stopping"] == "1" {
		return down("haproxy is stopping")
	}
	for _, name := range w.frontends {
		f, ok := s.frontends[name]
		switch {
		case !ok:
			return down("there is no frontend %s", name)
		case f.status != "OPEN" && f.status != "FULL":
			return down("frontend %s is %s", name, f.status)
		}
		said = append(said, fmt.Sprintf("frontend %s is %s", name, f.status))
	}
	for _, name := range w.backends {
		b, ok := s.backends[name]
		switch {
		case !ok:
			return down("there is no backend %s", name)
		case b.up < w.minUp:
			return down("backend %s has %d servers up, want %d", name, b.up, w.minUp)
		}
		said = append(said, fmt.Sprintf("backend %s has %d servers up", name, b.up))
	}
	return sdk.Result{Status: sdk.Pass, Detail: strings.Join(said, ", ")}, nil
}

func down(format string, args ...any) (sdk.Result, error) {
	return sdk.Result{Status: sdk.Fail, Detail: fmt.Sprintf(format, args...)}, nil
}
