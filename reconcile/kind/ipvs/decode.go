package ipvs

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/cloudflare/ipvs"
	"github.com/cloudflare/ipvs/netmask"
)

// errWire is what foreign bytes fail with that are no message of the kernel's.
var errWire = errors.New("the kernel's answer cannot be read")

// nextAttr takes the first attribute off b.
func nextAttr(b []byte) (typ uint16, value, rest []byte, err error) {
	if len(b) < 4 {
		return 0, nil, nil, errWire
	}
	size := int(binary.NativeEndian.Uint16(b))
	if size < 4 || size > len(b) {
		return 0, nil, nil, errWire
	}
	typ = binary.NativeEndian.Uint16(b[2:]) &^ 0xc000 // NLA_F_NESTED, NLA_F_NET_BYTEORDER
	return typ, b[4:size], b[min(len(b), (size+3)&^3):], nil
}

// findAttr returns the value of the first attribute typ in b.
func findAttr(b []byte, want uint16) ([]byte, error) {
	for len(b) > 0 {
		typ, value, rest, err := nextAttr(b)
		if err != nil {
			return nil, err
		}
		if typ == want {
			return value, nil
		}
		b = rest
	}
	return nil, errWire
}

// A reader takes numbers and strings out of attributes. It keeps the first error, and one
// copy of each string.
type reader struct {
	err   error
	names map[string]string
}

func (r *reader) bytes(v []byte, size int) []byte {
	if len(v) >= size {
		return v
	}
	r.err = errWire
	return make([]byte, size)
}

func (r *reader) uint16(v []byte) uint16 { return binary.NativeEndian.Uint16(r.bytes(v, 2)) }
func (r *reader) port(v []byte) uint16   { return binary.BigEndian.Uint16(r.bytes(v, 2)) }
func (r *reader) uint32(v []byte) uint32 { return binary.NativeEndian.Uint32(r.bytes(v, 4)) }

// string returns a name of a scheduler, an engine or a device: there are few of them.
func (r *reader) string(v []byte) string {
	for i, c := range v {
		if c == 0 {
			v = v[:i]
			break
		}
	}
	if s, ok := r.names[string(v)]; ok {
		return s
	}
	if r.names == nil || len(r.names) > 100 {
		r.names = map[string]string{}
	}
	s := string(v)
	r.names[s] = s
	return s
}

// address reads a union nf_inet_addr, which has 16 bytes for every family.
func (r *reader) address(v []byte, f ipvs.AddressFamily) netip.Addr {
	switch f {
	case ipvs.INET:
		return netip.AddrFrom4([4]byte(r.bytes(v, 4)[:4]))
	case ipvs.INET6:
		return netip.AddrFrom16([16]byte(r.bytes(v, 16)[:16]))
	}
	r.err = errWire
	return netip.Addr{}
}

// service reads the attributes of an answer to GET_SERVICE.
func (r *reader) service(b []byte) (serviceEntry, error) {
	r.err = nil
	b, err := findAttr(b, attrService)
	if err != nil {
		return serviceEntry{}, err
	}
	var s serviceEntry
	var address, mask []byte
	for len(b) > 0 {
		typ, v, rest, err := nextAttr(b)
		if err != nil {
			return serviceEntry{}, err
		}
		switch b = rest; typ {
		case serviceFamily:
			s.Family = ipvs.AddressFamily(r.uint16(v))
		case serviceProtocol:
			s.Protocol = ipvs.Protocol(r.uint16(v))
		case serviceAddress:
			address = v
		case servicePort:
			s.Port = r.port(v)
		case serviceMark:
			s.FWMark = r.uint32(v)
		case serviceScheduler:
			s.Scheduler = r.string(v)
		case serviceFlags:
			s.Flags = ipvs.Flags(r.uint32(v))
		case serviceTimeout:
			s.Timeout = r.uint32(v)
		case serviceNetmask:
			mask = v
		case serviceEngine:
			s.engine = r.string(v)
		}
	}
	if s.FWMark == 0 {
		s.Address = r.address(address, s.Family)
	}
	s.Netmask = r.netmask(mask, s.Family)
	return s, r.err
}

func (r *reader) netmask(v []byte, f ipvs.AddressFamily) netmask.Mask {
	if f == ipvs.INET {
		return netmask.MaskFrom4([4]byte(r.bytes(v, 4)[:4]))
	}
	return netmask.MaskFrom(int(min(r.uint32(v), 128)), 128)
}

// server reads the attributes of an answer to GET_DEST. Kernels before 3.18 tell no
// family: it is the service's.
func (r *reader) server(b []byte, family ipvs.AddressFamily) (serverEntry, error) {
	r.err = nil
	b, err := findAttr(b, attrServer)
	if err != nil {
		return serverEntry{}, err
	}
	var d serverEntry
	d.Family = family
	var address []byte
	for len(b) > 0 {
		typ, v, rest, err := nextAttr(b)
		if err != nil {
			return serverEntry{}, err
		}
		switch b = rest; typ {
		case serverAddress:
			address = v
		case serverPort:
			d.Port = r.port(v)
		case serverForward:
			d.FwdMethod = ipvs.ForwardType(r.uint32(v) & 7) // IP_VS_CONN_F_FWD_MASK
		case serverWeight:
			d.Weight = r.uint32(v)
		case serverUpper:
			d.UpperThreshold = r.uint32(v)
		case serverLower:
			d.LowerThreshold = r.uint32(v)
		case serverActive:
			d.active = r.uint32(v)
		case serverInactive:
			d.inactive = r.uint32(v)
		case serverFamily:
			d.Family = ipvs.AddressFamily(r.uint16(v))
		case serverTunnel:
			d.TunnelType = ipvs.TunnelType(r.bytes(v, 1)[0])
		case serverTunPort:
			d.TunnelPort = r.port(v)
		case serverTunFlags:
			d.TunnelFlags = ipvs.TunnelFlags(r.uint16(v))
		}
	}
	d.Address = r.address(address, d.Family)
	return d, r.err
}

// daemon reads the attributes of an answer to GET_DAEMON.
func (r *reader) daemon(b []byte) (daemonEntry, error) {
	r.err = nil
	b, err := findAttr(b, attrDaemon)
	if err != nil {
		return daemonEntry{}, err
	}
	var d daemonEntry
	for len(b) > 0 {
		typ, v, rest, err := nextAttr(b)
		if err != nil {
			return daemonEntry{}, err
		}
		switch b = rest; typ {
		case daemonState:
			d.state = r.uint32(v)
		case daemonInterface:
			d.device = r.string(v)
		case daemonSyncID:
			d.syncID = r.uint32(v)
		case daemonMaxLen:
			d.maxLen = r.uint16(v)
		case daemonGroup:
			d.group = r.address(v, ipvs.INET)
		case daemonGroup6:
			d.group = r.address(v, ipvs.INET6)
		case daemonPort:
			d.port = r.uint16(v)
		case daemonTTL:
			d.ttl = r.bytes(v, 1)[0]
		}
	}
	return d, r.err
}
