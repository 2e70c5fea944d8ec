package hcl

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// check reads a check of a pool. What is of one type is in view_probe.go.
func (v *view) check(in *instance) spec.Check {
	c := spec.Check{Origin: v.note(in), Type: in.name}
	k := slices.IndexFunc(checkTypes, func(t checkType) bool { return t.name == in.name })
	if k < 0 {
		v.ev.report.errorf(in.at, "Unknown check", "A check is %s, not %q.%s", oneOf(checkTypeNames()), c.Type, DidYouMean(cmp.Or(keepalivedChecks[c.Type], c.Type), checkTypeNames()))
		return c
	}
	typ := checkTypes[k]
	if !v.fitting(in, typ) {
		return c
	}
	fits := func(attr string) bool { return slices.Contains(typ.attrs, attr) }
	if fits("timeout") {
		v.sampling(in, &c)
	}
	if fits("address") {
		c.Address = in.addr("address")
	}
	if fits("port") {
		c.Port = uint16(in.int("port"))
	}
	if fits("source") {
		v.origin(in, &c)
	}
	if fits("mark") {
		c.Mark = in.plainMark("mark")
	}
	if fits("dynamic") {
		c.Dynamic = in.boolean("dynamic")
	}
	if fits("tls") && in.written("tls") {
		c.TLS = v.tls(in)
	}
	probes[c.Type](v, in, &c)
	return c
}

// fitting refuses attributes that mean nothing to a type, and asks for those that it needs.
func (v *view) fitting(in *instance, typ checkType) bool {
	good := true
	for _, a := range in.def.attrs {
		if in.body.Attributes[a.name] != nil && !slices.Contains(typ.attrs, a.name) {
			in.fail(a.name, a.name+" does not fit", "A check of type %q has no use for it; it is for %s.", typ.name, oneOf(typesWith(a.name)))
			good = false
		}
	}
	for _, name := range typ.needs {
		if in.body.Attributes[name] == nil {
			a, _ := in.def.attr(name)
			v.ev.report.errorf(in.body.MissingItemRange(), name+" is missing", "A check of type %q needs an attribute %q: %s", typ.name, name, a.doc)
			good = false
		}
	}
	return good
}

// typesWith returns the types of checks that have an attribute.
func typesWith(attr string) []string {
	var names []string
	for _, t := range checkTypes {
		if slices.Contains(t.attrs, attr) {
			names = append(names, t.name)
		}
	}
	return names
}

// sampling reads how often, how long and how many times.
func (v *view) sampling(in *instance, c *spec.Check) {
	c.Interval, c.Timeout = in.duration("interval"), in.duration("timeout")
	c.Retry, c.Jitter = in.duration("retry"), in.percent("jitter")
	c.Rise, c.Fall = in.int("rise"), in.int("fall")
	c.DegradedAfter = in.duration("degraded_after")
	late := func(attr string, d time.Duration, than string, limit time.Duration) {
		if d > limit && limit > 0 {
			in.fail(attr, "The "+attr+" is longer than the "+than, "A probe that takes %s would meet the next one, after %s.", d, limit)
		}
	}
	late("timeout", c.Timeout, "interval", c.Interval)
	if c.Timeout <= c.Interval {
		late("timeout", c.Timeout, "retry", c.Retry)
	}
	if c.Retry > c.Interval {
		in.fail("retry", "retry is longer than the interval", "Retries, after %s, are there to know sooner than after %s.", c.Retry, c.Interval)
	}
	if c.DegradedAfter >= c.Timeout && c.DegradedAfter > 0 {
		in.fail("degraded_after", "degraded_after is not below the timeout", "An answer that takes %s has failed, after %s.", c.DegradedAfter, c.Timeout)
	}
}

// origin reads the local end of a probe.
func (v *view) origin(in *instance, c *spec.Check) {
	c.Source, c.Device = in.addr("source"), in.device("dev")
	if c.Source.IsValid() && c.Address.IsValid() && c.Source.Is6() != c.Address.Is6() {
		in.fail("source", "source is of the other family", "Nothing goes from %s to %s.", c.Source, c.Address)
	}
	if c.Address.Is6() && c.Address.IsLinkLocalUnicast() && c.Device == "" {
		v.ev.report.errorf(in.at, "dev is missing", "%s is a link-local address: only with dev does it say where.", c.Address)
	}
}

// tls reads tls = { ... }.
func (v *view) tls(in *instance) *spec.TLS {
	o := in.object("tls")
	if !o.good {
		return &spec.TLS{}
	}
	t := &spec.TLS{
		Insecure: !o.boolean("verify"), Name: o.string("name"),
		CA: o.string("ca_file"), Cert: o.string("cert_file"), Key: o.string("key_file"),
	}
	switch {
	case t.Insecure && t.CA != "":
		o.fail("ca_file", "ca_file does not fit", "With verify = false nothing is verified.")
	case (t.Cert == "") != (t.Key == ""):
		in.fail("tls", "A certificate and its key belong together", "Write cert_file and key_file, or neither.")
	}
	if t.Name != "" && !hostText(t.Name) || strings.Contains(t.Name, ":") {
		o.fail("name", "name cannot be that", "It is a host's name, without a port.")
	}
	return t
}

func printable(s string) bool {
	return len(s) <= 1024 && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

// hostText reports whether s can be a host of a URL, which has no path and no user.
func hostText(s string) bool { return printable(s) && !strings.ContainsAny(s, "/@") }
