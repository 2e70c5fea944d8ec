package event

import (
	"slices"
	"strings"
	"testing"
)

func TestLogKeepsTheLastAndTellsWhatIsMissed(t *testing.T) {
	l := NewLog()
	_, _, more := l.After(0)
	for range Kept + 5 {
		l.Add(Event{Kind: Alarm})
	}
	select {
	case <-more:
	default:
		t.Error("nobody was told of the first event")
	}
	events, missed, _ := l.After(2)
	if len(events) != Kept || missed != 3 || events[0].Seq != 6 || events[Kept-1].Seq != Kept+5 {
		t.Errorf("After(2) = %d events from %d on, %d missed, want %d from 6 on, 3 missed", len(events), events[0].Seq, missed, Kept)
	}
	events, missed, more = l.After(Kept + 5)
	if len(events) != 0 || missed != 0 {
		t.Errorf("After(the last) = %d events, %d missed, want none", len(events), missed)
	}
	l.Add(Event{Kind: AlarmOver})
	<-more
	if events, _, _ = l.After(l.Last() - 1); len(events) != 1 || events[0].Kind != AlarmOver {
		t.Errorf("After(the last but one) = %v, want the last", events)
	}
}

func TestForeignTextIsCleanedAndCut(t *testing.T) {
	l := NewLog()
	l.Add(Event{Reason: "a\r\nBcc: x\x1b[2J\xff\u202e" + strings.Repeat("é", 400)})
	events, _, _ := l.After(0)
	got := events[0].Reason
	if !strings.HasPrefix(got, "a  Bcc: x [2J") || !strings.HasSuffix(got, "é...") || len(got) > maxText+3 {
		t.Errorf("the reason is %q", got)
	}
}

func TestKindsAreDistinct(t *testing.T) {
	kinds := Kinds()
	slices.Sort(kinds)
	if n := len(slices.Compact(kinds)); n != len(Kinds()) {
		t.Errorf("%d kinds are distinct of %d", n, len(Kinds()))
	}
}
