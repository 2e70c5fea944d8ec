package hcl

import (
	"encoding/json"
	"fmt"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// secretKey marks a secret in a plugin's configuration: {"$secret": "name"}.
const secretKey = "$secret"

// pluginName reads the name of a plugin.
func (in *instance) pluginName() string {
	s := in.string("plugin")
	if s != "" && !namePattern.MatchString(s) {
		in.fail("plugin", "Not a name", "%.80q cannot be a plugin. %s", s, nameRule)
	}
	return s
}

// config checks a plugin's configuration against its schema and returns it as JSON.
func (v *view) config(in *instance, plugin string) []byte {
	at := in.attrRange("config")
	got := cty.EmptyObjectVal
	if in.body.Attributes["config"] != nil {
		var ok bool
		if got, ok = in.get("config"); !ok {
			return nil
		}
	}
	if !got.Type().IsObjectType() && !got.Type().IsMapType() {
		v.ev.report.errorf(at, "Wrong type", "config is an object, such as { socket = \"/run/x.sock\" }.")
		return nil
	}
	if holds(got, referenceType) {
		v.ev.report.errorf(at, "A block cannot be used here", "Name the block's attribute, as in vrrp_instance.web.addresses.")
		return nil
	}
	got, ok := v.checkConfig(got, plugin, at)
	if !ok {
		return nil
	}
	plain, err := cty.Transform(got, func(_ cty.Path, e cty.Value) (cty.Value, error) {
		if e.Type().Equals(secretType) && !e.IsNull() && e.IsKnown() {
			return cty.ObjectVal(map[string]cty.Value{secretKey: cty.StringVal(e.EncapsulatedValue().(*secretName).name)}), nil
		}
		return e, nil
	})
	if err != nil {
		v.ev.report.errorf(at, "Wrong type", "A secret in a list or map needs the other elements to be secrets, too.")
		return nil
	}
	b, err := json.Marshal(ctyjson.SimpleJSONValue{Value: plain})
	if err != nil {
		v.ev.report.errorf(at, "Wrong type", "config cannot be written as JSON: %v.", err)
		return nil
	}
	return b
}

// A pluginSchema is NAME.schema.json.
type pluginSchema struct {
	Attributes map[string]struct {
		Type        string `json:"type"`
		Required    bool   `json:"required"`
		Description string `json:"description"`
	} `json:"attributes"`
}

// checkConfig converts a configuration to what its plugin's schema wants. Without a schema it warns.
func (v *view) checkConfig(got cty.Value, plugin string, at hcl2.Range) (cty.Value, bool) {
	b, ok := v.ev.schemas[plugin]
	if !ok {
		v.ev.report.add(Warning, at, "The plugin's configuration was not checked",
			fmt.Sprintf("There is no %s.schema.json beside cluster.hcl, so only the plugin itself can say whether it is right. It is written by: hareconcile plugin lock", plugin))
		return got, true
	}
	var schema pluginSchema
	if err := json.Unmarshal(b, &schema); err != nil {
		v.ev.report.errorf(at, "The plugin's schema cannot be read", "%s.schema.json: %v.", plugin, err)
		return got, false
	}
	known := sortedKeys(schema.Attributes)
	good := true
	have := got.AsValueMap()
	converted := map[string]cty.Value{}
	for _, name := range sortedKeys(have) {
		want, ok := schema.Attributes[name]
		if !ok {
			v.ev.report.errorf(at, "Unknown attribute", "Plugin %q has no attribute %q.%s", plugin, name, DidYouMean(name, known))
			good = false
			continue
		}
		converted[name], ok = v.configValue(have[name], plugin, name, want.Type, at)
		good = good && ok
	}
	for _, name := range known {
		if e, ok := have[name]; schema.Attributes[name].Required && (!ok || e.IsNull()) {
			v.ev.report.errorf(at, fmt.Sprintf("%s is missing", name), "Plugin %q needs it: %s", plugin, schema.Attributes[name].Description)
			good = false
		}
	}
	return cty.ObjectVal(converted), good
}

// configValue converts one value to the type that a schema wants, in the syntax of variables.
func (v *view) configValue(got cty.Value, plugin, name, want string, at hcl2.Range) (cty.Value, bool) {
	if want == "" || got.IsNull() || got.Type().Equals(secretType) {
		return got, true
	}
	typ, ok := parseType(plugin+".schema.json", want)
	if !ok {
		v.ev.report.errorf(at, "The plugin's schema cannot be read", "%s.schema.json: %.80q is no type.", plugin, want)
		return got, false
	}
	converted, err := convert.Convert(got, typ)
	if err != nil {
		v.ev.report.errorf(at, "Wrong type", "%s of plugin %q is %s, and this is %s.", name, plugin, article(want), friendly(got))
		return got, false
	}
	return converted, true
}

// parseType reads a type such as list(string).
func parseType(name, text string) (cty.Type, bool) {
	if scan(name, []byte(text)).HasErrors() {
		return cty.DynamicPseudoType, false
	}
	e, diags := hclsyntax.ParseExpression([]byte(text), name, hcl2.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicPseudoType, false
	}
	typ, diags := typeexpr.TypeConstraint(e)
	return typ, !diags.HasErrors()
}
