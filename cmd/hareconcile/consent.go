package main

import (
	"fmt"
	"slices"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// unallowed says what the cluster would have this host do and its owner has not allowed.
func (h *host) unallowed(c *spec.Cluster) hcl.Diagnostics {
	if c == nil || c.Node != h.cfg.NodeName {
		return nil
	}
	ds := concerns(c, c.Node, h.cfg.HAProxy, hcl.Error)
	if !h.cfg.Plugins.AllowExec {
		ds = append(ds, programs(c)...)
	}
	return ds
}

// concerned is a diagnostic about o.
func concerned(o spec.Origin, s hcl.Severity, summary, detail string) hcl.Diagnostic {
	at := hcl.Pos{Line: o.Line, Column: 1}
	return hcl.Diagnostic{Severity: s, Summary: summary, File: o.File, Start: at, End: at, Detail: detail}
}

// programs warns of those that a host is to run: nothing will ever be measured by them.
func programs(c *spec.Cluster) hcl.Diagnostics {
	var ds hcl.Diagnostics
	warn := func(o spec.Origin) {
		ds = append(ds, concerned(o, hcl.Warning, "This host runs no programs for others",
			fmt.Sprintf("%s names a program, and agent.hcl of %s does not allow it, so it stays unknown. Its owner writes plugins { allow_exec = true }.", o.Address, c.Node)))
	}
	for _, t := range c.Trackers {
		if t.Plugin == "exec" {
			warn(t.Origin)
		}
	}
	for _, p := range c.Pools {
		if slices.ContainsFunc(p.Checks, func(x spec.Check) bool { return x.Type == "exec" }) {
			warn(p.Origin)
		}
	}
	return ds
}

// concerns says what the haproxies of a node, or of all, do beyond what trust allows.
func concerns(c *spec.Cluster, node string, trust spec.HAProxyTrust, s hcl.Severity) hcl.Diagnostics {
	var ds hcl.Diagnostics
	for _, p := range c.HAProxies {
		if node != "" && !slices.Contains(p.Nodes, node) {
			continue
		}
		for _, x := range haproxy.Concerns(p, trust) {
			where := "A node refuses it"
			if node != "" {
				where = node + " refuses it"
			}
			ds = append(ds, concerned(x.Origin, s, "The host's owner has to allow it",
				fmt.Sprintf("%s: %s %s unless agent.hcl there has %s.", x.Origin.Address, x.What, where, x.Allow)))
		}
	}
	return ds
}

// refusal says why a host whose owner allows what trust says does nothing for p, or nothing.
func refusal(p spec.HAProxy, trust spec.HAProxyTrust) string {
	found := haproxy.Concerns(p, trust)
	if len(found) == 0 {
		return ""
	}
	o := found[0].Origin
	return fmt.Sprintf("%s:%d: %s: %s", o.File, o.Line, o.Address, first(found))
}

// refused is refusal for a managed file.
func refused(text string, trust spec.HAProxyTrust) string {
	if found := haproxy.TextConcerns(text, trust); len(found) > 0 {
		return first(found)
	}
	return ""
}

// first says the first concern, and how many there are.
func first(found []haproxy.Concern) string {
	more := ""
	if len(found) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(found)-1)
	}
	return fmt.Sprintf("%s The host's owner has to allow it: %s in agent.hcl%s", found[0].What, found[0].Allow, more)
}
