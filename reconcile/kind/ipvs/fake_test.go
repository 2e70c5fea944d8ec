package ipvs

import (
	"io/fs"
	"slices"
	"syscall"

	"github.com/cloudflare/ipvs"
)

// fake is a table in memory that answers as ip_vs_ctl.c does.
type fake struct {
	ipvs.Client // what the handlers never call
	list        []*fakeService
}

type fakeService struct {
	ipvs.Service
	servers []ipvs.DestinationExtended
}

func (f *fake) find(s ipvs.Service) *fakeService {
	for _, have := range f.list {
		if have.Address == s.Address && have.Port == s.Port && have.Protocol == s.Protocol && have.FWMark == s.FWMark {
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
		s.Flags |= ipvs.ServiceHashed
		out = append(out, ipvs.ServiceExtended{Service: s.Service})
	}
	return out, nil
}

func (f *fake) CreateService(s ipvs.Service) error {
	if f.find(s) != nil {
		return syscall.EEXIST
	}
	f.list = append(f.list, &fakeService{Service: s})
	return nil
}

func (f *fake) UpdateService(s ipvs.Service) error {
	have := f.find(s)
	if have == nil {
		return syscall.ESRCH
	}
	have.Service = s
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

func (f *fake) CreateDestination(s ipvs.Service, d ipvs.Destination) error {
	have := f.find(s)
	switch {
	case have == nil:
		return syscall.ESRCH
	case have.find(d) >= 0:
		return syscall.EEXIST
	}
	have.servers = append(have.servers, ipvs.DestinationExtended{Destination: d})
	return nil
}

func (f *fake) UpdateDestination(s ipvs.Service, d ipvs.Destination) error {
	have := f.find(s)
	switch {
	case have == nil:
		return syscall.ESRCH
	case have.find(d) < 0:
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
