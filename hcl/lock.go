package hcl

import (
	"bytes"
	"fmt"
	"regexp"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// LockFile is the name of the lock file beside cluster.hcl.
const LockFile = ".hareconcile.lock.hcl"

// lockFile is what the lock file may hold.
var lockFile = &block{
	doc: "The plugins that a repository trusts, written by `hareconcile plugin lock`. It has no variables and no references.",
	blocks: []*block{{
		name: "plugin", labels: []string{"name"}, doc: "One plugin.",
		attrs: []attribute{
			{name: "version", kind: lockVersionKind, required: true, doc: "The version that it says it has."},
			{name: "hashes", kind: hashesKind, required: true, doc: "What its binary may be, by platform: `{ linux_amd64 = \"sha256:...\" }`."},
			{name: "automtls", kind: boolKind, def: "true", doc: "Whether agent and plugin prove to each other with certificates who they are."},
		},
	}},
}

var (
	hashPattern     = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	platformPattern = regexp.MustCompile(`^[a-z0-9]+_[a-z0-9]+$`)

	lockVersionKind = kind{name: "version", typ: cty.String, check: checkLockVersion}
	hashesKind      = kind{name: "map of hashes by platform", typ: cty.Map(cty.String), check: checkHashes}
)

func checkLockVersion(v cty.Value) string {
	if s := v.AsString(); s == "" || len(s) > 128 || !printable(s) {
		return "A version has 1 to 128 characters without spaces."
	}
	return ""
}

func checkHashes(v cty.Value) string {
	if v.LengthInt() == 0 {
		return `There is no hash. Run "hareconcile plugin lock" on a host that has the plugin.`
	}
	for it := v.ElementIterator(); it.Next(); {
		key, _ := it.Element()
		if !platformPattern.MatchString(key.AsString()) {
			return fmt.Sprintf("%.80q is no platform. Write for example linux_amd64.", key.AsString())
		}
	}
	return each(func(v cty.Value) string {
		if !hashPattern.MatchString(v.AsString()) {
			return fmt.Sprintf(`%.80q is not "sha256:" and 64 lower case hexadecimal digits.`, v.AsString())
		}
		return ""
	})(v)
}

// ParseLock reads the lock file. The lock is empty if any diagnostic is an error.
func ParseLock(b []byte) (spec.Lock, Diagnostics) {
	f, ds := openFlat(LockFile, b, lockFile)
	if f == nil {
		return spec.Lock{}, ds
	}
	lock := spec.Lock{Plugins: map[string]spec.LockedPlugin{}}
	seen := map[string]hcl2.Range{}
	for k, in := range f.root.children("plugin") {
		label := f.root.body.Blocks[k].LabelRanges[0]
		if first, dup := seen[in.name]; dup {
			f.report.errorf(label, "The name is taken", "Another plugin %q is at %s.", in.name, place(first))
			continue
		}
		seen[in.name] = label
		p := spec.LockedPlugin{Version: in.string("version"), Hashes: map[string]string{}, AutoMTLS: in.boolean("automtls")}
		for platform, hash := range in.entries("hashes") {
			p.Hashes[platform] = hash.AsString()
		}
		lock.Plugins[in.name] = p
	}
	if f.report.hasErrors() {
		return spec.Lock{}, f.report.diagnostics()
	}
	return lock, f.report.diagnostics()
}

// FormatLock returns the lock file that ParseLock reads as l, always in the same bytes.
func FormatLock(l spec.Lock) []byte {
	f := hclwrite.NewEmptyFile()
	f.Body().AppendUnstructuredTokens(hclwrite.Tokens{{
		Type:  hclsyntax.TokenComment,
		Bytes: []byte("# Written by \"hareconcile plugin lock\". Of the plugins that are listed here, agents run these binaries only.\n"),
	}})
	for _, name := range sortedKeys(l.Plugins) {
		p := l.Plugins[name]
		f.Body().AppendNewline()
		b := f.Body().AppendNewBlock("plugin", []string{name}).Body()
		b.SetAttributeValue("version", cty.StringVal(p.Version))
		hashes := map[string]cty.Value{}
		for platform, hash := range p.Hashes {
			hashes[platform] = cty.StringVal(hash)
		}
		b.SetAttributeValue("hashes", cty.ObjectVal(hashes))
		b.SetAttributeValue("automtls", cty.BoolVal(p.AutoMTLS))
	}
	return bytes.TrimLeft(hclwrite.Format(f.Bytes()), "\n")
}
