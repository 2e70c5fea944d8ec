package answer

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestText(t *testing.T) {
	for _, tt := range []struct {
		name  string
		check spec.TCPCheck
		heard []string
		end   error
		done  bool
		want  string
	}{
		{"a text in one piece", spec.TCPCheck{Expect: "ready"}, []string{"220 ready\r\n"}, nil, true, `answered "220 ready"`},
		{"a text in two pieces", spec.TCPCheck{Expect: "ready"}, []string{"220 re", "ady"}, nil, true, `answered "220 ready"`},
		{"a pattern", spec.TCPCheck{Regex: "^220 .*y"}, []string{"220 ready"}, nil, true, `answered "220 ready"`},
		{"both", spec.TCPCheck{Expect: "b", Regex: "^a"}, []string{"a", "b"}, nil, true, `answered "ab"`},
		{"something else", spec.TCPCheck{Expect: "ready"}, []string{"500 no\n"}, io.EOF, false, `answered "500 no", want "ready"`},
		{"something else for a pattern", spec.TCPCheck{Regex: "^x"}, []string{"500 no"}, io.EOF, false, `answered "500 no", want "match of ^x"`},
		{"nothing", spec.TCPCheck{Expect: "ready"}, nil, errors.New("reset"), false, "reset"},
		{"nothing without a reason", spec.TCPCheck{Expect: "ready"}, nil, nil, false, "connection closed without an answer"},
	} {
		text, err := NewText(&tt.check)
		if err != nil {
			t.Fatal(err)
		}
		var h Heard
		done := false
		for _, s := range tt.heard {
			done = text.Hear(&h, []byte(s))
		}
		out := text.Judge(&h, tt.end)
		got := out.Message
		if out.Err != nil {
			got = out.Err.Error()
		}
		if done != tt.done || got != tt.want || !text.Listens() {
			t.Errorf("%s: done %v, %q, want %v, %q", tt.name, done, got, tt.done, tt.want)
		}
	}
	if text, err := NewText(nil); err != nil || text.Listens() {
		t.Errorf("a check without a text listens, %v", err)
	}
}

// TestDripsAreNotSearchedEachTime: what comes in drips costs as much as what comes at once,
// within a bound, and is found at the end at the latest.
func TestDripsAreNotSearchedEachTime(t *testing.T) {
	text, err := NewText(&spec.TCPCheck{Regex: "end"})
	if err != nil {
		t.Fatal(err)
	}
	var h Heard
	searched, last := 0, 0
	for !h.Full() {
		text.Hear(&h, []byte("x"))
		if h.tried != last {
			searched, last = searched+1, h.tried
		}
	}
	if searched > 1000 {
		t.Errorf("searched %d times in %d drips", searched, MaxBody)
	}
	h = Heard{}
	text.Hear(&h, []byte(strings.Repeat("x", 1000)))
	if text.Hear(&h, []byte("end")) {
		t.Error("found before a 64th more was there")
	}
	if out := text.Judge(&h, io.EOF); out.Err != nil {
		t.Errorf("Judge = %v, want the end to be found", out.Err)
	}
	if text.Hear(&h, []byte(strings.Repeat("y", 2*MaxBody))); len(h.text) != MaxBody {
		t.Errorf("kept %d bytes, want %d", len(h.text), MaxBody)
	}
}

// TestAFixedTextIsFoundAtOnce however little comes after how much: a server that waits for
// the client to speak says no more.
func TestAFixedTextIsFoundAtOnce(t *testing.T) {
	text, err := NewText(&spec.TCPCheck{Expect: "end"})
	if err != nil {
		t.Fatal(err)
	}
	var h Heard
	for _, piece := range []string{strings.Repeat("x", 10_000) + "e", "", "n"} {
		if text.Hear(&h, []byte(piece)) {
			t.Fatalf("found after %d bytes", len(h.text))
		}
	}
	if !text.Hear(&h, []byte("d")) {
		t.Error("not found when the last letter had come")
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\r\nb")
	f.Add("\xff\x00\u202e")
	f.Add(strings.Repeat("é", MaxLine))
	f.Fuzz(func(t *testing.T, s string) {
		got := Line(s)
		if len(got) > MaxLine+3 || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("Line(%q) = %q", s, got)
		}
	})
}
