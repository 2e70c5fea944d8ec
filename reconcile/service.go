package reconcile

import (
	"net/netip"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// Key returns the kernel's key of a service.
func Key(s spec.Service) resource.ServiceKey {
	if s.Mark != 0 {
		k := resource.ServiceKey{Mark: s.Mark, Family: resource.IPv4}
		if s.IPv6 {
			k.Family = resource.IPv6
		}
		return k
	}
	return resource.ServiceKey{Protocol: s.Protocol, Address: netip.AddrPortFrom(s.Address, s.Port)}
}

// ServerID returns the ID of a server's entry in a service.
func ServerID(service resource.ServiceKey, s spec.Server) resource.ID {
	return resource.IPVSServer{Service: service, Address: s.AddrPort(service.Address.Port())}.ID()
}
