package vrrp_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// newAuth signs with the draft's key and a window of 5 seconds.
func newAuth(t testing.TB, mode string) *vrrp.Auth {
	t.Helper()
	return newAuthFor(t, vrrp.AuthConfig{Mode: mode, Keys: map[uint8][]byte{1: draftKey}, Active: 1, Interval: time.Second})
}

func newAuthFor(t testing.TB, cfg vrrp.AuthConfig) *vrrp.Auth {
	t.Helper()
	a, err := vrrp.NewAuth(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A signedNode is one end of a signed router of two unicast nodes. It has its own clock.
type signedNode struct {
	auth   *vrrp.Auth
	letter *vrrp.Letter
	guard  vrrp.Guard
	clock  time.Time
}

func newSignedNode(t testing.TB, self, peer netip.Addr, auth *vrrp.Auth) *signedNode {
	t.Helper()
	a := advert4
	if self.Is6() {
		a = advert6
	}
	l, err := vrrp.NewLetter(&a, self, peer, vrrp.FormNone, auth, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &signedNode{
		auth: auth, letter: l, clock: draftTime,
		guard: vrrp.Guard{Self: self, Peers: []netip.Addr{peer}, Unicast: true, Interval: time.Second, Auth: auth},
	}
}

func (n *signedNode) send() []byte { return slices.Clone(n.letter.Packet(100, n.clock)) }

func (n *signedNode) hear(packet []byte) vrrp.Reject {
	var a vrrp.Advert
	e, form, reject := vrrp.Open(packet, &a)
	if reject != vrrp.Admitted {
		return reject
	}
	return n.guard.Judge(&a, e, form, n.clock)
}

func pair(t testing.TB, mode1, mode2 string) (n1, n2 *signedNode) {
	auth := func(mode string) *vrrp.Auth {
		if mode == "" {
			return nil
		}
		return newAuth(t, mode)
	}
	return newSignedNode(t, node1, node2, auth(mode1)), newSignedNode(t, node2, node1, auth(mode2))
}

func TestNewAuthRefuses(t *testing.T) {
	good := vrrp.AuthConfig{Mode: resource.AuthEnforce, Keys: map[uint8][]byte{1: draftKey}, Active: 1}
	for name, change := range map[string]func(*vrrp.AuthConfig){
		"no mode":              func(c *vrrp.AuthConfig) { c.Mode = "" },
		"no keys":              func(c *vrrp.AuthConfig) { c.Keys = nil },
		"key id 0":             func(c *vrrp.AuthConfig) { c.Keys = map[uint8][]byte{0: draftKey, 1: draftKey} },
		"a key of 31 bytes":    func(c *vrrp.AuthConfig) { c.Keys = map[uint8][]byte{1: draftKey[:31]} },
		"a key of 65 bytes":    func(c *vrrp.AuthConfig) { c.Keys = map[uint8][]byte{1: make([]byte, 65)} },
		"an unknown active":    func(c *vrrp.AuthConfig) { c.Active = 2 },
		"half a second":        func(c *vrrp.AuthConfig) { c.Window = time.Second / 2 },
		"a window of too long": func(c *vrrp.AuthConfig) { c.Window = 301 * time.Second },
	} {
		c := good
		change(&c)
		if _, err := vrrp.NewAuth(c); !errors.Is(err, vrrp.ErrAuth) {
			t.Errorf("%s: NewAuth = %v, want ErrAuth", name, err)
		}
	}
}

func TestParseKey(t *testing.T) {
	const hexKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	for text, want := range map[string][]byte{
		"hex:" + hexKey: draftKey, strings.ToUpper(hexKey): []byte(strings.ToUpper(hexKey)), strings.Repeat("k", 32): []byte(strings.Repeat("k", 32)),
		"": nil, "hex:": nil, "hex:" + hexKey[2:]: nil, "hex:" + hexKey + "0": nil, "hex:zz" + hexKey: nil, strings.Repeat("k", 31): nil, strings.Repeat("k", 65): nil,
	} {
		got, err := vrrp.ParseKey(text)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) || err != nil && !errors.Is(err, vrrp.ErrAuth) {
			t.Errorf("ParseKey(%q) = %x, %v, want %x", text, got, err, want)
		}
		if err != nil && len(text) > 20 && strings.Contains(err.Error(), text[10:20]) {
			t.Errorf("ParseKey(%q) tells the key: %v", text, err)
		}
	}
}

func TestDraftVectorsAreAdmitted(t *testing.T) {
	for _, v := range vectors {
		if !v.signed {
			continue
		}
		g := vrrp.Guard{Self: netip.MustParseAddr(v.to), Peers: ips(v.from), Unicast: true, Interval: time.Second, Auth: newAuth(t, resource.AuthEnforce)}
		var a vrrp.Advert
		e, form, _ := vrrp.Open(v.packet(t), &a)
		if got := g.Judge(&a, e, form, draftTime); got != vrrp.Admitted {
			t.Errorf("%s: Judge = %v", v.name, got)
		}
		if got := g.Judge(&a, e, form, draftTime); got != vrrp.RejectReplay {
			t.Errorf("%s again: Judge = %v, want %v", v.name, got, vrrp.RejectReplay)
		}
	}
}

// TestModes has who hears whom in each pair of modes.
func TestModes(t *testing.T) {
	const none, receive, permissive, enforce = "", resource.AuthReceiveOnly, resource.AuthPermissive, resource.AuthEnforce
	for _, tt := range []struct {
		sender, hearer string
		want           vrrp.Reject
	}{
		{none, none, vrrp.Admitted}, {none, receive, vrrp.Admitted}, {none, permissive, vrrp.Admitted}, {none, enforce, vrrp.RejectUnsigned},
		{receive, none, vrrp.Admitted}, {receive, receive, vrrp.Admitted}, {receive, permissive, vrrp.Admitted}, {receive, enforce, vrrp.RejectUnsigned},
		{permissive, none, vrrp.RejectSigned}, {permissive, receive, vrrp.Admitted}, {permissive, permissive, vrrp.Admitted}, {permissive, enforce, vrrp.Admitted},
		{enforce, none, vrrp.RejectSigned}, {enforce, receive, vrrp.Admitted}, {enforce, permissive, vrrp.Admitted}, {enforce, enforce, vrrp.Admitted},
	} {
		n1, n2 := pair(t, tt.sender, tt.hearer)
		if got := n2.hear(n1.send()); got != tt.want {
			t.Errorf("%q hears %q: %v, want %v", tt.hearer, tt.sender, got, tt.want)
		}
	}
}

// TestRolloutLosesNoAdvert takes two nodes through the modes, one after the other.
func TestRolloutLosesNoAdvert(t *testing.T) {
	modes := []string{"", resource.AuthReceiveOnly, resource.AuthPermissive, resource.AuthEnforce}
	clock := draftTime
	for i := 1; i < len(modes); i++ {
		for _, now := range [][2]string{{modes[i-1], modes[i-1]}, {modes[i], modes[i-1]}, {modes[i], modes[i]}} {
			n1, n2 := pair(t, now[0], now[1])
			for range 3 {
				clock = clock.Add(time.Second)
				n1.clock, n2.clock = clock, clock
				if r1, r2 := n2.hear(n1.send()), n1.hear(n2.send()); r1 != vrrp.Admitted || r2 != vrrp.Admitted {
					t.Errorf("%q and %q: %v, %v", now[0], now[1], r1, r2)
				}
			}
		}
	}
}

// TestEverySignedBitCounts flips each bit of a signed message and mends the checksum.
func TestEverySignedBitCounts(t *testing.T) {
	for _, addrs := range [][2]netip.Addr{{node1, node2}, {six1, six2}} {
		n1 := newSignedNode(t, addrs[0], addrs[1], newAuth(t, resource.AuthEnforce))
		n2 := newSignedNode(t, addrs[1], addrs[0], newAuth(t, resource.AuthEnforce))
		good := n1.send()
		head := len(good) - len(unwrapped(good))
		for bit := range (len(good) - head) * 8 {
			if bit/8 == 6 || bit/8 == 7 {
				continue // the checksum is not signed: over IPv6 the kernel writes it
			}
			b := slices.Clone(good)
			b[head+bit/8] ^= 0x80 >> (bit % 8)
			mend(b, head, addrs[0], addrs[1])
			if got := n2.hear(b); got == vrrp.Admitted {
				t.Errorf("bit %d of the message from %v flipped: admitted", bit, addrs[0])
			}
		}
		if got := n2.hear(good); got != vrrp.Admitted {
			t.Errorf("the packet itself after all that: %v", got)
		}
	}
}

// mend computes the checksum of a signed message anew.
func mend(b []byte, head int, from, to netip.Addr) {
	msg := b[head:]
	if from.Is4() {
		msg = msg[:len(msg)-28]
	}
	sumUp(msg, from, to)
}

// sumUp computes the checksum of a message anew.
func sumUp(msg []byte, from, to netip.Addr) {
	msg[6], msg[7] = 0, 0
	sum, parts := uint32(112+len(msg)), [][]byte{from.AsSlice(), to.AsSlice(), msg}
	if msg[0]>>4 == 2 {
		sum, parts = 0, parts[2:]
	}
	for _, part := range parts {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(part[i])<<8 | uint32(part[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	msg[6], msg[7] = byte(^sum>>8), byte(^sum)
}

func TestSignatureBindsTheSender(t *testing.T) {
	n1, n2 := pair(t, resource.AuthEnforce, resource.AuthEnforce)
	b := n1.send()
	copy(b[12:], node3.AsSlice())
	mend(b, 20, node3, node2)
	n2.guard.Peers = append(n2.guard.Peers, node3)
	if got := n2.hear(b); got != vrrp.RejectHMAC {
		t.Errorf("a signature under another source: %v, want %v", got, vrrp.RejectHMAC)
	}
	b = n1.send()
	copy(b[16:], node3.AsSlice())
	mend(b, 20, node1, node3)
	n3 := newSignedNode(t, node3, node1, newAuth(t, resource.AuthEnforce))
	if got := n3.hear(b); got != vrrp.Admitted {
		t.Errorf("a signature under another destination: %v, want it admitted", got)
	}
}

func TestTrailers(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(trailer []byte)
		want   vrrp.Reject
	}{
		"another type":   {func(b []byte) { b[0] = 2 }, vrrp.RejectTrailer},
		"reserved bits":  {func(b []byte) { b[3] = 1 }, vrrp.RejectTrailer},
		"an unknown key": {func(b []byte) { b[1] = 2 }, vrrp.RejectKey},
		"an old time":    {func(b []byte) { b[7] -= 6 }, vrrp.RejectStale},
		"a time to come": {func(b []byte) { b[7] += 6 }, vrrp.RejectStale},
		"another time":   {func(b []byte) { b[7]++ }, vrrp.RejectHMAC},
		"another code":   {func(b []byte) { b[27]++ }, vrrp.RejectHMAC},
	} {
		n1, n2 := pair(t, resource.AuthPermissive, resource.AuthPermissive)
		n1.clock = n1.clock.Add(10 * time.Second)
		n2.clock = n1.clock
		b := n1.send()
		tt.change(b[len(b)-28:])
		mend(b, 20, node1, node2)
		if got := n2.hear(b); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestKeysRotateWithoutLoss(t *testing.T) {
	next := slices.Clone(draftKey)
	next[0] = 0xff
	both := map[uint8][]byte{1: draftKey, 2: next}
	steps := []vrrp.AuthConfig{
		{Keys: map[uint8][]byte{1: draftKey}, Active: 1}, {Keys: both, Active: 1}, {Keys: both, Active: 2}, {Keys: map[uint8][]byte{2: next}, Active: 2},
	}
	for i := 1; i < len(steps); i++ {
		for _, now := range [][2]int{{i, i - 1}, {i, i}} {
			c1, c2 := steps[now[0]], steps[now[1]]
			c1.Mode, c2.Mode = resource.AuthEnforce, resource.AuthEnforce
			n1, n2 := newSignedNode(t, node1, node2, newAuthFor(t, c1)), newSignedNode(t, node2, node1, newAuthFor(t, c2))
			if r1, r2 := n2.hear(n1.send()), n1.hear(n2.send()); r1 != vrrp.Admitted || r2 != vrrp.Admitted {
				t.Errorf("steps %v: %v, %v", now, r1, r2)
			}
		}
	}
}
