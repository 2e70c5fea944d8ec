package haproxy

import (
	"net/netip"
	"strconv"
	"strings"
)

// A Bind is one address of a bind line, as far as a bind to it can be tried.
type Bind struct {
	Line        int
	Text        string // the address as it is written
	Address     netip.Addr
	First, Last uint16 // its ports
	Transparent bool   // it binds to addresses that the host does not have
	V6Only      bool
	Interface   string
}

// ParseBinds returns the TCP addresses of a configuration's bind lines. Those that only haproxy
// understands are left out: names, variables, Unix sockets, other namespaces.
func ParseBinds(text string) []Bind {
	var out []Bind
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 && f[0] == "bind" {
			out = append(out, lineBinds(n, f)...)
		}
	}
	return out
}

// lineBinds returns the addresses of line n, which is of the words f.
func lineBinds(n int, f []string) []Bind {
	if len(f) < 2 {
		return nil
	}
	b, ok := bindOptions(f[2:])
	if !ok {
		return nil
	}
	var out []Bind
	for written := range strings.SplitSeq(f[1], ",") {
		if a := b; a.address(written) {
			a.Line, a.Text = n, written
			out = append(out, a)
		}
	}
	return out
}

// bindOptions reads what follows the addresses, and reports whether a bind can be tried.
func bindOptions(f []string) (b Bind, ok bool) {
	for i, word := range f {
		switch word {
		case "transparent":
			b.Transparent = true
		case "v6only":
			b.V6Only = true
		case "namespace":
			return b, false
		case "interface":
			if i+1 < len(f) {
				b.Interface = f[i+1]
			}
		}
	}
	return b, true
}

// address reads an address with a port or a range of them (configuration.txt, section 11).
func (b *Bind) address(s string) bool {
	any4 := netip.IPv4Unspecified()
	if rest, ok := strings.CutPrefix(s, "ipv6@"); ok {
		s, any4 = rest, netip.IPv6Unspecified()
	}
	s = strings.TrimPrefix(s, "ipv4@")
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return false
	}
	host, ports := s[:colon], s[colon+1:]
	first, last, ranged := strings.Cut(ports, "-")
	if !ranged {
		last = first
	}
	low, err := strconv.ParseUint(first, 10, 16)
	high, err2 := strconv.ParseUint(last, 10, 16)
	if err != nil || err2 != nil || low == 0 || high < low {
		return false
	}
	b.First, b.Last, b.Address = uint16(low), uint16(high), any4
	if host == "" || host == "*" {
		return true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	b.Address = a
	return err == nil && a.Zone() == ""
}

// Backends returns the names of the sections of a configuration that have servers.
func Backends(text string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "backend" || f[0] == "listen") {
			out[f[1]] = true
		}
	}
	return out
}
