package ipvs

import (
	"encoding/binary"
	"net/netip"

	"github.com/cloudflare/ipvs"
)

// The commands and attributes of linux/ip_vs.h that are used here.
const (
	cmdNewService = 1
	cmdSetService = 2
	cmdDelService = 3
	cmdGetService = 4
	cmdNewServer  = 5
	cmdSetServer  = 6
	cmdDelServer  = 7
	cmdGetServer  = 8
	cmdNewDaemon  = 9
	cmdDelDaemon  = 10
	cmdGetDaemon  = 11

	attrService = 1
	attrServer  = 2
	attrDaemon  = 3

	serviceFamily    = 1
	serviceProtocol  = 2
	serviceAddress   = 3
	servicePort      = 4
	serviceMark      = 5
	serviceScheduler = 6
	serviceFlags     = 7
	serviceTimeout   = 8
	serviceNetmask   = 9
	serviceEngine    = 11

	serverAddress  = 1
	serverPort     = 2
	serverForward  = 3
	serverWeight   = 4
	serverUpper    = 5
	serverLower    = 6
	serverActive   = 7
	serverInactive = 8
	serverFamily   = 11
	serverTunnel   = 13
	serverTunPort  = 14
	serverTunFlags = 15

	daemonState     = 1
	daemonInterface = 2
	daemonSyncID    = 3
	daemonMaxLen    = 4
	daemonGroup     = 5
	daemonGroup6    = 6
	daemonPort      = 7
	daemonTTL       = 8
)

// A serviceEntry is a virtual service as the kernel has it. The library lacks its engine.
type serviceEntry struct {
	ipvs.Service
	engine string
}

// A serverEntry is a destination as the kernel has it, with its connections.
type serverEntry struct {
	ipvs.Destination
	active, inactive uint32
}

// A daemonEntry is a synchronisation daemon as the kernel has it (struct ipvs_sync_daemon_cfg).
type daemonEntry struct {
	state  uint32 // 1 is master, 2 is backup
	device string
	syncID uint32
	maxLen uint16
	group  netip.Addr
	port   uint16
	ttl    uint8
}

// appendAttr adds one attribute (struct nlattr), padded to four bytes.
func appendAttr(b []byte, typ uint16, value ...byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// appendShort is appendAttr for the first n of four bytes, which most attributes have.
func appendShort(b []byte, typ uint16, n int, value [4]byte) []byte {
	var a [8]byte
	binary.NativeEndian.PutUint16(a[:], uint16(4+n))
	binary.NativeEndian.PutUint16(a[2:], typ)
	copy(a[4:], value[:])
	return append(b, a[:]...)
}

func appendUint16(b []byte, typ, v uint16) []byte {
	var value [4]byte
	binary.NativeEndian.PutUint16(value[:], v)
	return appendShort(b, typ, 2, value)
}

// appendPort is appendUint16 in the order of the wire.
func appendPort(b []byte, typ, v uint16) []byte {
	return appendShort(b, typ, 2, [4]byte{byte(v >> 8), byte(v)})
}

func appendUint32(b []byte, typ uint16, v uint32) []byte {
	var value [4]byte
	binary.NativeEndian.PutUint32(value[:], v)
	return appendShort(b, typ, 4, value)
}

// appendString adds a string with the zero byte that the kernel's policy asks for.
func appendString(b []byte, typ uint16, s string) []byte {
	at := len(b)
	b = append(append(appendAttr(b, typ), s...), 0)
	return closeNest(b, at)
}

func appendAddress(b []byte, typ uint16, a netip.Addr) []byte {
	if a.Is4() {
		return appendShort(b, typ, 4, a.As4())
	}
	v := a.As16()
	return appendAttr(b, typ, v[:]...)
}

// closeNest ends the attribute that began at b[at], whose value is all that follows.
func closeNest(b []byte, at int) []byte {
	binary.NativeEndian.PutUint16(b[at:], uint16(len(b)-at))
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// appendService adds the attribute of a service: its key, and for a full one what the
// kernel asks for when a service is made or changed (ip_vs_genl_parse_service).
func appendService(b []byte, s serviceEntry, full bool) []byte {
	at := len(b)
	b = appendAttr(b, attrService)
	b = appendUint16(b, serviceFamily, uint16(s.Family))
	if s.FWMark != 0 {
		b = appendUint32(b, serviceMark, s.FWMark)
	} else {
		b = appendUint16(b, serviceProtocol, uint16(s.Protocol))
		b = appendAddress(b, serviceAddress, s.Address)
		b = appendPort(b, servicePort, s.Port)
	}
	if full {
		b = appendString(b, serviceScheduler, s.Scheduler)
		if s.engine != "" {
			b = appendString(b, serviceEngine, s.engine)
		}
		var flags [8]byte // struct ip_vs_flags: every flag is ours to set
		binary.NativeEndian.PutUint32(flags[:], uint32(s.Flags))
		binary.NativeEndian.PutUint32(flags[4:], ^uint32(0))
		b = appendAttr(b, serviceFlags, flags[:]...)
		b = appendUint32(b, serviceTimeout, s.Timeout)
		if s.Netmask.Is4() { // big endian; for IPv6 it is a number of bits
			b = appendAttr(b, serviceNetmask, s.Netmask.AsSlice()...)
		} else {
			b = appendUint32(b, serviceNetmask, uint32(s.Netmask.Bits()))
		}
	}
	return closeNest(b, at)
}

// appendServer adds the attribute of a server, with what ip_vs_genl_parse_dest asks for.
func appendServer(b []byte, d ipvs.Destination) []byte {
	at := len(b)
	b = appendAttr(b, attrServer)
	b = appendUint16(b, serverFamily, uint16(d.Family))
	b = appendAddress(b, serverAddress, d.Address)
	b = appendPort(b, serverPort, d.Port)
	b = appendUint32(b, serverForward, uint32(d.FwdMethod))
	b = appendUint32(b, serverWeight, d.Weight)
	b = appendUint32(b, serverUpper, d.UpperThreshold)
	b = appendUint32(b, serverLower, d.LowerThreshold)
	b = appendShort(b, serverTunnel, 1, [4]byte{byte(d.TunnelType)})
	b = appendPort(b, serverTunPort, d.TunnelPort)
	b = appendUint16(b, serverTunFlags, uint16(d.TunnelFlags))
	return closeNest(b, at)
}

// appendDaemon adds the attribute of a daemon. What is zero is the kernel's choice.
func appendDaemon(b []byte, d daemonEntry) []byte {
	at := len(b)
	b = appendAttr(b, attrDaemon)
	b = appendUint32(b, daemonState, d.state)
	b = appendString(b, daemonInterface, d.device)
	b = appendUint32(b, daemonSyncID, d.syncID)
	if d.maxLen != 0 {
		b = appendUint16(b, daemonMaxLen, d.maxLen)
	}
	switch {
	case d.group.Is4():
		b = appendAddress(b, daemonGroup, d.group)
	case d.group.IsValid():
		b = appendAddress(b, daemonGroup6, d.group)
	}
	if d.port != 0 {
		b = appendUint16(b, daemonPort, d.port)
	}
	if d.ttl != 0 {
		b = appendAttr(b, daemonTTL, d.ttl)
	}
	return closeNest(b, at)
}
