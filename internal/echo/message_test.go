package echo

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

// reply4 is an IPv4 packet with the reply to e.
func reply4(e Message, from string) []byte {
	a := netip.MustParseAddr(from).As4()
	b := []byte{0x45, 0, 0, ip4Header + messageLen, 0, 0, 0, 0, 64, 1, 0, 0, a[0], a[1], a[2], a[3], 10, 0, 0, 1}
	b = e.AppendRequest(b, false)
	m := b[ip4Header:]
	m[0], m[2], m[3] = echoReply4, 0, 0
	binary.BigEndian.PutUint16(m[2:], ^sum(m))
	return b
}

var sample = Message{ID: 0x1234, Seq: 7, Token: [TokenLen]byte{1, 2, 3}}

func TestParseReply(t *testing.T) {
	good := reply4(sample, "10.0.0.2")
	e, from, ok := parseReply4(good)
	if !ok || e != sample || from != netip.MustParseAddr("10.0.0.2") {
		t.Fatalf("parseReply4 = %+v, %v, %v", e, from, ok)
	}
	for name, change := range map[string]func(b []byte) []byte{
		"nothing":               func([]byte) []byte { return nil },
		"a header alone":        func(b []byte) []byte { return b[:ip4Header] },
		"one octet less":        func(b []byte) []byte { return b[:len(b)-1] },
		"version 6":             func(b []byte) []byte { b[0] = 0x65; return b },
		"a header of 16 octets": func(b []byte) []byte { b[0] = 0x44; return b },
		"a header beyond it":    func(b []byte) []byte { b[0] = 0x4f; return b[:40] },
		"UDP":                   func(b []byte) []byte { b[9] = 17; return b },
		"a wrong checksum":      func(b []byte) []byte { b[len(b)-1]++; return b },
		"a request":             func([]byte) []byte { return sample.AppendRequest(append([]byte{}, good[:ip4Header]...), false) },
	} {
		if _, _, ok := parseReply4(change(bytes.Clone(good))); ok {
			t.Errorf("%s is taken for a reply", name)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add([]byte{})
	f.Add(reply4(sample, "10.0.0.2"))
	f.Add(reply4(Message{}, "255.255.255.255"))
	f.Add(sample.AppendRequest(nil, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, from, ok := parseReply4(b); ok {
			back, again, ok := parseReply4(reply4(e, from.String()))
			if !ok || back != e || again != from {
				t.Errorf("%+v from %v comes back as %+v from %v, %v", e, from, back, again, ok)
			}
		}
		var e, back Message
		if e.parse(b, echoReply6) {
			m := e.AppendRequest(nil, true)
			m[0] = echoReply6
			if !back.parse(m, echoReply6) || back != e {
				t.Errorf("%+v comes back as %+v", e, back)
			}
		}
	})
}
