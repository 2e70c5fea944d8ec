package ipvs

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"

	"github.com/cloudflare/ipvs"
	"github.com/cloudflare/ipvs/netmask"
	"github.com/mdlayher/netlink"
)

// The wire form of the fake is made with the library's encoder and decoder, and so is
// independent of ours.

func (f *fake) dial() (socket, uint16, error) {
	if f.family == 0 {
		f.family = 25
	}
	f.answers = nil
	return f, f.family, nil
}

// Send implements socket.
func (f *fake) Send(b []byte) error {
	f.sends++
	if f.before != nil {
		before := f.before
		f.before = nil
		before()
	}
	for len(b) > 0 {
		size := binary.NativeEndian.Uint32(b)
		var m netlink.Message
		if err := m.UnmarshalBinary(b[:size]); err != nil {
			return err
		}
		b = b[size:]
		f.messages++
		f.answer(m)
	}
	if f.lose > 0 {
		f.lose--
		f.answers = nil
	}
	return nil
}

// Receive implements socket.
func (f *fake) Receive(b []byte) (int, error) {
	if len(f.answers) == 0 {
		return 0, syscall.ENOBUFS
	}
	n := copy(b, f.answers[0])
	f.answers = f.answers[1:]
	return n, nil
}

// Close implements socket.
func (f *fake) Close() error { return nil }

func (f *fake) reply(m netlink.Message, typ netlink.HeaderType, flags netlink.HeaderFlags, data []byte) {
	out := netlink.Message{Header: netlink.Header{Length: uint32(16 + len(data)), Type: typ, Flags: flags, Sequence: m.Header.Sequence}, Data: data}
	for len(out.Data)%4 != 0 {
		out.Data = append(out.Data, 0)
		out.Header.Length++
	}
	b, err := out.MarshalBinary()
	if err != nil {
		panic(err)
	}
	f.answers = append(f.answers, b)
}

func (f *fake) answer(m netlink.Message) {
	var bodies [][]byte
	err := error(syscall.ENOENT) // genl_rcv_msg
	if uint16(m.Header.Type) == f.family {
		bodies, err = f.handle(m.Data[0], m.Header.Flags&netlink.Dump == netlink.Dump, m.Data[4:])
	}
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		errno = syscall.EINVAL
	}
	number := binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
	dump := m.Header.Flags&netlink.Dump == netlink.Dump
	switch {
	case dump && err == nil:
		var flags netlink.HeaderFlags
		if f.interrupt > 0 {
			f.interrupt--
			flags = netlink.DumpInterrupted
			bodies = bodies[:max(0, len(bodies)-1)]
		}
		for _, b := range bodies {
			f.reply(m, m.Header.Type, flags|netlink.Multi, append([]byte{m.Data[0], 1, 0, 0}, b...))
		}
		f.reply(m, netlink.Done, flags|netlink.Multi, number)
	case err == nil && len(bodies) > 0:
		f.reply(m, m.Header.Type, 0, append([]byte{m.Data[0], 1, 0, 0}, bodies[0]...))
	case errno == syscall.EINTR: // netlink_rcv_skb
	case err != nil || m.Header.Flags&netlink.Acknowledge != 0:
		f.reply(m, netlink.Error, 0, append(number, make([]byte, 16)...))
	}
}

// handle is ip_vs_genl_set_cmd, ip_vs_genl_get_cmd and the dumps.
func (f *fake) handle(cmd uint8, dump bool, attrs []byte) (bodies [][]byte, err error) {
	var s fakeService
	var d ipvs.Destination
	var sync daemonEntry
	ad, err := netlink.NewAttributeDecoder(attrs)
	if err != nil {
		return nil, err
	}
	for ad.Next() {
		switch ad.Type() {
		case attrService:
			ad.Nested(s.decode)
		case attrServer:
			ad.Nested(func(ad *netlink.AttributeDecoder) error { return decodeServer(&d, ad) })
		case attrDaemon:
			ad.Nested(func(ad *netlink.AttributeDecoder) error { return decodeDaemon(&sync, ad) })
		}
	}
	if err := ad.Err(); err != nil {
		return nil, err
	}
	switch cmd {
	case cmdNewService:
		return nil, f.createService(s.Service, s.engine)
	case cmdSetService:
		return nil, f.updateService(s.Service, s.engine)
	case cmdDelService:
		return nil, f.RemoveService(s.Service)
	case cmdNewServer:
		return nil, f.CreateDestination(s.Service, d)
	case cmdSetServer:
		return nil, f.UpdateDestination(s.Service, d)
	case cmdDelServer:
		return nil, f.RemoveDestination(s.Service, d)
	case cmdNewDaemon:
		return nil, f.startDaemon(sync)
	case cmdDelDaemon:
		return nil, f.stopDaemon(sync.state)
	case cmdGetService:
		return f.dumpServices(dump, s.Service)
	case cmdGetServer:
		if have := f.find(s.Service); have != nil {
			for _, d := range have.servers {
				bodies = append(bodies, encodeNested(attrServer, func(ae *netlink.AttributeEncoder) { encodeServerAs(ae, d) }))
			}
		}
		return bodies, nil
	case cmdGetDaemon:
		for _, d := range f.daemons {
			bodies = append(bodies, encodeNested(attrDaemon, func(ae *netlink.AttributeEncoder) { encodeDaemonAs(ae, d) }))
		}
		return bodies, nil
	}
	return nil, syscall.EOPNOTSUPP
}

func (f *fake) dumpServices(all bool, key ipvs.Service) (bodies [][]byte, err error) {
	list := f.list
	if !all {
		have := f.find(key)
		if have == nil {
			return nil, syscall.ESRCH
		}
		list = []*fakeService{have}
	}
	for _, s := range list {
		bodies = append(bodies, encodeNested(attrService, s.encode))
	}
	return bodies, nil
}

func encodeNested(typ uint16, f func(*netlink.AttributeEncoder)) []byte {
	ae := netlink.NewAttributeEncoder()
	ae.Nested(typ, func(ae *netlink.AttributeEncoder) error { f(ae); return nil })
	b, err := ae.Encode()
	if err != nil {
		panic(err)
	}
	return b
}

func (s *fakeService) decode(ad *netlink.AttributeDecoder) error {
	var address []byte
	for ad.Next() {
		switch ad.Type() {
		case serviceFamily:
			s.Family = ipvs.AddressFamily(ad.Uint16())
		case serviceProtocol:
			s.Protocol = ipvs.Protocol(ad.Uint16())
		case serviceAddress:
			address = ad.Bytes()
		case servicePort:
			s.Port = binary.BigEndian.Uint16(ad.Bytes())
		case serviceMark:
			s.FWMark = ad.Uint32()
		case serviceScheduler:
			s.Scheduler = ad.String()
		case serviceEngine:
			s.engine = ad.String()
		case serviceTimeout:
			s.Timeout = ad.Uint32()
		case serviceFlags:
			s.Flags = ipvs.Flags(binary.NativeEndian.Uint32(ad.Bytes()))
		case serviceNetmask:
			if b := ad.Bytes(); s.Family == ipvs.INET6 {
				s.Netmask = netmask.MaskFrom(int(binary.NativeEndian.Uint32(b)), 128)
			} else {
				s.Netmask, _ = netmask.MaskFromSlice(b)
			}
		}
	}
	s.Address, _ = netip.AddrFromSlice(address)
	return ad.Err()
}

// wide returns an address as a union nf_inet_addr.
func wide(a netip.Addr) []byte { return append(a.AsSlice(), make([]byte, 16-a.BitLen()/8)...) }

func (s *fakeService) encode(ae *netlink.AttributeEncoder) {
	ae.Uint16(serviceFamily, uint16(s.Family))
	if s.FWMark != 0 {
		ae.Uint32(serviceMark, s.FWMark)
	} else {
		ae.Uint16(serviceProtocol, uint16(s.Protocol))
		ae.Bytes(serviceAddress, wide(s.Address))
		ae.Bytes(servicePort, binary.BigEndian.AppendUint16(nil, s.Port))
	}
	ae.String(serviceScheduler, s.Scheduler)
	if s.engine != "" {
		ae.String(serviceEngine, s.engine)
	}
	ae.Bytes(serviceFlags, append(binary.NativeEndian.AppendUint32(nil, uint32(s.Flags)), 255, 255, 255, 255))
	ae.Uint32(serviceTimeout, s.Timeout)
	if s.Family == ipvs.INET6 {
		ae.Uint32(serviceNetmask, uint32(s.Netmask.Bits()))
	} else {
		ae.Bytes(serviceNetmask, s.Netmask.AsSlice())
	}
	ae.Nested(10, func(ae *netlink.AttributeEncoder) error { ae.Uint32(1, 7); return nil }) // statistics
}

func decodeServer(d *ipvs.Destination, ad *netlink.AttributeDecoder) error {
	var address []byte
	for ad.Next() {
		switch ad.Type() {
		case serverFamily:
			d.Family = ipvs.AddressFamily(ad.Uint16())
		case serverAddress:
			address = ad.Bytes()
		case serverPort:
			d.Port = binary.BigEndian.Uint16(ad.Bytes())
		case serverForward:
			d.FwdMethod = ipvs.ForwardType(ad.Uint32())
		case serverWeight:
			d.Weight = ad.Uint32()
		case serverUpper:
			d.UpperThreshold = ad.Uint32()
		case serverLower:
			d.LowerThreshold = ad.Uint32()
		case serverTunnel:
			d.TunnelType = ipvs.TunnelType(ad.Uint8())
		case serverTunPort:
			d.TunnelPort = binary.BigEndian.Uint16(ad.Bytes())
		case serverTunFlags:
			d.TunnelFlags = ipvs.TunnelFlags(ad.Uint16())
		}
	}
	d.Address, _ = netip.AddrFromSlice(address)
	return ad.Err()
}

func encodeServerAs(ae *netlink.AttributeEncoder, d ipvs.DestinationExtended) {
	ae.Bytes(serverAddress, wide(d.Address))
	ae.Bytes(serverPort, binary.BigEndian.AppendUint16(nil, d.Port))
	ae.Uint32(serverForward, uint32(d.FwdMethod))
	ae.Uint32(serverWeight, d.Weight)
	ae.Uint32(serverUpper, d.UpperThreshold)
	ae.Uint32(serverLower, d.LowerThreshold)
	ae.Uint32(serverActive, d.ActiveConnections)
	ae.Uint32(serverInactive, d.InactiveConnections)
	ae.Uint16(serverFamily, uint16(d.Family))
	ae.Uint8(serverTunnel, uint8(d.TunnelType))
	ae.Bytes(serverTunPort, binary.BigEndian.AppendUint16(nil, d.TunnelPort))
	ae.Uint16(serverTunFlags, uint16(d.TunnelFlags))
}

func decodeDaemon(d *daemonEntry, ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch ad.Type() {
		case daemonState:
			d.state = ad.Uint32()
		case daemonInterface:
			d.device = ad.String()
		case daemonSyncID:
			d.syncID = ad.Uint32()
		case daemonMaxLen:
			d.maxLen = ad.Uint16()
		case daemonGroup, daemonGroup6:
			d.group, _ = netip.AddrFromSlice(ad.Bytes())
		case daemonPort:
			d.port = ad.Uint16()
		case daemonTTL:
			d.ttl = ad.Uint8()
		}
	}
	return ad.Err()
}

func encodeDaemonAs(ae *netlink.AttributeEncoder, d daemonEntry) {
	ae.Uint32(daemonState, d.state)
	ae.String(daemonInterface, d.device)
	ae.Uint32(daemonSyncID, d.syncID)
	ae.Uint16(daemonMaxLen, d.maxLen)
	if d.group.Is4() {
		ae.Bytes(daemonGroup, d.group.AsSlice())
	} else {
		ae.Bytes(daemonGroup6, d.group.AsSlice())
	}
	ae.Uint16(daemonPort, d.port)
	ae.Uint8(daemonTTL, d.ttl)
}

// reload lets the module be loaded again under another number; 0 unloads it.
func (f *fake) reload(family uint16) { f.list, f.daemons, f.family = nil, nil, family }

var _ socket = (*fake)(nil)
