package vrrpd_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// frames is a packet socket on a node's eth0.
type frames struct {
	t  *testing.T
	fd int
}

func listenFrames(t *testing.T, n *vrrpdtest.Node) *frames {
	t.Helper()
	f := &frames{t: t}
	n.NS.Do(func() {
		var err error
		if f.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}))); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { _ = unix.Close(f.fd) })
	tv := unix.NsecToTimeval(int64(100 * time.Millisecond))
	if err := unix.SetsockoptTimeval(f.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	return f
}

// until hands frames over until done, but not for ever.
func (f *frames) until(what string, done func(frame []byte) bool) {
	f.t.Helper()
	b := make([]byte, 2048)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		n, err := unix.Read(f.fd, b)
		if err == nil && n >= 42 && done(bytes.Clone(b[:n])) {
			return
		}
	}
	f.t.Fatalf("waited in vain for %s", what)
}

// isAdvert reports whether a frame carries VRRP.
func isAdvert(b []byte) bool {
	return b[12] == 0x08 && b[13] == 0 && b[23] == vrrp.Protocol || b[12] == 0x86 && b[20] == vrrp.Protocol
}

// announces is the family of a frame that announces a virtual address, or "".
func announces(b []byte) string {
	switch {
	case b[12] == 0x08 && b[13] == 0x06 && bytes.Equal(b[28:32], []byte{10, 9, 0, 100}):
		return "IPv4"
	case b[12] == 0x86 && len(b) >= 78 && b[20] == unix.IPPROTO_ICMPV6 && b[54] == 136 && b[77] == 0 && b[76] == 1:
		return "IPv6" // the target ends in :100
	}
	return ""
}

// TestAdvertsOnTheWire has RFC 9568, sections 5.1 and 7.2, as the frames that others see.
func TestAdvertsOnTheWire(t *testing.T) {
	for _, vmac := range []bool{true, false} {
		t.Run(map[bool]string{true: "virtual MAC", false: "physical MAC"}[vmac], func(t *testing.T) {
			a, b, _ := vrrpdtest.Pair(t)
			f := listenFrames(t, b)
			physical := strings.Fields(a.NS.Run("ip", "-br", "link", "show", "eth0"))[2]
			four := a.Router(100, 200*time.Millisecond, b.Addr)
			four.VirtualMAC = vmac
			six := four
			six.Family, six.Source, six.Addresses, six.Peers, six.OpenPeers = resource.IPv6, netip.Addr{}, "fe80::100/64,2001:db8::100/64", "", true
			a.Start()
			a.Do(channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{four, six}}})
			linkLocal := func(src []byte) bool {
				ip, _ := netip.AddrFromSlice(src)
				return strings.Contains(a.NS.Run("ip", "-6", "-o", "addr", "show", "dev", "eth0", "to", ip.String()), "fe80::")
			}
			check := func(frame []byte) (family string, priority byte) {
				t.Helper()
				ip, want := frame[14:], []string{"01005e000012", "00005e000107"}
				var packet vrrp.Advert
				e, _, reject := vrrp.Open(ip, &packet)
				if family = "IPv4"; e.IPv6 {
					family, want = "IPv6", []string{"333300000012", "00005e000207"}
				}
				if !vmac {
					want[1] = strings.ReplaceAll(physical, ":", "")
				}
				if got := []string{fmt.Sprintf("%x", frame[:6]), fmt.Sprintf("%x", frame[6:12])}; got[0] != want[0] || got[1] != want[1] {
					t.Errorf("%s: frame from %s to %s, want from %s to %s", family, got[1], got[0], want[1], want[0])
				}
				own := e.From.String() == a.Addr || e.IPv6 && linkLocal(e.From.AsSlice())
				group := e.To == vrrp.Multicast4 || e.To == vrrp.Multicast6
				if reject != vrrp.Admitted || !own || !group || e.TTL != 255 || packet.Version != 3 || packet.VRID != 7 || packet.Interval != 200*time.Millisecond {
					t.Errorf("%s: %v, %+v, %+v", family, reject, e, packet)
				}
				if e.IPv6 && packet.Addresses[0] != netip.MustParseAddr("fe80::100") {
					t.Errorf("the first address is %v", packet.Addresses[0])
				}
				return family, packet.Priority
			}
			seen := map[string]int{}
			f.until("three adverts of each family", func(frame []byte) bool {
				if isAdvert(frame) {
					family, priority := check(frame)
					if seen[family]++; priority != 100 {
						t.Errorf("%s: priority %d, want 100", family, priority)
					}
				} else if family := announces(frame); family != "" && seen[family] == 0 {
					t.Errorf("%s: announced before the first advert: %x", family, frame)
				}
				return seen["IPv4"] >= 3 && seen["IPv6"] >= 3
			})
			a.Signal(syscall.SIGTERM)
			resigned := map[string]bool{}
			f.until("resignations", func(frame []byte) bool {
				if isAdvert(frame) {
					if family, priority := check(frame); priority == 0 {
						resigned[family] = true
					}
				}
				return len(resigned) == 2
			})
		})
	}
}
