package holding

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A system is the real Tools. The filter is an nftables table of our own:
//
//	table inet hareconcile_vrrp {
//		set ipv4 { type ipv4_addr; }
//		set ipv6 { type ipv6_addr; }
//		chain input {
//			type filter hook input priority -1;
//			ip daddr @ipv4 drop
//			icmpv6 type 135-136 accept
//			ip6 daddr @ipv6 drop
//		}
//	}
//
// Neighbour solicitations and advertisements are never dropped (RFC 9568, section 6.1).
type system struct{ conn *nftables.Conn }

const (
	filterTable = "hareconcile_vrrp"
	filterRules = 3
	// elements is how many addresses fit one message: an attribute has 64 KB.
	elements = 1000
)

func (s *system) Sysctl(name string) (string, error) {
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return "", fmt.Errorf("read sysctl: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func (s *system) SetSysctl(name, value string) error {
	f, err := os.OpenFile("/proc/sys/"+name, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(value)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("set sysctl: %w", err)
	}
	return nil
}

// open opens the socket when it is first needed, in the thread's network namespace.
func (s *system) open() error {
	if s.conn != nil {
		return nil
	}
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	s.conn = c
	return nil
}

// flush sends what was prepared, as one transaction.
func (s *system) flush(errs ...error) error {
	err := errors.Join(append(errs, s.conn.Flush())...)
	if err != nil {
		_ = s.conn.CloseLasting()
		s.conn = nil // whatever else it had prepared goes with it
		return fmt.Errorf("change nftables: %w", err)
	}
	return nil
}

func table() *nftables.Table {
	return &nftables.Table{Name: filterTable, Family: nftables.TableFamilyINet}
}

func sets(t *nftables.Table) (v4, v6 *nftables.Set) {
	return &nftables.Set{Table: t, Name: "ipv4", KeyType: nftables.TypeIPAddr},
		&nftables.Set{Table: t, Name: "ipv6", KeyType: nftables.TypeIP6Addr}
}

func (s *system) Refused() ([]netip.Addr, bool, error) {
	if err := s.open(); err != nil {
		return nil, false, err
	}
	tables, err := s.conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, false, fmt.Errorf("list nftables: %w", err)
	}
	if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == filterTable }) {
		return nil, false, nil
	}
	t := table()
	rules, err := s.conn.GetRules(t, &nftables.Chain{Name: "input", Table: t})
	if err != nil {
		return nil, false, nil // there is no such chain: the library does not say so otherwise
	}
	out := []netip.Addr{}
	v4, v6 := sets(t)
	for _, set := range []*nftables.Set{v4, v6} {
		list, err := s.conn.GetSetElements(set)
		if err != nil {
			return out, false, nil
		}
		for _, e := range list {
			if a, ok := netip.AddrFromSlice(e.Key); ok {
				out = append(out, a)
			}
		}
	}
	return out, len(rules) == filterRules, nil
}

func (s *system) Refuse(add, remove []netip.Addr) error {
	if err := s.open(); err != nil {
		return err
	}
	v4, v6 := sets(table())
	change := func(list []netip.Addr, f func(*nftables.Set, []nftables.SetElement) error) error {
		for part := range slices.Chunk(list, elements) {
			e4, e6 := split(part)
			if err := errors.Join(unlessEmpty(f, v4, e4), unlessEmpty(f, v6, e6)); err != nil {
				return err
			}
		}
		return nil
	}
	return s.flush(change(add, s.conn.SetAddElements), change(remove, s.conn.SetDeleteElements))
}

func unlessEmpty(f func(*nftables.Set, []nftables.SetElement) error, set *nftables.Set, list []nftables.SetElement) error {
	if len(list) == 0 {
		return nil
	}
	return f(set, list)
}

func split(list []netip.Addr) (v4, v6 []nftables.SetElement) {
	for _, a := range list {
		if e := (nftables.SetElement{Key: a.AsSlice()}); a.Is4() {
			v4 = append(v4, e)
		} else {
			v6 = append(v6, e)
		}
	}
	return v4, v6
}

func (s *system) RefuseOnly(all []netip.Addr) error {
	if err := s.open(); err != nil {
		return err
	}
	t := table()
	s.conn.AddTable(t) // so that there is one to delete
	s.conn.DelTable(t)
	s.conn.AddTable(t)
	priority := nftables.ChainPriority(-1)
	chain := s.conn.AddChain(&nftables.Chain{
		Name: "input", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: &priority,
	})
	v4, v6 := sets(t)
	err := errors.Join(s.conn.AddSet(v4, nil), s.conn.AddSet(v6, nil))
	for _, e := range [][]expr.Any{
		append(onlyFamily(unix.NFPROTO_IPV4), dropTo(v4, 16, 4)...),
		append(onlyFamily(unix.NFPROTO_IPV6), acceptNeighbours()...),
		append(onlyFamily(unix.NFPROTO_IPV6), dropTo(v6, 24, 16)...),
	} {
		s.conn.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: e})
	}
	if err := s.flush(err); err != nil {
		return err
	}
	for part := range slices.Chunk(all, elements) {
		if err := s.Refuse(part, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *system) RefuseNothing() error {
	if err := s.open(); err != nil {
		return err
	}
	s.conn.AddTable(table()) // so that there is one to delete
	s.conn.DelTable(table())
	return s.flush()
}

func onlyFamily(nfproto byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{nfproto}},
	}
}

// dropTo drops packets whose destination, in the network header at offset, is in set.
func dropTo(set *nftables.Set, offset, length uint32) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// acceptNeighbours accepts neighbour solicitations (135) and advertisements (136).
func acceptNeighbours() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMPV6}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{135}, ToData: []byte{136}},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}
