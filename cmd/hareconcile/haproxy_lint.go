package main

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"slices"

	"github.com/hareconcile/hareconcile/hcl"
	internalhaproxy "github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/kind/haproxy"
)

// lint warns of traps in all files that this host's haproxies load, beside what c adds to
// them. What cannot be read, or does not run, is looked at another time: the plan says
// whatever of it matters.
func (h *host) lint(ctx context.Context, e *env, c *spec.Cluster) error {
	var ds hcl.Diagnostics
	for _, p := range c.HAProxies {
		if !slices.Contains(p.Nodes, h.cfg.NodeName) {
			continue
		}
		loaded, err := haproxy.Loaded(ctx, managed(p), internalhaproxy.Render(p, c.Name).Text)
		if err != nil {
			continue
		}
		loaded.Virtual = moving(c)
		for _, f := range internalhaproxy.Lint(loaded) {
			at := hcl.Pos{Line: f.Line, Column: 1}
			// Without the line, which may have a password.
			ds = append(ds, hcl.Diagnostic{Severity: hcl.Warning, Summary: f.Summary, Detail: f.Detail, File: f.Path, Start: at, End: at})
		}
	}
	return e.diagnose(ds)
}

// moving returns the virtual addresses that this host may not bind to while it does not have
// them.
func moving(c *spec.Cluster) []netip.Addr {
	var out []netip.Addr
	allowed := map[bool]bool{true: nonlocal("ipv4"), false: nonlocal("ipv6")}
	for _, i := range c.Instances {
		for _, a := range slices.Concat(i.Addresses, i.Excluded) {
			if ip := a.Prefix.Addr(); !allowed[ip.Is4()] {
				out = append(out, ip)
			}
		}
	}
	return out
}

// nonlocal reports whether programs may bind to addresses that this host does not have
// (ip-sysctl.rst, ip_nonlocal_bind).
func nonlocal(family string) bool {
	b, err := os.ReadFile("/proc/sys/net/" + family + "/ip_nonlocal_bind")
	return err == nil && string(bytes.TrimSpace(b)) != "0"
}
