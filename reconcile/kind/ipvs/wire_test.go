package ipvs

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"

	"github.com/cloudflare/ipvs"
	"github.com/cloudflare/ipvs/netmask"
	"github.com/mdlayher/netlink"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestRoundTrip takes objects through our encoder, the library's decoder and encoder, and
// our decoder.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		s := anyService(r, pick(r, kinds()...))
		v := anyServer(r, s, true)
		e, err := kernelService(s)
		if err != nil {
			t.Fatal(err)
		}
		d, err := kernelServer(v)
		if err != nil {
			t.Fatal(err)
		}
		f := &fake{}
		tab := &table{dial: f.dial}
		refused, err := tab.change(2, func(b []byte, i int) (uint8, []byte) {
			if i == 0 {
				return cmdNewService, appendService(b, e, true)
			}
			return cmdNewServer, appendServer(appendService(b, kernelKey(s.ServiceKey), false), d)
		})
		if err != nil || len(refused) > 0 {
			t.Fatalf("change = %v, %v", refused, err)
		}
		if got, err := tab.service(s.ServiceKey); got != s || err != nil {
			t.Fatalf("service = %+v, %v, want %+v", got, err, s)
		}
		if got, err := tab.server(v); got != v || err != nil {
			t.Fatalf("server = %+v, %v, want %+v", got, err, v)
		}
	}
}

// seeds are answers as the fake makes them.
func seeds() [][]byte {
	s := &fakeService{Service: ipvs.Service{Address: netip.MustParseAddr("192.0.2.1"), Port: 80, Family: ipvs.INET, Protocol: ipvs.TCP, Scheduler: "wrr", Netmask: netmask.MaskFrom(24, 32)}, engine: "sip"}
	e, _ := kernelService(service("tcp [2001:db8::1]:80", "rr"))
	six := &fakeService{Service: e.Service}
	mark := &fakeService{Service: ipvs.Service{FWMark: 7, Family: ipvs.INET6, Netmask: e.Netmask}}
	d := ipvs.DestinationExtended{Destination: ipvs.Destination{Address: netip.MustParseAddr("10.0.0.1"), Family: ipvs.INET, FwdMethod: ipvs.Tunnel, TunnelType: ipvs.GUE}}
	sync := daemonEntry{state: stateBackup, device: "eth0", group: netip.MustParseAddr("ff05::1"), maxLen: 1452}
	return [][]byte{
		encodeNested(attrService, s.encode), encodeNested(attrService, six.encode), encodeNested(attrService, mark.encode),
		encodeNested(attrServer, func(ae *netlink.AttributeEncoder) { encodeServerAs(ae, d) }),
		encodeNested(attrDaemon, func(ae *netlink.AttributeEncoder) { encodeDaemonAs(ae, sync) }),
		{4, 0, 1, 0}, {3, 0, 1, 0}, {255, 255, 1, 0}, {12, 0, 1, 0, 8, 0, 1, 0, 1, 2, 3},
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r reader
		if s, err := r.service(b); err == nil {
			if v, ok := describeService(s); ok {
				_ = v.ID().String()
				if again, err := kernelService(v); err == nil { // what a file can ask for
					if s.Flags &^= ipvs.ServiceHashed; s.Flags != again.Flags || s.Scheduler != again.Scheduler || s.engine != again.engine ||
						s.Flags&ipvs.ServicePersistent != 0 && (s.Timeout != again.Timeout || s.Netmask.Bits() != again.Netmask.Bits()) {
						t.Fatalf("%+v is described as %+v, which makes %+v", s, v, again)
					}
					back, err := r.service(appendService(nil, again, true))
					if got, _ := describeService(back); err != nil || got != v {
						t.Fatalf("round trip of %+v = %+v, %v", v, got, err)
					}
				}
			}
		}
		if d, err := r.server(b, ipvs.INET); err == nil {
			v := describeServer(web.ServiceKey, d)
			if again, err := kernelServer(v); err == nil {
				if d.FwdMethod != again.FwdMethod && v.Forward != resource.ForwardLocal ||
					d.FwdMethod == ipvs.Tunnel && (d.TunnelType != again.TunnelType || d.TunnelFlags != again.TunnelFlags || d.TunnelPort != again.TunnelPort) {
					t.Fatalf("%+v is described as %+v, which makes %+v", d, v, again)
				}
				back, err := r.server(appendServer(nil, again), ipvs.INET)
				if got := describeServer(web.ServiceKey, back); err != nil || got != v {
					t.Fatalf("round trip of %+v = %+v, %v", v, got, err)
				}
			}
		}
		if d, err := r.daemon(b); err == nil {
			_ = describeDaemon(d, resource.IPVSSync{})
		}
	})
}

// bytesSocket answers every question with the same bytes and then with an overrun.
type bytesSocket struct {
	answer []byte
	asked  bool
}

func (s *bytesSocket) Send([]byte) error { s.asked = true; return nil }
func (s *bytesSocket) Close() error      { return nil }
func (s *bytesSocket) Receive(b []byte) (int, error) {
	if !s.asked {
		return 0, syscall.ENOBUFS
	}
	s.asked = false
	return copy(b, s.answer), nil
}

func FuzzReceive(f *testing.F) {
	for i, body := range seeds() {
		var b []byte
		for _, typ := range []uint16{25, uint16(netlink.Done), uint16(netlink.Error)}[i%3:] {
			at := len(b)
			b = binary.NativeEndian.AppendUint32(b, 0)
			b = binary.NativeEndian.AppendUint16(b, typ)
			b = append(b, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0)
			b = append(b, body...)
			binary.NativeEndian.PutUint32(b[at:], uint32(len(b)-at))
			b = append(b, make([]byte, (4-len(b)%4)%4)...)
		}
		f.Add(b)
	}
	f.Add(bytes.Repeat([]byte{16, 0, 0, 0}, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		dial := func() (socket, uint16, error) { return &bytesSocket{answer: b}, 25, nil }
		for _, ask := range []func(*table) error{
			func(t *table) error { _, err := t.services(); return err },
			func(t *table) error { _, err := t.servers(web, nil); return err },
			func(t *table) error { _, err := t.daemons(); return err },
			func(t *table) error { _, err := t.service(web.ServiceKey); return err },
			func(t *table) error {
				_, err := t.change(3, func(b []byte, _ int) (uint8, []byte) { return cmdDelService, b })
				return err
			},
		} {
			_ = ask(&table{dial: dial})
		}
	})
}
