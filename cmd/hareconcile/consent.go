package main

import (
	"fmt"
	"slices"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// unallowed warns of programs that the cluster would have this host run and that its owner
// has not allowed: nothing would ever be measured by them.
func (h *host) unallowed(c *spec.Cluster) hcl.Diagnostics {
	if c == nil || h.cfg.Plugins.AllowExec || c.Node != h.cfg.NodeName {
		return nil
	}
	var ds hcl.Diagnostics
	warn := func(o spec.Origin) {
		at := hcl.Pos{Line: o.Line, Column: 1}
		ds = append(ds, hcl.Diagnostic{
			Severity: hcl.Warning, Summary: "This host runs no programs for others", File: o.File, Start: at, End: at,
			Detail: fmt.Sprintf("%s names a program, and agent.hcl of %s does not allow it, so it stays unknown. Its owner writes plugins { allow_exec = true }.", o.Address, c.Node),
		})
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
