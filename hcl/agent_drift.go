package hcl

import (
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
	"github.com/zclconf/go-cty/cty"
)

// driftModes are the values of drift, and driftAttr its attribute in reconcile of agent.hcl.
var (
	driftModes = []string{string(spec.DriftCorrect), string(spec.DriftReport), string(spec.DriftIgnore)}
	driftAttr  = attribute{name: "drift", kind: named("string or object"), doc: "What becomes of an object that was as it should be and that somebody else changed: \"correct\" puts it back, " +
		"\"report\" leaves it until the next revision or `hareconcile apply` and shows it, \"ignore\" leaves it. By kind: `{ default = \"correct\", sysctl = \"report\" }`, with " + oneOf(driftKinds()) +
		". Verdicts, roles and drains are no drift. Virtual addresses are always kept by vrrpd."}
)

// driftKinds are the kinds whose drift may stay. What vrrpd is to do is no object of others.
func driftKinds() []string {
	var out []string
	for _, k := range resource.Order {
		if k != resource.KindVRRPInstance && k != resource.KindVRRPTracker {
			out = append(out, string(k))
		}
	}
	return out
}

// drift reads reconcile { drift = ... }.
func (f *flatFile) drift(in *instance) spec.Drift {
	v, ok := in.get("drift")
	if !ok || v.IsNull() {
		return spec.Drift{}
	}
	if v.Type() == cty.String {
		return spec.Drift{Default: f.driftMode(in, "drift", v)}
	}
	if !v.Type().IsObjectType() {
		in.fail("drift", "Wrong type", `drift is %s, or an object such as { default = "correct", sysctl = "report" }.`, oneOf(driftModes))
		return spec.Drift{}
	}
	d := spec.Drift{Kinds: map[string]spec.DriftMode{}}
	for _, name := range sortedKeys(v.Type().AttributeTypes()) {
		switch {
		case name == "default":
			d.Default = f.driftMode(in, name, v.GetAttr(name))
		case slices.Contains(driftKinds(), name):
			d.Kinds[name] = f.driftMode(in, name, v.GetAttr(name))
		case name == string(resource.KindVRRPInstance), name == string(resource.KindVRRPTracker):
			in.fail("drift", "Not for virtual routers", "%s has no drift: vrrpd puts virtual addresses back itself, always.", name)
		default:
			known := append([]string{"default"}, driftKinds()...)
			in.fail("drift", "Unknown attribute", "drift has no kind %q.%s", name, DidYouMean(name, known))
		}
	}
	return d
}

func (f *flatFile) driftMode(in *instance, name string, v cty.Value) spec.DriftMode {
	if v.IsNull() || v.Type() != cty.String || !slices.Contains(driftModes, v.AsString()) {
		in.fail("drift", "Not a mode of drift", "%s is %s.", upperFirst(name), oneOf(driftModes))
		return ""
	}
	return spec.DriftMode(v.AsString())
}
