package hcl

import (
	"fmt"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// httpOnly are the attributes that mean nothing to a tcp check.
var httpOnly = []string{"path", "method", "host", "expect"}

func (v *view) check(in *instance) spec.Check {
	c := spec.Check{
		Origin: v.note(in), Type: in.name,
		Interval: in.duration("interval"), Timeout: in.duration("timeout"),
		Rise: in.int("rise"), Fall: in.int("fall"),
	}
	switch c.Type {
	case "http":
		c.HTTP = &spec.HTTPCheck{Path: in.string("path"), Method: in.string("method"), Host: in.string("host")}
		for _, code := range v.expect(in) {
			c.HTTP.Status = append(c.HTTP.Status, spec.StatusRange{Low: code, High: code})
		}
		v.httpText(in)
	case "tcp":
		for _, name := range httpOnly {
			if in.body.Attributes[name] != nil {
				v.ev.report.errorf(in.attrRange(name), fmt.Sprintf("%s does not fit", name), "A tcp check only connects. Write check \"http\" to ask for something.")
			}
		}
	case "udp", "dns", "smtp", "tls", "https", "exec", "ping", "icmp":
		notYet(v.ev.report, in.at, fmt.Sprintf("check %q", c.Type), "the pool")
	default:
		types := []string{"http", "tcp"}
		v.ev.report.errorf(in.at, "Unknown check", "A check is %s, not %q.%s", oneOf(types), c.Type, DidYouMean(c.Type, types))
	}
	if c.Timeout > c.Interval && c.Interval > 0 {
		v.ev.report.errorf(in.attrRange("timeout"), "The timeout is longer than the interval", "A probe that takes %s would meet the next one, after %s.", c.Timeout, c.Interval)
	}
	return c
}

// httpText refuses what would break a request apart.
func (v *view) httpText(in *instance) {
	if p := in.string("path"); p != "" && (!strings.HasPrefix(p, "/") || !printable(p)) {
		v.ev.report.errorf(in.attrRange("path"), "path cannot be that", "A path starts with / and has neither spaces nor control characters.")
	}
	if h := in.string("host"); !printable(h) || strings.ContainsAny(h, "/@") {
		v.ev.report.errorf(in.attrRange("host"), "host cannot be that", "A host is a name or an address, with a port if need be.")
	}
}

func printable(s string) bool {
	return len(s) <= 1024 && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

// expect reads { status = [200] }.
func (v *view) expect(in *instance) []int {
	got, ok := in.get("expect")
	at := in.attrRange("expect")
	if !ok {
		return nil
	}
	if !got.Type().IsObjectType() {
		v.ev.report.errorf(at, "Wrong type", "expect is an object, such as { status = [200] }.")
		return nil
	}
	for _, name := range sortedKeys(got.Type().AttributeTypes()) {
		switch name {
		case "status":
		case "body", "header", "headers", "json":
			notYet(v.ev.report, at, name, "expect")
			return nil
		default:
			v.ev.report.errorf(at, "Unknown attribute", "expect has no attribute %q.%s", name, DidYouMean(name, []string{"status"}))
			return nil
		}
	}
	if !got.Type().HasAttribute("status") {
		v.ev.report.errorf(at, "status is missing", "expect says which answers pass: { status = [200] }.")
		return nil
	}
	list, ok := v.ev.convert(got.GetAttr("status"), attribute{name: "status", kind: listOf(intKind(100, 599))}, at, "expect")
	if !ok || list.IsNull() {
		return nil
	}
	var out []int
	for _, s := range list.AsValueSlice() {
		out = append(out, integer(s))
	}
	if len(out) == 0 {
		v.ev.report.errorf(at, "status is empty", "No answer would pass. Write the codes that do: { status = [200] }.")
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// device reads an interface's name (dev_valid_name in net/core/dev.c). A comma would end it in lists.
func (in *instance) device(name string) string {
	s := in.string(name)
	if s == "" && !in.written(name) {
		return s
	}
	if s == "" || s == "." || s == ".." || len(s) > 15 || !printable(s) || strings.ContainsAny(s, "/:,") {
		in.ev.report.errorf(in.attrRange(name), "Not an interface", "%.40q cannot be the name of a device: 1 to 15 characters without spaces, slashes, colons and commas.", s)
	}
	return s
}

// address reads pool.web or pool.web["a"] without evaluating it.
func (v *view) address(b *hclsyntax.Block, name string) (string, bool) {
	a := b.Body.Attributes[name]
	if a == nil {
		return "", false // reported by checkBody
	}
	t, diags := hcl2.AbsTraversalForExpr(a.Expr)
	if diags.HasErrors() || len(t) < 2 || len(t) > 3 {
		v.ev.report.errorf(a.Expr.Range(), "Not a block address", "Write TYPE.NAME, such as pool.web.")
		return "", false
	}
	label, ok := step(t, 1)
	out := t.RootName() + "." + label
	if len(t) == 3 {
		key, isKey := step(t, 2)
		ok = ok && isKey
		out += fmt.Sprintf("[%q]", key)
	}
	if def, known := clusterFile.block(t.RootName()); !known || !def.each || !ok {
		v.ev.report.errorf(a.Expr.Range(), "Not a block address", "%s is no block that can be renamed: vrrp_instance, sync_group, tracker, pool or virtual_server.", out)
		return "", false
	}
	return out, true
}
