// Package ipvs handles the kernel's table of virtual services and their servers.
package ipvs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"sync"
	"syscall"

	"github.com/cloudflare/ipvs"
	"github.com/cloudflare/ipvs/netmask"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// ErrNoModule is what everything fails with on a kernel without IPVS.
var ErrNoModule = errors.New("the kernel module ip_vs is missing: load it with `modprobe ip_vs`")

// Available returns nil if this kernel has IPVS and ErrNoModule if it has not.
func Available() error {
	t := &table{dial: ipvs.New}
	defer t.drop()
	_, err := t.open()
	return err
}

// table is a connection to the kernel's table. It is made when it is first needed, since
// most nodes of a cluster are real servers and have no IPVS, and made anew after an error,
// since a module that was loaded again has another family number.
type table struct {
	dial   func() (ipvs.Client, error)
	mu     sync.Mutex
	client ipvs.Client
}

func (t *table) open() (ipvs.Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client != nil {
		return t.client, nil
	}
	c, err := t.dial()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoModule
	}
	if err != nil {
		return nil, fmt.Errorf("open IPVS: %w", err)
	}
	t.client = c
	return c, nil
}

// drop forgets the connection.
func (t *table) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.client.(io.Closer); ok {
		_ = c.Close()
	}
	t.client = nil
}

// do runs f with a connection, which ends with the first error.
func (t *table) do(f func(ipvs.Client) error) error {
	c, err := t.open()
	if err != nil {
		return err
	}
	err = f(c)
	if err != nil {
		t.drop()
	}
	return err
}

// exists reports whether an object could not be made because it is there.
func exists(err error) bool { return errors.Is(err, syscall.EEXIST) }

// gone reports whether a service (ESRCH) or a server (ENOENT) is not there (ip_vs_ctl.c).
func gone(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ESRCH)
}

// services lists the services that a cluster file could ask for: those with an address
// and tcp or udp.
func (t *table) services() ([]resource.IPVSService, error) {
	var out []resource.IPVSService
	err := t.do(func(c ipvs.Client) error {
		list, err := c.Services()
		// Exactly this error is the library's for an empty table. One that wraps ENOENT says
		// that the module was unloaded.
		if err != nil && err != fs.ErrNotExist {
			return fmt.Errorf("list IPVS services: %w", err)
		}
		for _, s := range list {
			if key, ok := serviceKey(s.Service); ok {
				out = append(out, resource.IPVSService{ServiceKey: key, Scheduler: describeService(s.Service)})
			}
		}
		return nil
	})
	return out, err
}

// servers lists the servers of a service; none if the service is gone.
func (t *table) servers(key resource.ServiceKey) ([]resource.IPVSServer, error) {
	var out []resource.IPVSServer
	err := t.do(func(c ipvs.Client) error {
		list, err := c.Destinations(kernelService(key, ""))
		if err != nil && !gone(err) && err != fs.ErrNotExist {
			return fmt.Errorf("list the servers of %s: %w", key, err)
		}
		for _, d := range list {
			if !d.Address.IsValid() {
				continue
			}
			out = append(out, resource.IPVSServer{
				Service: key,
				Address: netip.AddrPortFrom(d.Address, d.Port),
				Forward: describeForward(d.Destination),
				Weight:  int(d.Weight),
			})
		}
		return nil
	})
	return out, err
}

// serviceKey returns the key of a service, unless it is of a sort that no cluster file can
// ask for: by firewall mark, or SCTP.
func serviceKey(s ipvs.Service) (resource.ServiceKey, bool) {
	var protocol string
	switch s.Protocol {
	case ipvs.TCP:
		protocol = "tcp"
	case ipvs.UDP:
		protocol = "udp"
	}
	if s.FWMark != 0 || protocol == "" || !s.Address.IsValid() {
		return resource.ServiceKey{}, false
	}
	return resource.ServiceKey{Protocol: protocol, Address: netip.AddrPortFrom(s.Address, s.Port)}, true
}

// describeService returns a service's scheduler. Where the service has what no cluster file
// can ask for, such as persistence, that is added, so that it never equals one of ours.
func describeService(s ipvs.Service) string {
	if flags := s.Flags &^ ipvs.ServiceHashed; flags != 0 {
		return fmt.Sprintf("%s (%s)", s.Scheduler, flags)
	}
	return s.Scheduler
}

var forwards = map[resource.Forward]ipvs.ForwardType{
	resource.ForwardDR:    ipvs.DirectRoute,
	resource.ForwardLocal: ipvs.Local,
}

// describeForward is describeService for servers. Direct routing to a loopback address is
// local delivery (ip_vs_dr_xmit), and what ipvsadm -g and keepalived make of one.
func describeForward(d ipvs.Destination) resource.Forward {
	if d.FwdMethod == ipvs.DirectRoute && d.Address.IsLoopback() {
		d.FwdMethod = ipvs.Local
	}
	name := resource.Forward(d.FwdMethod.String())
	for f, method := range forwards {
		if method == d.FwdMethod {
			name = f
		}
	}
	if d.UpperThreshold != 0 || d.LowerThreshold != 0 {
		name += resource.Forward(fmt.Sprintf(" (thresholds %d, %d)", d.UpperThreshold, d.LowerThreshold))
	}
	return name
}

func kernelService(key resource.ServiceKey, scheduler string) ipvs.Service {
	s := ipvs.Service{
		Address: key.Address.Addr(), Port: key.Address.Port(), Scheduler: scheduler,
		Family: family(key.Address.Addr()), Protocol: ipvs.TCP,
		Netmask: netmask.MaskFrom(key.Address.Addr().BitLen(), key.Address.Addr().BitLen()),
	}
	if key.Protocol == "udp" {
		s.Protocol = ipvs.UDP
	}
	return s
}

func kernelServer(s resource.IPVSServer) (ipvs.Destination, error) {
	method, ok := forwards[s.Forward]
	if !ok {
		return ipvs.Destination{}, fmt.Errorf("forwarding method %q is not one of this release", s.Forward)
	}
	return ipvs.Destination{
		Address: s.Address.Addr(), Port: s.Address.Port(), Family: family(s.Address.Addr()),
		FwdMethod: method, Weight: uint32(s.Weight),
	}, nil
}

func family(a netip.Addr) ipvs.AddressFamily {
	if a.Is4() {
		return ipvs.INET
	}
	return ipvs.INET6
}

// forgetGone takes out of the ledger what is not in the table any more.
func forgetGone(l *ledger.Ledger, kind resource.Kind, live reconcile.Live) {
	l.Retain(kind, func(name string) bool { return live.Owned[resource.ID{Kind: kind, Name: name}] != nil })
}
