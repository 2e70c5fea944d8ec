package hcl

import (
	"net/netip"
	"time"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func (v *view) instance(in *instance) spec.VRRPInstance {
	i := spec.VRRPInstance{
		Origin:    v.note(in),
		Name:      in.name,
		Interface: in.device("interface"),
		VRID:      uint8(in.int("virtual_router_id")),
		Version:   in.int("version"),
		Interval:  in.duration("advert_interval"),
		Priority:  map[string]uint8{},

		StartDelay: in.duration("start_delay"),
		Unicast:    in.boolean("unicast"),
		NoAccept:   !in.boolean("accept"),
		VirtualMAC: in.boolean("virtual_mac"),
		Realtime:   in.boolean("realtime"),
		Gates:      in.strings("gates"),
		Points:     v.pointsOf(in),
		Auth:       v.auth(in),
		Announce:   announce(in),
	}
	i.Preempt, i.PreemptDelay = v.preempt(in)
	if ttl := in.int("min_ttl"); ttl != 255 {
		i.MinTTL = uint8(ttl)
	}
	if s := in.string("checksum"); s != "pseudo" {
		i.Checksum = s
	}
	for name, p := range in.entries("priority") {
		i.Priority[name] = uint8(integer(p))
	}
	for _, s := range in.strings("peers") {
		if a, err := netip.ParseAddr(s); err == nil {
			i.Peers = append(i.Peers, a)
		}
	}
	for name, s := range in.entries("source") {
		if a, err := netip.ParseAddr(s.AsString()); err == nil {
			if i.Source == nil {
				i.Source = map[string]netip.Addr{}
			}
			i.Source[name] = a
		}
	}
	v.addresses(in, &i)
	v.routes(in, &i)
	v.policyRules(in, &i)
	return i
}

// preempt reads "immediate", "never" or { delay = "30s" }.
func (v *view) preempt(in *instance) (bool, time.Duration) {
	got, ok := in.get("preempt")
	if !ok {
		return true, 0
	}
	at := in.attrRange("preempt")
	if !got.Type().IsObjectType() {
		s, ok := v.ev.convert(got, attribute{name: "preempt", kind: choice("immediate", "never")}, at, title(in.def.name, nil))
		return ok && !s.IsNull() && s.AsString() == "immediate", 0
	}
	fields, ok := v.fields(got, "preempt", at, []attribute{
		{name: "delay", kind: durationKind(10*time.Millisecond, time.Hour), required: true, doc: "how long a MASTER of lower priority is left alone."},
	})
	if !ok {
		return true, 0
	}
	d, _ := time.ParseDuration(fields["delay"].AsString()) // checked by the kind
	return true, d
}

// fields reads an object whose attributes are known. What is not written or null is absent.
func (v *view) fields(got cty.Value, name string, at hcl2.Range, attrs []attribute) (map[string]cty.Value, bool) {
	if !got.Type().IsObjectType() && !got.Type().IsMapType() {
		v.ev.report.errorf(at, "Wrong type", "%s is an object, not %s.", name, friendly(got))
		return nil, false
	}
	known := &block{name: name, attrs: attrs}
	out, good := map[string]cty.Value{}, true
	have := got.AsValueMap()
	for _, key := range sortedKeys(have) {
		a, ok := known.attr(key)
		if !ok {
			v.ev.report.errorf(at, "Unknown attribute", "%s has no attribute %q.%s", name, key, DidYouMean(key, known.attrNames()))
			good = false
			continue
		}
		e, ok := v.ev.convert(have[key], a, at, name)
		good = good && ok
		if ok && !e.IsNull() {
			out[key] = e
		}
	}
	for _, a := range attrs {
		if _, ok := out[a.name]; a.required && !ok && good {
			v.ev.report.errorf(at, a.name+" is missing", "%s needs an attribute %q: %s", name, a.name, a.doc)
			good = false
		}
	}
	return out, good
}

// maxPoints bounds the trackers that count for one instance.
const maxPoints = 64

// pointsOf reads [{ tracker = tracker.x, lose = 60, gain = 5, scale = 1 }].
func (v *view) pointsOf(in *instance) []spec.Points {
	got, ok := in.get("points")
	if !ok {
		return nil
	}
	at := in.attrRange("points")
	if !got.Type().IsTupleType() && !got.Type().IsListType() {
		v.ev.report.errorf(at, "Wrong type", "points is a list of objects, such as [{ tracker = tracker.x, lose = 60 }].")
		return nil
	}
	if got.LengthInt() > maxPoints {
		v.ev.report.errorf(at, "There are too many points", "It is a list of %d; at most %d are supported.", got.LengthInt(), maxPoints)
		return nil
	}
	var out []spec.Points
	for it := got.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if e.IsNull() || !e.IsKnown() {
			v.ev.report.errorf(at, "points cannot be that", "An element has no value.")
			return nil
		}
		fields, ok := v.fields(e, "points", at, []attribute{
			{name: "tracker", kind: refKind("tracker"), required: true, doc: "what is watched."},
			{name: "lose", kind: intKind(0, 253)},
			{name: "gain", kind: intKind(0, 253)},
			{name: "scale", kind: intKind(-253, 253)},
		})
		if !ok {
			return nil
		}
		number := func(name string) int {
			if n, ok := fields[name]; ok {
				return integer(n)
			}
			return 0
		}
		out = append(out, spec.Points{Tracker: fields["tracker"].AsString(), Lose: number("lose"), Gain: number("gain"), Scale: number("scale")})
	}
	return out
}

// announce leaves out what is the default anyway, so that writing it changes no plan.
func announce(in *instance) spec.Announce {
	var a spec.Announce
	for _, b := range in.children("announce") {
		if n := b.int("repeat"); n != 5 {
			a.Repeat = n
		}
		switch d := b.duration("delay"); d {
		case 0:
			a.Delay = -time.Second // resource.Announce: negative is none
		case 5 * time.Second:
		default:
			a.Delay = d
		}
		a.Refresh, a.Interval = b.duration("refresh"), b.duration("interval")
	}
	return a
}
