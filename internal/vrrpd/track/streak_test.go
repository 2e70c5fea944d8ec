package track

import (
	"net/netip"
	"testing"

	"github.com/hareconcile/hareconcile/internal/echo"
)

var sample = echo.Message{ID: 0x1234, Seq: 7, Token: [echo.TokenLen]byte{1, 2, 3}}

// TestStrangersCannotAnswer: id, sequence number, token and source must be right.
func TestStrangersCannotAnswer(t *testing.T) {
	for name, change := range map[string]func(e *echo.Message, from *string){
		"another id":     func(e *echo.Message, _ *string) { e.ID++ },
		"another number": func(e *echo.Message, _ *string) { e.Seq++ },
		"another token":  func(e *echo.Message, _ *string) { e.Token[0]++ },
		"another source": func(_ *echo.Message, from *string) { *from = "10.0.0.3" },
		"nothing":        func(*echo.Message, *string) {},
	} {
		var got []Result
		p := newPings(&loop{report: func(r Result) { got = append(got, r) }})
		x := &pinged{target: netip.MustParseAddr("10.0.0.2"), teller: newTeller("ping/10.0.0.2", p.report), asked: true, request: sample}
		p.out[sample.Seq] = x
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
