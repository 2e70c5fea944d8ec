package scene

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// tablePath is the kernel's IPVS table as text; ipvsadm prints the same.
const tablePath = "/proc/thread-self/net/ip_vs"

// A Table is an IPVS table: weights by service ("tcp 192.0.2.1:80") and server ("192.0.2.7:80").
type Table map[string]map[string]int

// Weight returns a server's weight, and false if the table does not have it.
func (t Table) Weight(service, server string) (int, bool) {
	w, ok := t[service][server]
	return w, ok
}

// Table returns a node's IPVS table.
func (s *Scene) Table(ctx context.Context, node string) (Table, error) {
	b, err := s.ReadFile(ctx, node, tablePath)
	if err != nil {
		return nil, fmt.Errorf("read the IPVS table of %s: %w", node, err)
	}
	return parseTable(string(b))
}

// parseTable reads ip_vs_info_seq_show's text (ip_vs_ctl.c).
func parseTable(text string) (Table, error) {
	t := Table{}
	service := ""
	for sc := bufio.NewScanner(strings.NewReader(text)); sc.Scan(); {
		f := strings.Fields(sc.Text())
		switch {
		case len(f) >= 3 && (f[0] == "TCP" || f[0] == "UDP"):
			a, err := parseHexPort(f[1])
			if err != nil {
				return nil, err
			}
			service = strings.ToLower(f[0]) + " " + a.String()
			t[service] = map[string]int{}
		case len(f) >= 4 && f[0] == "->" && f[1] != "RemoteAddress:Port":
			a, err := parseHexPort(f[1])
			if err != nil {
				return nil, err
			}
			w, err := strconv.Atoi(f[3])
			if err != nil || service == "" {
				return nil, fmt.Errorf("line %q of the IPVS table", sc.Text())
			}
			t[service][a.String()] = w
		}
	}
	return t, nil
}

// parseHexPort reads "AC19FE64:0050".
func parseHexPort(s string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	p, err2 := strconv.ParseUint(port, 16, 16)
	a, ok := netip.AddrFromSlice(b)
	if err != nil || err2 != nil || !ok {
		return netip.AddrPort{}, fmt.Errorf("%q in the IPVS table is no address", s)
	}
	return netip.AddrPortFrom(a, uint16(p)), nil
}
