package hcl

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func (v *view) virtualServer(in *instance) spec.VirtualServer {
	s := spec.VirtualServer{
		Origin: v.note(in), Name: in.name,
		On:        in.string("on"),
		Services:  v.services(in),
		Scheduler: in.string("scheduler"),
		OnePacket: in.boolean("one_packet"),
		Forward:   in.string("forward"),
		Pool:      in.string("pool"),
		Sorry:     in.string("sorry"),
		Quorum:    in.int("quorum"), Hysteresis: in.int("hysteresis"),
		Adopt: in.boolean("adopt"),
	}
	if in.string("program") == "master" {
		s.Program = "master"
	}
	s.Flags = slices.Sorted(slices.Values(in.strings("scheduler_flags")))
	if in.written("tunnel") {
		s.Tunnel = v.tunnel(in)
	}
	for _, b := range in.children("persistence") {
		s.Persistence = v.persistence(b)
	}
	return s
}

func (v *view) persistence(in *instance) spec.Persistence {
	v.note(in)
	return spec.Persistence{Timeout: in.seconds("timeout"), Bits: in.int("bits"), Engine: in.string("engine")}
}

// seconds reads a duration that the kernel counts in seconds.
func (in *instance) seconds(attr string) time.Duration {
	d := in.duration(attr)
	if d%time.Second != 0 {
		in.fail(attr, attr+" cannot be that", "The kernel counts whole seconds, and it is %s.", d)
	}
	return d
}

// services writes out what clients may ask for: by address, then port, then protocol, each
// in the order of the file.
func (v *view) services(in *instance) []spec.Service {
	if !in.oneOf("address", "addresses", "mark") {
		return nil
	}
	if in.body.Attributes["mark"] != nil {
		for _, attr := range []string{"port", "ports", "protocol", "protocols"} {
			if in.body.Attributes[attr] != nil {
				in.fail(attr, attr+" does not fit", "The packets of a mark are told by who marks them, such as an nft rule; they may have any protocol and port.")
			}
		}
		return []spec.Service{{Mark: in.plainMark("mark"), IPv6: in.string("family") == "ipv6"}}
	}
	if in.body.Attributes["family"] != nil {
		in.fail("family", "family does not fit", "An address has one of its own; a mark has none.")
	}
	if !in.oneOf("port", "ports") || in.body.Attributes["protocol"] != nil && !in.oneOf("protocol", "protocols") {
		return nil
	}
	addresses, ports, transports := v.serviceAddresses(in), v.servicePorts(in), in.protocols()
	if n := len(addresses) * len(ports) * len(transports); n > maxServices {
		v.ev.report.errorf(in.at, "There are too many services", "%d addresses, %d ports and %d protocols make %d; at most %d are supported. A firewall mark does with one.", len(addresses), len(ports), len(transports), n, maxServices)
		return nil
	}
	out := make([]spec.Service, 0, len(addresses)*len(ports)*len(transports))
	for _, a := range addresses {
		for _, port := range ports {
			for _, p := range transports {
				out = append(out, spec.Service{Protocol: p, Address: a, Port: port})
			}
		}
	}
	return out
}

// oneOf reports whether exactly one of the attributes is written, and says so if not.
func (in *instance) oneOf(attrs ...string) bool {
	var have []string
	for _, a := range attrs {
		if in.body.Attributes[a] != nil {
			have = append(have, a)
		}
	}
	switch {
	case len(have) == 0:
		in.ev.report.errorf(in.body.MissingItemRange(), attrs[0]+" is missing", "%s needs one of %s.", upperFirst(in.address), strings.Join(attrs, ", "))
	case len(have) > 1:
		in.fail(have[1], have[1]+" does not fit", "%s has %s already.", in.address, have[0])
	}
	return len(have) == 1
}

func (in *instance) protocols() []string {
	if in.body.Attributes["protocols"] == nil {
		return []string{in.string("protocol")}
	}
	list := in.strings("protocols")
	if len(list) == 0 && in.written("protocols") {
		in.fail("protocols", "protocols is empty", "There would be no service.")
	}
	return list
}

// serviceAddresses reads address or addresses.
func (v *view) serviceAddresses(in *instance) []netip.Addr {
	if in.body.Attributes["address"] != nil {
		return []netip.Addr{in.addr("address")}
	}
	list := in.strings("addresses")
	if len(list) == 0 && in.written("addresses") {
		in.fail("addresses", "addresses is empty", "There would be no service.")
	}
	var out []netip.Addr
	for _, s := range list {
		first, last, problem := addressRange(s)
		if problem != "" {
			in.fail("addresses", "addresses cannot be that", "%s", problem)
			return nil
		}
		for a := first; ; a = a.Next() {
			if len(out) == maxServices {
				in.fail("addresses", "There are too many services", "They are more than %d addresses.", maxServices)
				return nil
			}
			out = append(out, a)
			if a == last {
				break
			}
		}
	}
	return out
}

// addressRange reads an address, a range of two with a hyphen, or a prefix.
func addressRange(s string) (first, last netip.Addr, problem string) {
	bad := func(format string, args ...any) (netip.Addr, netip.Addr, string) {
		return netip.Addr{}, netip.Addr{}, fmt.Sprintf(format, args...)
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return bad("%s has bits behind its length. Write %q for all of its addresses, or %q for this one.", p, p.Masked(), p.Addr())
		}
		return p.Addr(), lastOf(p), usable(p.Addr())
	}
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	first, err := netip.ParseAddr(strings.TrimSpace(low))
	last, err2 := netip.ParseAddr(strings.TrimSpace(high))
	switch {
	case err != nil || err2 != nil:
		return bad("%.80q is not an address, a range such as \"192.0.2.1-192.0.2.9\" or a prefix such as \"192.0.2.0/29\".", s)
	case first.Is6() != last.Is6():
		return bad("%s is not a range: its ends are of two families.", s)
	case last.Less(first):
		return bad("%s is not a range: it ends before it starts.", s)
	}
	if problem := usable(first); problem != "" {
		return bad("%s", problem)
	}
	return first, last, usable(last)
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// servicePorts reads port or ports.
func (v *view) servicePorts(in *instance) []uint16 {
	if in.body.Attributes["port"] != nil {
		return []uint16{uint16(in.int("port"))}
	}
	list := in.strings("ports")
	if len(list) == 0 && in.written("ports") {
		in.fail("ports", "ports is empty", "There would be no service.")
	}
	var out []uint16
	for _, s := range list {
		low, high, isRange := strings.Cut(s, "-")
		if !isRange {
			high = low
		}
		first, err := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
		last, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
		if err != nil || err2 != nil || last < first || first == 0 {
			in.fail("ports", "ports cannot be that", "%.40q is neither a port from 1 to 65535 nor a range of them, such as \"8000-8010\".", s)
			return nil
		}
		for p := first; p <= last; p++ {
			out = append(out, uint16(p))
		}
		if len(out) > 65535 {
			in.fail("ports", "ports cannot be that", "A port is there more than once.")
			return nil
		}
	}
	return out
}
