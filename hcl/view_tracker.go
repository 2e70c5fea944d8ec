package hcl

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func (v *view) tracker(in *instance) spec.Tracker {
	t := spec.Tracker{Origin: v.note(in), Name: in.name}
	var kinds []string
	for _, name := range watched {
		if in.body.Attributes[name] != nil {
			kinds = append(kinds, name)
		}
	}
	if len(kinds) != 1 {
		v.ev.report.errorf(in.at, "The tracker watches nothing, or two things", "Write exactly one of %s, such as interface = \"eth0\".", strings.Join(watched, ", "))
		return t
	}
	kind := kinds[0]
	for _, a := range in.def.attrs {
		if in.body.Attributes[a.name] != nil && a.name != kind && !slices.Contains(fitting[kind], a.name) {
			in.fail(a.name, a.name+" does not fit", "A tracker with %s has no use for it. %s", kind, fitText(kind))
		}
	}
	v.target(in, kind, &t)
	v.measure(in, kind, &t)
	return t
}

// fitText says what does fit.
func fitText(kind string) string {
	return "What fits is " + strings.Join(fitting[kind], ", ") + "."
}

// target reads what is watched.
func (v *view) target(in *instance, kind string, t *spec.Tracker) {
	switch kind {
	case "interface":
		t.Interface = in.device("interface")
	case "plugin":
		t.Plugin = in.pluginName()
	case "process":
		if t.Process = in.string(kind); !wordOf(t.Process, 255) || strings.Contains(t.Process, "/") {
			in.fail(kind, "process cannot be that", "%.80q is no program's name: no path, no spaces, no commas.", t.Process)
		}
	case "file":
		t.File = in.string(kind)
		if problem := checkPath(cty.StringVal(t.File)); problem != "" || !wordOf(t.File, 255) {
			in.fail(kind, "file cannot be that", "%.200q is not a clean absolute path of at most 255 characters without spaces and commas.", t.File)
		}
	case "route":
		t.Route = in.network(kind)
	case "address":
		t.Address = in.addr(kind)
	case "ping":
		t.Ping = in.addr(kind)
	case "node":
		t.Ping = v.nodeAddress(in, kind)
	case "bfd":
		if a, err := netip.ParseAddr(in.string(kind)); err != nil {
			t.BFD = v.nodeAddress(in, kind)
		} else if problem := usable(a); problem != "" {
			in.fail(kind, "bfd cannot be that", "%s", problem)
		} else {
			t.BFD = a
		}
	}
}

// nodeAddress returns the address of the node that an attribute names.
func (v *view) nodeAddress(in *instance, attr string) netip.Addr {
	name := in.string(attr)
	n, ok := v.cluster.NodeByName(name)
	if !ok && name != "" {
		in.fail(attr, "There is no such node", "%s names %q, which is no node of the cluster.%s", attr, name, DidYouMean(name, v.nodeNames()))
	}
	return n.Address
}

func (v *view) nodeNames() []string {
	var names []string
	for _, n := range v.cluster.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// measure reads how it is watched.
func (v *view) measure(in *instance, kind string, t *spec.Tracker) {
	fits := func(name string) bool { return slices.Contains(fitting[kind], name) }
	t.UpDelay, t.DownDelay = v.delays(in)
	if fits("interval") {
		t.Interval = in.duration("interval")
	}
	if fits("timeout") {
		t.Timeout, t.Rise, t.Fall = in.duration("timeout"), in.int("rise"), in.int("fall")
		if t.Timeout > t.Interval && t.Interval > 0 {
			in.fail("timeout", "The timeout is longer than the interval", "A question that takes %s would meet the next one, after %s.", t.Timeout, t.Interval)
		}
	}
	if fits("hold") {
		t.Hold, t.OnUnknown = in.duration("hold"), in.string("on_unknown")
	}
	if fits("min") {
		t.Min, t.Max = in.int("min"), in.int("max")
		if t.Max > 0 && t.Max < t.Min {
			in.fail("max", "max is less than min", "No number of processes is from %d to %d.", t.Min, t.Max)
		}
	}
	if fits("dev") {
		t.Device = in.device("dev")
	}
	if fits("source") {
		v.path(in, t)
	}
	switch kind {
	case "bfd":
		t.Fall = in.int("multiplier")
		if in.body.Attributes["interval"] == nil {
			t.Interval = bfdInterval
		}
		if t.Interval > time.Minute {
			in.fail("interval", "interval cannot be that", "%s is out of range for BFD: from 10ms to 1m.", t.Interval)
		}
	case "plugin":
		t.Config = v.config(in, t.Plugin)
	}
}

// path checks the addresses at both ends of ping and BFD.
func (v *view) path(in *instance, t *spec.Tracker) {
	t.Source = in.addr("source")
	target := t.Ping
	if t.BFD.IsValid() {
		target = t.BFD
	}
	switch {
	case !target.IsValid():
	case t.Source.IsValid() && t.Source.Is6() != target.Is6():
		in.fail("source", "source is of the other family", "Nothing goes from %s to %s.", t.Source, target)
	case target.Is6() && target.IsLinkLocalUnicast() && t.Device == "":
		v.ev.report.errorf(in.at, "dev is missing", "%s is a link-local address: only with dev does it say where.", target)
	}
}

// delays reads { up = "10s", down = "500ms" }.
func (v *view) delays(in *instance) (up, down time.Duration) {
	got, ok := in.get("delay")
	if !ok {
		return 0, 0
	}
	fields, ok := v.fields(got, "delay", in.attrRange("delay"), []attribute{
		{name: "up", kind: durationKind(0, 24*time.Hour)},
		{name: "down", kind: durationKind(0, 24*time.Hour)},
	})
	if !ok {
		return 0, 0
	}
	read := func(name string) time.Duration {
		if e, ok := fields[name]; ok {
			d, _ := time.ParseDuration(e.AsString()) // checked by the kind
			return d
		}
		return 0
	}
	return read("up"), read("down")
}
