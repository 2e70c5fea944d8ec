package announce_test

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/hareconcile/hareconcile/internal/vrrpd/announce"
)

var mac = [6]byte{0, 0, 0x5e, 0, 1, 7}

func TestFrames(t *testing.T) {
	for _, tt := range []struct {
		name   string
		target announce.Target
		want   string
	}{
		{
			"ARP", announce.Target{MAC: mac, Address: netip.MustParseAddr("192.0.2.1")},
			"ffffffffffff" + "00005e000107" + "0806" + "0001080006040001" + "00005e000107" + "c0000201" + "00005e000107" + "c0000201",
		},
		{
			"advertisement of a router", announce.Target{MAC: mac, Address: netip.MustParseAddr("2001:db8::1"), Router: true},
			"333300000001" + "00005e000107" + "86dd" + "6000000000203aff" + "20010db8000000000000000000000001" + "ff020000000000000000000000000001" +
				"88001c24" + "a0000000" + "20010db8000000000000000000000001" + "020100005e000107",
		},
		{
			"advertisement of a host", announce.Target{MAC: mac, Address: netip.MustParseAddr("fe80::1")},
			"333300000001" + "00005e000107" + "86dd" + "6000000000203aff" + "fe800000000000000000000000000001" + "ff020000000000000000000000000001" +
				"8800fa94" + "20000000" + "fe800000000000000000000000000001" + "020100005e000107",
		},
	} {
		if got := hex.EncodeToString(announce.AppendFrame(nil, tt.target)); got != tt.want {
			t.Errorf("%s: AppendFrame = %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := announce.AppendFrame([]byte("x"), announce.Target{MAC: mac, Address: netip.MustParseAddr("192.0.2.1")}); got[0] != 'x' || len(got) != 43 {
		t.Errorf("AppendFrame after a byte = %x", got)
	}
}

// TestFramesAreKeepalived compares with what keepalived 2.2.7 sent. It has the
// broadcast address as an ARP target's hardware address, where RFC 9568 wants our own.
func TestFramesAreKeepalived(t *testing.T) {
	ka := [6]byte{0xe6, 0x37, 0x61, 0x5f, 0x1f, 0xfe}
	for _, tt := range []struct{ address, want string }{
		{"10.9.0.102", "ffffffffffffe637615f1ffe08060001080006040001e637615f1ffe0a090066e637615f1ffe0a090066"},
		{
			"fe80::104", "333300000001e637615f1ffe86dd6000000000203afffe800000000000000000000000000104ff0200000000000000000000000000018800f000" +
				"20000000fe8000000000000000000000000001040201e637615f1ffe",
		},
		{
			"2001:db8:9::104", "333300000001e637615f1ffe86dd6000000000203aff20010db8000900000000000000000104ff0200000000000000000000000000018800917e" +
				"2000000020010db80009000000000000000001040201e637615f1ffe",
		},
	} {
		got := hex.EncodeToString(announce.AppendFrame(nil, announce.Target{MAC: ka, Address: netip.MustParseAddr(tt.address)}))
		if got != tt.want {
			t.Errorf("AppendFrame of %s = %s, want %s", tt.address, got, tt.want)
		}
	}
}
