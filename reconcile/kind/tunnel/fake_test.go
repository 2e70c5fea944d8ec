package tunnel

import (
	"fmt"
	"maps"

	"golang.org/x/sys/unix"
)

// fake is a host in memory whose kernel has every module, and makes fallback devices as
// their modules are loaded.
type fake struct{ state }

func newFake() *fake { return &fake{state{map[string]device{}, map[port]string{}}} }

func (f *fake) look() (state, error) {
	return state{maps.Clone(f.devices), maps.Clone(f.ports)}, nil
}

func (f *fake) set(name string, want device) error {
	if want.Kind != "" {
		f.devices[name] = want
		return nil
	}
	if have, ok := f.devices[name]; ok {
		have.Up = false
		if name == "ip6tnl0" {
			have.Proto = unix.IPPROTO_IPV6
		}
		f.devices[name] = have
	}
	return nil
}

func (f *fake) open(p port, open bool) error {
	if !open {
		delete(f.ports, p)
	} else if f.ports[p] == "" {
		f.ports[p] = "gue"
	}
	return nil
}

// Ip does what the tests do with ip(8).
func (f *fake) ip(c command) {
	switch c := c.(type) {
	case linkUp:
		f.devices[string(c)] = device{fallback[string(c)].Kind, true, f.devices[string(c)].Proto}
	case linkDown:
		f.devices[string(c)] = device{fallback[string(c)].Kind, false, f.devices[string(c)].Proto}
	case dummy:
		f.devices[string(c)] = device{Kind: "dummy"}
	case fouPort:
		f.ports[port{unix.AF_INET, c.number}] = c.unwraps
	case closePort:
		delete(f.ports, port{unix.AF_INET, uint16(c)})
	default:
		panic(fmt.Sprintf("%T", c))
	}
}
