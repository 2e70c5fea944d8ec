package ipvs

import (
	"io/fs"
	"net/netip"
	"slices"
	"syscall"

	"github.com/cloudflare/ipvs"
)

// fake is a table in memory that answers as ip_vs_ctl.c does: to the library's calls, which
// in tests are somebody else's, and as a socket to our messages.
type fake struct {
	ipvs.Client // what tests never call
	list        []*fakeService
	daemons     []daemonEntry // at most one of each state
	config      ipvs.Config

	answers  [][]byte // datagrams
	messages int      // received
	sends    int
	// interrupt is how many dumps from now on lack their last entry and say so.
	interrupt int
	// lose is how many sends from now on have no answer but an overrun.
	lose int
	// family is what the next dial gets. Messages to others find nobody.
	family uint16
	// before, if not nil, runs before the next send is answered.
	before func()
}

type fakeService struct {
	ipvs.Service
	engine  string
	servers []ipvs.DestinationExtended
}

func (f *fake) find(s ipvs.Service) *fakeService {
	for _, have := range f.list {
		if have.Address == s.Address && have.Port == s.Port && have.Protocol == s.Protocol && have.FWMark == s.FWMark && have.Family == s.Family {
			return have
		}
	}
	return nil
}

func (s *fakeService) find(d ipvs.Destination) int {
	return slices.IndexFunc(s.servers, func(have ipvs.DestinationExtended) bool {
		return have.Address == d.Address && have.Port == d.Port
	})
}

func (f *fake) Services() ([]ipvs.ServiceExtended, error) {
	if len(f.list) == 0 {
		return nil, fs.ErrNotExist
	}
	var out []ipvs.ServiceExtended
	for _, s := range f.list {
		out = append(out, ipvs.ServiceExtended{Service: s.Service})
	}
	return out, nil
}

// fakeSchedulers are those that the fake kernel has.
var fakeSchedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "sed", "nq", "fo", "ovf"}

func (f *fake) CreateService(s ipvs.Service) error { return f.createService(s, "") }

// createService is ip_vs_add_service.
func (f *fake) createService(s ipvs.Service, engine string) error {
	switch {
	case f.find(s) != nil:
		return syscall.EEXIST
	case !slices.Contains(fakeSchedulers, s.Scheduler), engine != "" && engine != "sip":
		return syscall.ENOENT
	case s.Family == ipvs.INET6 && s.Netmask.Bits() < 1:
		return syscall.EINVAL
	}
	s.Flags |= ipvs.ServiceHashed
	f.list = append(f.list, &fakeService{Service: s, engine: engine})
	return nil
}

func (f *fake) UpdateService(s ipvs.Service) error { return f.updateService(s, "") }

func (f *fake) updateService(s ipvs.Service, engine string) error {
	have := f.find(s)
	switch {
	case have == nil:
		return syscall.ESRCH
	case !slices.Contains(fakeSchedulers, s.Scheduler), engine != "" && engine != "sip":
		return syscall.ENOENT
	}
	s.Flags |= ipvs.ServiceHashed
	have.Service, have.engine = s, engine
	return nil
}

func (f *fake) RemoveService(s ipvs.Service) error {
	have := f.find(s)
	if have == nil {
		return syscall.ESRCH
	}
	f.list = slices.DeleteFunc(f.list, func(s *fakeService) bool { return s == have })
	return nil
}

func (f *fake) Destinations(s ipvs.Service) ([]ipvs.DestinationExtended, error) {
	have := f.find(s)
	if have == nil || len(have.servers) == 0 {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(have.servers), nil
}

// checkServer is what ip_vs_genl_set_cmd and ip_vs_add_dest refuse.
func (f *fake) checkServer(s *fakeService, d ipvs.Destination) error {
	switch {
	case s == nil:
		return syscall.ESRCH
	case d.Family != s.Family && (len(f.daemons) > 0 || d.FwdMethod != ipvs.Tunnel):
		return syscall.EINVAL
	case int32(d.Weight) < 0, d.LowerThreshold > d.UpperThreshold:
		return syscall.ERANGE
	case d.TunnelType == ipvs.GUE && d.TunnelPort == 0, d.Address.IsMulticast():
		return syscall.EINVAL
	}
	return nil
}

func (f *fake) CreateDestination(s ipvs.Service, d ipvs.Destination) error {
	have := f.find(s)
	if err := f.checkServer(have, d); err != nil {
		return err
	}
	if have.find(d) >= 0 {
		return syscall.EEXIST
	}
	have.servers = append(have.servers, ipvs.DestinationExtended{Destination: d})
	return nil
}

func (f *fake) UpdateDestination(s ipvs.Service, d ipvs.Destination) error {
	have := f.find(s)
	if err := f.checkServer(have, d); err != nil {
		return err
	}
	if have.find(d) < 0 {
		return syscall.ENOENT
	}
	have.servers[have.find(d)].Destination = d
	return nil
}

func (f *fake) RemoveDestination(s ipvs.Service, d ipvs.Destination) error {
	have := f.find(s)
	switch {
	case have == nil:
		return syscall.ESRCH
	case have.find(d) < 0:
		return syscall.ENOENT
	}
	have.servers = slices.Delete(have.servers, have.find(d), have.find(d)+1)
	return nil
}

func (f *fake) Config() (ipvs.Config, error) { return f.config, nil }

// SetConfig is ip_vs_set_timeout: zero leaves a timeout as it is.
func (f *fake) SetConfig(c ipvs.Config) error {
	for _, v := range []struct {
		have *uint32
		want uint32
	}{{&f.config.TCPTimeout, c.TCPTimeout}, {&f.config.TCPFinTimeout, c.TCPFinTimeout}, {&f.config.UDPTimeout, c.UDPTimeout}} {
		if v.want > (1<<31-1)/100 { // at 100 jiffies a second
			return syscall.EINVAL
		}
		if v.want != 0 {
			*v.have = v.want
		}
	}
	return nil
}

// mixed reports whether a server has another family than its service.
func (f *fake) mixed() bool {
	return slices.ContainsFunc(f.list, func(s *fakeService) bool {
		return slices.ContainsFunc(s.servers, func(d ipvs.DestinationExtended) bool { return d.Family != s.Family })
	})
}

// startDaemon is start_sync_thread, on an interface with an MTU of 1500.
func (f *fake) startDaemon(d daemonEntry) error {
	switch {
	case f.mixed():
		return syscall.EINVAL
	case slices.ContainsFunc(f.daemons, func(have daemonEntry) bool { return have.state == d.state }):
		return syscall.EEXIST
	case d.device == "nosuch":
		return syscall.ENODEV
	}
	if !d.group.IsValid() {
		d.group = netip.MustParseAddr("224.0.0.81")
	}
	if d.port == 0 {
		d.port = 8848
	}
	d.ttl = max(d.ttl, 1)
	switch headers := map[bool]uint16{false: 28, true: 48}[d.group.Is6()]; {
	case d.maxLen == 0:
		d.maxLen = 1500 - headers
	case d.state == stateBackup:
		d.maxLen = min(max(d.maxLen, 1024), 65535-headers)
	}
	f.daemons = append(f.daemons, d)
	return nil
}

func (f *fake) stopDaemon(state uint32) error {
	n := len(f.daemons)
	f.daemons = slices.DeleteFunc(f.daemons, func(d daemonEntry) bool { return d.state == state })
	if len(f.daemons) == n {
		return syscall.ESRCH
	}
	return syscall.EINTR // as from a thread that has not run yet
}
