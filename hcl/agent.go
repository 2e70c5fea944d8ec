package hcl

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// commitPattern is a commit's hash, whole or shortened.
var commitPattern = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// A flatFile is a file without variables and references: agent.hcl or lab.hcl.
type flatFile struct {
	*program
	ev   *evaluator
	root *instance
}

// openFlat parses a file of one schema. nil means that it has mistakes.
func openFlat(name string, b []byte, def *block) (*flatFile, Diagnostics) {
	p := newProgram(Tree{name: b}, Options{})
	body := p.parse(name)
	if body == nil {
		return nil, p.report.diagnostics()
	}
	checkBody(p.report, def, body, "the file")
	f := &flatFile{program: p, ev: newEvaluator(p, nil)}
	f.root = &instance{ev: f.ev, def: def, body: body, at: hcl2.Range{Filename: name, Start: hcl2.InitialPos, End: hcl2.InitialPos}}
	f.static(body)
	if p.report.hasErrors() {
		return nil, p.report.diagnostics()
	}
	return f, nil
}

// static refuses references, which nothing in a flat file answers.
func (f *flatFile) static(body *hclsyntax.Body) {
	for _, name := range sortedKeys(body.Attributes) {
		for _, t := range body.Attributes[name].Expr.Variables() {
			f.report.errorf(t.SourceRange(), "References do not work here", "This file has no variables, locals or blocks to refer to.")
		}
	}
	for _, b := range body.Blocks {
		f.static(b.Body)
	}
}

// only returns the single block of a type, or an empty one with the schema's defaults.
func (f *flatFile) only(name string) *instance {
	if found := f.root.children(name); len(found) > 0 {
		return found[0]
	}
	def, _ := f.root.def.block(name)
	return &instance{ev: f.ev, def: def, body: &hclsyntax.Body{}, at: f.root.at, address: name}
}

// ParseAgent reads agent.hcl. The agent is nil if any diagnostic is an error.
func ParseAgent(name string, b []byte) (*spec.Agent, Diagnostics) {
	f, ds := openFlat(name, b, agentFile)
	if f == nil {
		return nil, ds
	}
	root, policies, plugins, verify, haproxy := f.root, f.only("policies"), f.only("plugins"), f.only("verify"), f.only("haproxy")
	a := &spec.Agent{
		NodeName: root.string("node_name"), DataDir: root.string("data_dir"),
		Socket: root.string("socket"), VRRPSocket: root.string("vrrp_socket"),
		TrustedFrom: verify.string("trusted_from"),
		SignersFile: verify.string("allowed_signers_file"), Keys: verify.strings("gpg_keys"),
		Plugins:       spec.Plugins{Dir: plugins.string("dir"), User: plugins.string("user"), AllowExec: plugins.boolean("allow_exec"), MemoryLimit: plugins.size("memory_limit")},
		HAProxy:       spec.HAProxyTrust{Folders: haproxy.strings("folders"), RawLines: haproxy.boolean("raw_lines")},
		PolicyDir:     policies.string("mandatory_dir"),
		RepoPolicyDir: policies.string("repo_dir"),
		PlanOnly:      f.only("reconcile").string("mode") == "plan-only",
		AllowEmpty:    f.only("reconcile").boolean("allow_empty"),
		Drift:         f.drift(f.only("reconcile")),
		Webhook:       f.webhook(),
	}
	if !namePattern.MatchString(a.NodeName) {
		f.report.errorf(root.attrRange("node_name"), "Not a name", "%.80q cannot be a node. %s", a.NodeName, nameRule)
	}
	if a.TrustedFrom != "" && !commitPattern.MatchString(a.TrustedFrom) {
		f.report.errorf(verify.attrRange("trusted_from"), "Not a commit", "%.80q is not a commit's hash of at least 7 hexadecimal digits.", a.TrustedFrom)
	}
	switch keys := a.SignersFile != "" || len(a.Keys) > 0; {
	case verify.string("mode") == "commit" && !keys:
		f.report.errorf(verify.attrRange("mode"), "Nobody may sign", "mode = %q needs allowed_signers_file or gpg_keys.", "commit")
	case verify.string("mode") == "none" && keys:
		f.report.errorf(verify.attrRange("mode"), "Keys that count for nothing", "mode = %q asks for no signature, and there are keys.", "none")
	}
	f.below(policies, "repo_dir", a.RepoPolicyDir)
	sources := root.children("source")
	if len(sources) == 0 {
		f.report.errorf(root.at, "There is no source", `Write source "git" "NAME" { url = "..." ref = { branch = "main" } }.`)
	}
	for _, s := range sources {
		a.Source = f.source(s)
	}
	if f.report.hasErrors() {
		return nil, f.report.diagnostics()
	}
	return a, f.report.diagnostics()
}

func (f *flatFile) source(in *instance) spec.GitSource {
	s := spec.GitSource{
		URL: in.string("url"), Path: path.Clean("/" + in.string("path"))[1:],
		Interval: in.duration("interval"), JitterPercent: in.percent("jitter"), Timeout: in.duration("timeout"),
		Identity: in.string("identity_file"), KnownHosts: in.string("known_hosts_file"),
		TokenFile: in.string("token_file"), CAFile: in.string("ca_file"),
	}
	for _, b := range f.root.body.Blocks {
		if b.Type == "source" && len(b.Labels) == 2 {
			s.Name = b.Labels[1]
			if b.Labels[0] != "git" {
				f.report.errorf(b.LabelRanges[0], "Unknown source", "A source is %q, not %q.", "git", b.Labels[0])
			}
		}
	}
	f.below(in, "path", in.string("path"))
	if problem := checkURL(s); problem != "" {
		f.report.hidden = append(f.report.hidden, in.attrRange("url")) // it may hold a password
		f.report.errorf(in.attrRange("url"), "url cannot be that", "%s", problem)
	}
	s.Branch = f.branch(in)
	return s
}

// below refuses a path that leaves the repository.
func (f *flatFile) below(in *instance, name, p string) {
	clean := path.Clean(p)
	if path.IsAbs(p) || clean == ".." || strings.HasPrefix(clean, "../") {
		f.report.errorf(in.attrRange(name), "The path leaves the repository", "%q has to be relative and may not climb.", p)
	}
}

func (f *flatFile) branch(in *instance) string {
	at := in.attrRange("ref")
	v, ok := in.get("ref")
	if !ok {
		return ""
	}
	if !v.Type().IsObjectType() {
		f.report.errorf(at, "Wrong type", `ref is an object, such as { branch = "main" }.`)
		return ""
	}
	for _, name := range sortedKeys(v.Type().AttributeTypes()) {
		switch name {
		case "branch":
		case "tag", "semver", "commit", "name":
			notYet(f.report, at, name, "ref")
			return ""
		default:
			f.report.errorf(at, "Unknown attribute", "ref has no attribute %q.%s", name, DidYouMean(name, []string{"branch"}))
			return ""
		}
	}
	if !v.Type().HasAttribute("branch") {
		f.report.errorf(at, "branch is missing", `Write ref = { branch = "main" }.`)
		return ""
	}
	s, ok := f.ev.convert(v.GetAttr("branch"), attribute{name: "branch", kind: stringKind}, at, "ref")
	if !ok || s.IsNull() || !branchName(s.AsString()) {
		f.report.errorf(at, "Not a branch", "The name of a branch is needed.")
		return ""
	}
	return s.AsString()
}

// branchName is a strict form of git-check-ref-format.
func branchName(s string) bool {
	return s != "" && len(s) <= 200 && printable(s) && !strings.ContainsAny(s, "~^:?*[\\") &&
		!strings.Contains(s, "..") && !strings.Contains(s, "@{") && !strings.Contains(s, "//") &&
		!strings.HasPrefix(s, "-") && !strings.HasPrefix(s, "/") && !strings.HasSuffix(s, "/") && !strings.HasSuffix(s, ".lock")
}

// scpPattern is user@host:path, which git reads as ssh.
var scpPattern = regexp.MustCompile(`^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^:]+$`)

func checkURL(s spec.GitSource) string {
	scheme, rest, _ := strings.Cut(s.URL, "://")
	switch {
	case !printable(s.URL) || s.URL == "":
		return "It has spaces or control characters, or is empty."
	case strings.HasPrefix(s.URL, "/"), scheme == "file" && strings.HasPrefix(rest, "/"), scpPattern.MatchString(s.URL):
		return ""
	case scheme == "http":
		return "http is neither private nor authentic. Use https or ssh."
	case scheme != "https" && scheme != "ssh":
		return fmt.Sprintf("%.200q is not a file, ssh or https URL.", s.URL)
	case strings.Contains(strings.SplitN(rest, "/", 2)[0], ":") && strings.Contains(strings.SplitN(rest, "/", 2)[0], "@") && scheme == "https":
		return "A password in the URL would be shown. Put it into a file and name that as token_file."
	}
	return ""
}
