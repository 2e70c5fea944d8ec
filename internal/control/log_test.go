package control

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/hareconcile/hareconcile/internal/event"
)

func TestTheLogIsFollowedInOrder(t *testing.T) {
	b := newBackend()
	b.events = event.NewLog()
	b.events.Add(event.Event{Kind: event.Alarm}, event.Event{Kind: event.AlarmOver})
	c := dial(t, serve(t, b, io.Discard))
	var got []event.Kind
	err := c.Log(t.Context(), false, func(l LogEntry) error { got = append(got, l.Kind); return nil })
	if err != nil || len(got) != 2 || got[0] != event.Alarm {
		t.Fatalf("Log = %v, %v, want both events", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := errors.New("seen enough")
	err = c.Log(ctx, true, func(l LogEntry) error {
		switch l.Seq {
		case 2:
			b.events.Add(event.Event{Kind: event.Resumed})
		case 3:
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Errorf("Log ended with %v before the third event came", err)
	}
}
