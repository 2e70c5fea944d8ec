package main

import (
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/address"
	"github.com/hareconcile/hareconcile/reconcile/kind/haproxy"
	"github.com/hareconcile/hareconcile/reconcile/kind/ipvs"
	"github.com/hareconcile/hareconcile/reconcile/kind/sysctl"
	"github.com/hareconcile/hareconcile/reconcile/kind/tunnel"
	"github.com/hareconcile/hareconcile/reconcile/kind/vrrp"
)

// handlers returns one handler for each kind of this release. runDir holds the ledger. proxies
// says where to look for haproxies; log hears their warnings.
func handlers(cfg spec.Agent, runDir string, proxies *haproxies, log *slog.Logger) ([]reconcile.Handler, error) {
	l, err := ledger.Open(runDir)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]reconcile.Handler{
		tunnel.New(l),
		sysctl.New("/proc/sys", l),
		address.New(address.WithLedger(l)),
		ipvs.NewTimeouts(l),
		ipvs.NewServices(l),
		ipvs.NewServers(l),
		ipvs.NewSyncs(l),
		vrrp.NewTrackers(cfg.VRRPSocket),
		vrrp.NewInstances(cfg.VRRPSocket),
	}, haproxy.New(haproxy.Config{
		Managed: proxies.managed, State: filepath.Join(cfg.DataDir, "haproxy"), Log: log,
		Refuse: func(text string) string { return refused(text, cfg.HAProxy) },
	})), nil
}
