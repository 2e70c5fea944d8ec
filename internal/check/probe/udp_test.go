package probe

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestUDP(t *testing.T) {
	echo := datagrams(t, func(b []byte, reply func([]byte)) { reply(b) })
	silent := datagrams(t, func([]byte, func([]byte)) {})
	closed := closedUDP(t)
	huge := datagrams(t, func(_ []byte, reply func([]byte)) { reply(make([]byte, 60000)) })
	flood := datagrams(t, func(_ []byte, reply func([]byte)) {
		for range 2000 {
			reply([]byte("abc"))
		}
	})
	payload := []byte{0x01, 0xab, 0xff}
	for name, tt := range map[string]struct {
		check        spec.UDPCheck
		message, err string // of the server that echoes
	}{
		"any reply":          {spec.UDPCheck{Payload: payload, RequireReply: true}, "replied with 3 bytes", ""},
		"no payload":         {spec.UDPCheck{RequireReply: true}, "replied with 0 bytes", ""},
		"the right one":      {spec.UDPCheck{Payload: payload, Reply: "01ABff"}, "replied with 3 bytes", ""},
		"its beginning":      {spec.UDPCheck{Payload: payload, Reply: "01 ab"}, "replied with 3 bytes", ""},
		"any digits":         {spec.UDPCheck{Payload: payload, Reply: "0xxBXX"}, "replied with 3 bytes", ""},
		"a wrong one":        {spec.UDPCheck{Payload: payload, Reply: "01aa"}, "", "replied 01abff, want 01aa"},
		"less than wanted":   {spec.UDPCheck{Payload: payload, Reply: "01abff00"}, "", "replied 01abff, want 01abff00"},
		"shorter than least": {spec.UDPCheck{Payload: payload, MinReply: 4}, "", "replied with 3 bytes, want at least 4"},
		"longer than most":   {spec.UDPCheck{Payload: payload, MaxReply: 2}, "", "replied with 3 bytes, want at most 2"},
	} {
		t.Run(name, func(t *testing.T) {
			c := spec.Check{Type: "udp", Timeout: 5 * time.Second, UDP: &tt.check}
			compare(t, see(t, c, echo), tt.message, tt.err)
			c.Timeout = timeout
			compare(t, see(t, c, closed), "", "read: connection refused")
			if tt.check.RequireReply || tt.check.Reply != "" || tt.check.MinReply > 0 {
				compare(t, see(t, c, silent), "", "timed out after 300ms")
			}
		})
	}
	quiet := spec.Check{Type: "udp", Timeout: timeout, DegradedAfter: time.Millisecond, UDP: &spec.UDPCheck{Payload: payload}}
	out := see(t, quiet, silent)
	compare(t, out, "not refused within 300ms", "")
	if out.Degraded {
		t.Error("silence is taken for a slow answer")
	}
	compare(t, see(t, spec.Check{Type: "udp", Timeout: 5 * time.Second}, huge), "replied with 60000 bytes", "")
	compare(t, see(t, spec.Check{Type: "udp", Timeout: 5 * time.Second}, flood), "replied with 3 bytes", "")
}

func FuzzPattern(f *testing.F) {
	f.Add("01xf", []byte{1, 0x2f})
	f.Add("x", []byte{})
	f.Add("0 1x X", []byte{1})
	f.Fuzz(func(t *testing.T, text string, b []byte) {
		if p, err := parsePattern(hex.EncodeToString(b)); err != nil || !p.matches(b) || !p.matches(append(bytes.Clone(b), 0)) {
			t.Errorf("%x does not match itself, %v", b, err)
		}
		p, err := parsePattern(text)
		if err != nil {
			return
		}
		// The pattern with zeros for x is a reply that matches it.
		like, err := hex.DecodeString(strings.NewReplacer("x", "0", "X", "0", " ", "").Replace(text))
		if err != nil || !p.matches(like) {
			t.Errorf("%q does not match %x, %v", text, like, err)
		}
		if len(like) > 0 && p.matches(like[1:]) && len(p)/2 >= len(like) {
			t.Errorf("%q matches %x, which is shorter", text, like[1:])
		}
	})
}
