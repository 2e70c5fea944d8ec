package ipvs

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// arrow is between service and server in resource.IPVSServer.ID.
const arrow = " -> "

// servers owns the servers that the ledger lists.
type servers struct {
	*rows[resource.IPVSServer]
}

var _ reconcile.Batcher = servers{}

// NewServers returns the handler of the servers of virtual services.
func NewServers(l *ledger.Ledger) reconcile.Handler { return newServers(dialKernel, l) }

func newServers(dial func() (socket, uint16, error), l *ledger.Ledger) servers {
	t := &table{dial: dial}
	return servers{&rows[resource.IPVSServer]{
		table: t, ledger: l, kind: resource.KindIPVSServer,
		name:    func(s resource.IPVSServer) string { return fmt.Sprintf("server %s of %s", s.Address, s.Service) },
		ready:   func(context.Context) func(resource.IPVSServer) error { return readyServer(l) },
		find:    t.server,
		encoder: encodeServers,
		explain: explainServer,
	}}
}

// Observe implements reconcile.Handler. The servers of foreign services are foreign too:
// a plan that adopts a service adopts its servers with it.
func (h servers) Observe(ctx context.Context) (reconcile.Live, error) {
	return h.observe(func(live reconcile.Live) error {
		list, err := h.table.services()
		var all []found
		for _, s := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			if all, err = h.table.servers(s, all[:0]); err != nil {
				return err
			}
			// The names of a service's servers begin alike: writing them here saves making
			// each of four strings.
			name := append([]byte(s.ServiceKey.String()), arrow...)
			prefix := len(name)
			for _, f := range all {
				name = f.Address.AppendTo(name[:prefix])
				id := resource.ID{Kind: h.kind, Name: string(name)}
				h.sort(live, id, f.IPVSServer)
				if f.connections > 0 {
					live.Connections[id] = f.connections
				}
			}
		}
		return err
	})
}

// readyServer refuses servers of services that are not ours. Those of one service come
// together.
func readyServer(l *ledger.Ledger) func(resource.IPVSServer) error {
	var last resource.ServiceKey // which is ours
	return func(s resource.IPVSServer) error {
		if s.Service != last && !l.Has(resource.IPVSService{ServiceKey: s.Service}.ID()) {
			return fmt.Errorf("IPVS service %s is not ours: its servers stay as they are", s.Service)
		}
		last = s.Service
		_, err := kernelServer(s)
		return err
	}
}

// encodeServers encodes a service once for all of its servers that come together.
func encodeServers() encode[resource.IPVSServer] {
	var last resource.ServiceKey
	var service []byte // of last
	return func(b []byte, do verb, s resource.IPVSServer) (uint8, []byte) {
		if s.Service != last || service == nil {
			last, service = s.Service, appendService(service[:0], kernelKey(s.Service), false)
		}
		cmd := uint8(cmdNewServer)
		switch do {
		case change:
			cmd = cmdSetServer
		case remove:
			cmd = cmdDelServer
		}
		d, _ := kernelServer(s) // ready has looked
		return cmd, appendServer(append(b, service...), d)
	}
}

// explainServer knows what ip_vs_genl_set_cmd and ip_vs_add_dest mean.
func explainServer(s resource.IPVSServer, err error) error {
	mixed := s.Service.IPv6() != s.Address.Addr().Is6()
	switch {
	case errors.Is(err, syscall.ESRCH):
		return fmt.Errorf("the service is not there: %w", err)
	case errors.Is(err, syscall.ERANGE):
		return fmt.Errorf("the lower threshold %d is above the upper one %d: %w", s.Lower, s.Upper, err)
	case errors.Is(err, syscall.EINVAL) && mixed:
		return fmt.Errorf("the kernel reaches a server of the other family through a tunnel only, and not while a synchronisation daemon runs: %w", err)
	case errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("the kernel does not take the address or the tunnel: %w", err)
	}
	return err
}
