package track

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

// reply4 is an IPv4 packet with the reply to e.
func reply4(e echo, from string) []byte {
	a := netip.MustParseAddr(from).As4()
	b := []byte{0x45, 0, 0, ip4Header + echoLen, 0, 0, 0, 0, 64, 1, 0, 0, a[0], a[1], a[2], a[3], 10, 0, 0, 1}
	b = e.appendRequest(b, false)
	m := b[ip4Header:]
	m[0], m[2], m[3] = echoReply4, 0, 0
	binary.BigEndian.PutUint16(m[2:], ^sum(m))
	return b
}

var sample = echo{id: 0x1234, seq: 7, token: [tokenLen]byte{1, 2, 3}}

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
		"a request":             func([]byte) []byte { return sample.appendRequest(append([]byte{}, good[:ip4Header]...), false) },
	} {
		if _, _, ok := parseReply4(change(bytes.Clone(good))); ok {
			t.Errorf("%s is taken for a reply", name)
		}
	}
}

// TestStrangersCannotAnswer: id, sequence number, token and source must be right.
func TestStrangersCannotAnswer(t *testing.T) {
	for name, change := range map[string]func(e *echo, from *string){
		"another id":     func(e *echo, _ *string) { e.id++ },
		"another number": func(e *echo, _ *string) { e.seq++ },
		"another token":  func(e *echo, _ *string) { e.token[0]++ },
		"another source": func(_ *echo, from *string) { *from = "10.0.0.3" },
		"nothing":        func(*echo, *string) {},
	} {
		var got []Result
		p := newPings(&loop{report: func(r Result) { got = append(got, r) }})
		x := &pinged{target: netip.MustParseAddr("10.0.0.2"), teller: newTeller("ping/10.0.0.2", p.report), asked: true, request: sample}
		p.out[sample.seq] = x
		e, from := sample, "10.0.0.2"
		change(&e, &from)
		p.answered(e, netip.MustParseAddr(from))
		p.answered(e, netip.MustParseAddr(from)) // a second answer is none
		if name == "nothing" != (len(got) == 1) {
			t.Errorf("%s is wrong: reported %v", name, got)
		}
	}
}

func TestStreak(t *testing.T) {
	for _, tt := range []struct {
		answers    string // + and -
		rise, fall int
		want       string // u, d and ? after each
	}{
		{"+", 1, 1, "u"}, {"-", 1, 1, "d"}, {"+-+-", 1, 1, "udud"},
		{"++--", 2, 2, "?uud"}, {"+-+-", 2, 2, "????"},
		{"--++-+--", 2, 2, "?dduuuud"}, {"---+", 0, 3, "??du"},
	} {
		var s streak
		got := ""
		for _, a := range tt.answers {
			got += map[string]string{Up: "u", Down: "d", Unknown: "?"}[s.observe(a == '+', tt.rise, tt.fall)]
		}
		if got != tt.want {
			t.Errorf("%s with rise %d, fall %d: %s, want %s", tt.answers, tt.rise, tt.fall, got, tt.want)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add([]byte{})
	f.Add(reply4(sample, "10.0.0.2"))
	f.Add(reply4(echo{}, "255.255.255.255"))
	f.Add(sample.appendRequest(nil, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, from, ok := parseReply4(b); ok {
			back, again, ok := parseReply4(reply4(e, from.String()))
			if !ok || back != e || again != from {
				t.Errorf("%+v from %v comes back as %+v from %v, %v", e, from, back, again, ok)
			}
		}
		if e, ok := parseReply6(b); ok {
			m := e.appendRequest(nil, true)
			m[0] = echoReply6
			if back, ok := parseReply6(m); !ok || back != e {
				t.Errorf("%+v comes back as %+v, %v", e, back, ok)
			}
		}
	})
}
