package tunnel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A device is the state of a link. The zero value is one that does not exist.
type device struct {
	Kind string `json:"kind,omitempty"` // rtnetlink's name of its type
	Up   bool   `json:"up,omitempty"`
	// Proto is what an ip6tnl device unwraps; 0 is IPv4 and IPv6.
	Proto uint8 `json:"proto,omitempty"`
}

// A port is where UDP packets are unwrapped.
type port struct {
	family int // unix.AF_INET or unix.AF_INET6, of the outer packet
	number uint16
}

// A state is what a host has of what this package handles.
type state struct {
	devices map[string]device // by name; without those that do not exist
	ports   map[port]string   // "gue", or what else the port unwraps
}

// fallback are the devices that take what the kernel has no better tunnel for, with the
// state that a real server needs.
var fallback = map[string]device{
	"tunl0": {Kind: "ipip", Up: true},
	"sit0":  {Kind: "sit", Up: true}, // IPv6 in IPv4
	// The kernel makes ip6tnl0 with IPv6 in IPv6 alone (ip6_fb_tnl_dev_init); 0 is IPv4 in IPv6 too.
	"ip6tnl0": {Kind: "ip6tnl", Up: true},
	"gre0":    {Kind: "gre", Up: true},
	"ip6gre0": {Kind: "ip6gre", Up: true},
}

func gre(name string) bool { return name == "gre0" || name == "ip6gre0" }

// family is that of the packets around the others.
func family(name string) int {
	if strings.HasPrefix(name, "ip6") {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// portOf returns the port of a gue tunnel.
func portOf(t resource.Tunnel) port { return port{family(t.Device), t.Port} }

// check refuses what no kernel could have.
func check(t resource.Tunnel) error {
	_, known := fallback[t.Device]
	switch {
	case !known:
		return fmt.Errorf("%q is not a fallback device of a tunnel", t.Device)
	case gre(t.Device) != (t.Type == "gre"), t.Type != "gre" && t.Type != "ipip" && t.Type != "gue":
		return fmt.Errorf("%s takes no packets of type %q", t.Device, t.Type)
	case (t.Port != 0) != (t.Type == "gue"):
		return errors.New("gue has a port, and nothing else has one")
	}
	return nil
}

// parse returns the tunnel that an ID stands for.
func parse(id resource.ID) (resource.Tunnel, error) {
	name, number, hasPort := strings.Cut(id.Name, ":")
	t := resource.Tunnel{Device: name, Type: "ipip"}
	if gre(name) {
		t.Type = "gre"
	}
	if hasPort {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return t, fmt.Errorf("%s is not a tunnel: %w", id, err)
		}
		t.Type, t.Port = "gue", uint16(n)
	}
	if err := check(t); err != nil {
		return t, fmt.Errorf("%s is not a tunnel: %w", id, err)
	}
	return t, nil
}

// describe returns t as the host has it, and whether the host has anything of it. What is
// wrong is added to the type, so that it never equals what a cluster file asks for.
func (s state) describe(t resource.Tunnel) (v resource.Tunnel, any bool) {
	var wrong []string
	have, exists := s.devices[t.Device]
	want := fallback[t.Device]
	switch {
	case !exists:
		wrong = append(wrong, "no device")
	case have.Kind != want.Kind:
		wrong = append(wrong, "the device is a "+have.Kind)
	case !have.Up:
		wrong = append(wrong, "down")
	}
	if exists && have.Proto != want.Proto {
		wrong = append(wrong, "takes protocol "+strconv.Itoa(int(have.Proto))+" only")
	}
	unwraps, open := s.ports[portOf(t)]
	switch {
	case t.Port == 0:
	case !open:
		wrong = append(wrong, "port closed")
	case unwraps != "gue":
		wrong = append(wrong, "the port unwraps "+unwraps)
	}
	if len(wrong) > 0 {
		t.Type += " (" + strings.Join(wrong, ", ") + ")"
	}
	return t, exists || open && t.Port != 0
}

// refuses returns why the host cannot have t: the name or the port is taken by another sort.
func (s state) refuses(t resource.Tunnel) error {
	if have, exists := s.devices[t.Device]; exists && have.Kind != fallback[t.Device].Kind {
		return fmt.Errorf("the device %s is of type %s, not %s", t.Device, have.Kind, fallback[t.Device].Kind)
	}
	if unwraps, open := s.ports[portOf(t)]; open && t.Port != 0 && unwraps != "gue" {
		return fmt.Errorf("UDP port %d unwraps %s, not gue", t.Port, unwraps)
	}
	return nil
}
