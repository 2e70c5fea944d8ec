package channel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestFrameRoundTrip(t *testing.T) {
	want := Request{Version: Version, Config: &Config{Instances: []resource.VRRPInstance{{Interface: "eth0", VRID: 7}}}}
	var buf bytes.Buffer
	if err := WriteFrame(&buf, want); err != nil {
		t.Fatal(err)
	}
	var got Request
	if err := ReadFrame(&buf, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("round trip (-want +got):\n%s", d)
	}
}

func TestReadFrameRefuses(t *testing.T) {
	frame := func(n uint32, body string) string {
		return string(binary.BigEndian.AppendUint32(nil, n)) + body
	}
	tests := []struct {
		name, in string
		want     error
	}{
		{"an end before the first byte is io.EOF", "", io.EOF},
		{"an end within the length", "\x00\x00", io.ErrUnexpectedEOF},
		{"a length of zero", frame(0, ""), ErrFrame},
		{"a length above the limit", frame(MaxFrame+1, "{}"), ErrFrame},
		{"a claim of 16 MiB with two bytes behind it", frame(MaxFrame, "{}"), io.ErrUnexpectedEOF},
		{"bytes that are not JSON", frame(3, "{x}"), ErrFrame},
		{"a list where an object belongs", frame(2, "[]"), ErrFrame},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			err := ReadFrame(strings.NewReader(tt.in), &r)
			if !errors.Is(err, tt.want) {
				t.Errorf("ReadFrame = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestRequestCheck(t *testing.T) {
	tests := []struct {
		name string
		r    Request
		ok   bool
	}{
		{"a query of our version", Request{Version: Version, Query: &Query{}}, true},
		{"no version", Request{Query: &Query{}}, false},
		{"a later version", Request{Version: Version + 1, Query: &Query{}}, false},
		{"nothing asked", Request{Version: Version}, false},
		{"a hold", Request{Version: Version, Resign: &Resign{Hold: MaxHold}}, true},
		{"a hold that is too long", Request{Version: Version, Resign: &Resign{Hold: MaxHold + 1}}, false},
		{"a hold in the past", Request{Version: Version, Resign: &Resign{Hold: -1}}, false},
		{"a release", Request{Version: Version, Release: &Release{}}, true},
		{"two things asked", Request{Version: Version, Query: &Query{}, Resign: &Resign{}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.r.check(); (err == nil) != tt.ok {
				t.Errorf("check() = %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, s := range []string{
		"\x00\x00\x00\x02{}", "\x00\x00\x00\x00", "\xff\xff\xff\xff{}", "\x00\x00\x00\x1b{\"version\":1,\"query\":{}}   ",
		"\x00\x00\x00\x39{\"version\":1,\"config\":{\"instances\":[{\"addresses\":[\"\"]}]}}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		if err := ReadFrame(bytes.NewReader(b), &r); err != nil {
			return
		}
		var buf bytes.Buffer
		if err := WriteFrame(&buf, r); err != nil {
			return // a value that JSON reads and does not write, such as a duration beyond range
		}
		var again Request
		if err := ReadFrame(&buf, &again); err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
	})
}
