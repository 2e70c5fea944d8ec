package hcl

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// mainFile is where a cluster starts; valuesSuffix marks the files with variables' values.
const (
	mainFile     = "cluster.hcl"
	valuesSuffix = ".hcvars"
)

// A program is the parsed files of a cluster, before any evaluation.
type program struct {
	tree    Tree
	options Options
	report  *report
	meter   *meter // of the view that is being evaluated
	exprs   map[hclsyntax.Expression]prepared
	blocks  map[string][]*hclsyntax.Block // top-level blocks by type
	values  map[string][]value            // what *.hcvars and Options.Vars set
	schemas map[string][]byte             // plugins' schemas by plugin
	perNode bool                          // something refers to node.*
	spent   int                           // work of the views that are done
	named   map[string]*hclsyntax.Block   // top-level blocks by type.label, the first of each
	locals  map[string]*hclsyntax.Attribute

	defaults map[*attribute]cty.Value // what the attributes' defaults are
}

// A value is one setting of a variable.
type value struct {
	expr hclsyntax.Expression
	text string // from Options.Vars, where expr is nil
	at   hcl2.Range
}

func newProgram(t Tree, o Options) *program {
	return &program{
		tree: t, options: o, report: newReport(t), meter: &meter{limit: o.share(maxWork)},
		named: map[string]*hclsyntax.Block{}, locals: map[string]*hclsyntax.Attribute{},
		exprs: map[hclsyntax.Expression]prepared{}, blocks: map[string][]*hclsyntax.Block{},
		values: map[string][]value{}, schemas: map[string][]byte{}, defaults: map[*attribute]cty.Value{},
	}
}

// load parses cluster.hcl, what it includes and the values, and checks their shape.
func (p *program) load() bool {
	if !p.sized() {
		return false
	}
	if _, ok := p.tree[mainFile]; !ok {
		p.report.errorf(hcl2.Range{Filename: mainFile}, "There is no cluster.hcl", "The folder of a cluster holds a file of that name.")
		return false
	}
	body := p.parse(mainFile)
	if body == nil {
		return false
	}
	p.gather(body, true)
	for _, name := range p.included() {
		if body := p.parse(name); body != nil {
			p.gather(body, false)
		}
	}
	if len(p.blocks["cluster"]) == 0 && !p.report.hasErrors() {
		p.report.errorf(hcl2.Range{Filename: mainFile, Start: hcl2.InitialPos, End: hcl2.InitialPos},
			"There is no cluster block", `The file has to name its nodes: cluster "NAME" { node "NAME" { address = "192.0.2.1" } }.`)
	}
	p.loadValues()
	return !p.report.hasErrors()
}

func (p *program) sized() bool {
	total := 0
	for _, b := range p.tree {
		total += len(b)
	}
	if total > maxTotalBytes || len(p.tree) > maxFiles {
		p.report.errorf(hcl2.Range{Filename: mainFile}, "The folder is too large",
			"It has %d files with %d bytes; at most %d files with %d bytes are read.", len(p.tree), total, maxFiles, maxTotalBytes)
		return false
	}
	return true
}

// parse returns the body of one file, or nil.
func (p *program) parse(name string) *hclsyntax.Body {
	if p.options.Progress != nil {
		p.options.Progress(name)
	}
	body, seen, diags := parseBody(name, p.tree[name])
	p.report.hcl(diags)
	p.perNode = p.perNode || seen.node
	if diags.HasErrors() {
		return nil
	}
	return body
}

// parseBody parses bytes that are within the limits.
func parseBody(name string, b []byte) (*hclsyntax.Body, audit, hcl2.Diagnostics) {
	var seen audit
	if diags := scan(name, b); diags.HasErrors() {
		return nil, seen, diags
	}
	f, diags := hclsyntax.ParseConfig(b, name, hcl2.InitialPos)
	if diags.HasErrors() {
		return nil, seen, diags
	}
	body := f.Body.(*hclsyntax.Body)
	_ = hclsyntax.Walk(body, &seen)
	return body, seen, append(diags, seen.diags...)
}

// gather checks the shape of a file and files its blocks by type.
func (p *program) gather(body *hclsyntax.Body, main bool) {
	checkBody(p.report, clusterFile, body, "the file")
	for _, b := range body.Blocks {
		if b.Type == "include" && !main {
			p.report.errorf(b.DefRange(), "An included file cannot include", "Only cluster.hcl has include blocks.")
			continue
		}
		if def, ok := clusterFile.block(b.Type); ok && def.single && len(p.blocks[b.Type]) > 0 {
			p.report.errorf(b.DefRange(), fmt.Sprintf("There are two %s blocks", b.Type), "The other one is at %s.", place(p.blocks[b.Type][0].DefRange()))
			continue
		}
		p.blocks[b.Type] = append(p.blocks[b.Type], b)
		if b.Type == "locals" {
			p.gatherLocals(b.Body)
		} else if len(b.Labels) == 1 && p.named[b.Type+"."+b.Labels[0]] == nil {
			p.named[b.Type+"."+b.Labels[0]] = b
		}
	}
}

func (p *program) gatherLocals(body *hclsyntax.Body) {
	for _, name := range sortedKeys(body.Attributes) {
		a := body.Attributes[name]
		if first, dup := p.locals[name]; dup {
			p.report.errorf(a.NameRange, "The name is taken", "Another local value %q is at %s.", name, place(first.NameRange))
			continue
		}
		p.locals[name] = a
	}
}

// included returns the files that the include blocks name, sorted, each once.
func (p *program) included() []string {
	found := map[string]bool{}
	for _, b := range p.blocks["include"] {
		ev := newEvaluator(p, nil)
		in := ev.instance(includeBlock, b, "include", nil)
		attr := b.Body.Attributes["paths"]
		if attr == nil || !p.literal(attr) {
			continue
		}
		for _, pattern := range in.strings("paths") {
			p.match(pattern, attr.Expr.Range(), in.boolean("optional"), found)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (p *program) literal(attr *hclsyntax.Attribute) bool {
	if len(attr.Expr.Variables()) == 0 {
		return true
	}
	p.report.errorf(attr.Expr.Range(), "Paths have to be literal", "Files are read before variables and locals have values.")
	return false
}

func (p *program) match(pattern string, at hcl2.Range, optional bool, found map[string]bool) {
	clean := path.Clean(pattern)
	if path.IsAbs(pattern) || clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(pattern, "\\") {
		p.report.errorf(at, "The path leaves the repository", "%q is not below the folder of cluster.hcl.", pattern)
		return
	}
	if !strings.HasSuffix(pattern, ".hcl") {
		p.report.errorf(at, "The path names no .hcl file", "%q has to end in .hcl.", pattern)
		return
	}
	matched := false
	for name := range p.tree {
		ok, err := path.Match(clean, name)
		if err != nil {
			p.report.errorf(at, "The path is not a pattern", "%q is malformed.", pattern)
			return
		}
		if ok && name != mainFile && path.Base(name) != LockFile {
			matched, found[name] = true, true
		}
	}
	if !matched && !optional {
		p.report.errorf(at, "No file matches", "%q matches nothing. If that is meant, write optional = true.", pattern)
	}
}

// loadValues reads *.hcvars beside cluster.hcl, in sorted order, and then Options.Vars.
func (p *program) loadValues() {
	for _, name := range slices.Sorted(maps.Keys(p.tree)) {
		if !strings.HasSuffix(name, valuesSuffix) || strings.Contains(name, "/") {
			continue
		}
		body := p.parse(name)
		if body == nil {
			continue
		}
		for _, b := range body.Blocks {
			p.report.errorf(b.DefRange(), "A block is not a value", "Files of values hold lines such as NAME = \"value\".")
		}
		for _, a := range body.Attributes {
			p.setValue(a.Name, value{expr: a.Expr, at: a.NameRange})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.options.Vars)) {
		text := p.options.Vars[name]
		if len(text) > maxFileBytes {
			text = ""
		}
		p.setValue(name, value{text: text, at: hcl2.Range{Filename: "-var " + name}})
	}
	for name, b := range p.options.PluginSchemas {
		p.schemas[strings.TrimSuffix(name, ".schema.json")] = b
	}
	for name, b := range p.tree {
		if plugin, ok := strings.CutSuffix(path.Base(name), ".schema.json"); ok {
			p.schemas[plugin] = b
		}
	}
}

func (p *program) setValue(name string, v value) {
	if p.named["variable."+name] == nil {
		p.report.errorf(v.at, "There is no such variable", "No variable is named %q.%s", name, DidYouMean(name, p.declared(variableBlock)))
		return
	}
	p.values[name] = append(p.values[name], v)
}

func place(r hcl2.Range) string {
	return fmt.Sprintf("%s:%d,%d", r.Filename, r.Start.Line, r.Start.Column)
}

// A prepared expression is guarded and knows what it refers to.
type prepared struct {
	expr hclsyntax.Expression
	refs []hcl2.Traversal
}

func (p *program) prepare(e hclsyntax.Expression) prepared {
	if got, ok := p.exprs[e]; ok {
		return got
	}
	made := prepared{refs: e.Variables()}
	made.expr = guarded(e, &p.meter)
	p.exprs[e] = made
	return made
}
