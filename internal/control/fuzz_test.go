package control

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func FuzzSnapshot(f *testing.F) {
	f.Add(`{"format_version":"1.0","node":"rs1","owned":[{"kind":"address","name":"192.0.2.1","value":{"prefix":"192.0.2.1/32","device":"lo"}}]}`)
	f.Add(`{"owned":[{"kind":"sysctl","name":"net/x","value":{"key":"net/x","value":"1"}}],"foreign":null,"facts":{"servers":{"a/b":"up"}}}`)
	f.Add(`{"owned":[{"kind":"nonsense","value":{}}]}`)
	f.Add(`{"owned":[{"kind":"address","value":null}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var s Snapshot
		if json.Unmarshal([]byte(text), &s) != nil {
			return
		}
		live, err := s.Live()
		if err != nil {
			return
		}
		again, err := NewSnapshot(s.Node, time.Time{}, live, s.Facts)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", live, err)
		}
		back, err := again.Live()
		if err != nil {
			t.Fatalf("%+v was written and cannot be read: %v", again, err)
		}
		if d := cmp.Diff(live, back, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Errorf("round trip (-before +after):\n%s", d)
		}
	})
}

func FuzzApplyRequest(f *testing.F) {
	good, err := json.Marshal(ApplyRequest{Plan: plan()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good))
	f.Add(`{"plan":null}`)
	f.Add(`{"plan":{"format_version":"1.0","node":"a","resource_changes":[{"action":"delete"}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := readApply(strings.NewReader(text))
		if err != nil {
			return
		}
		r.Plan.Fingerprint() // of whatever is accepted
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := readApply(strings.NewReader(string(b))); err != nil || again.Plan.Fingerprint() != r.Plan.Fingerprint() {
			t.Errorf("round trip of %s: %v", b, err)
		}
	})
}
