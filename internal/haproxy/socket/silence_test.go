package socket

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestSilenceOfOurs tells a frozen haproxy from a process of ours that was stopped itself.
func TestSilenceOfOurs(t *testing.T) {
	deadline := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	if err := silence(ctx, deadline.Add(20*time.Millisecond)); !errors.Is(err, ErrSilent) {
		t.Errorf("at the deadline: %v, want %v", err, ErrSilent)
	}
	if err := silence(ctx, deadline.Add(5*time.Second)); errors.Is(err, ErrSilent) || !strings.Contains(err.Error(), "stopped for 5s") {
		t.Errorf("long after the deadline: %v, want no word on haproxy", err)
	}
	if err := silence(t.Context(), deadline); !errors.Is(err, ErrSilent) {
		t.Errorf("without a deadline: %v, want %v", err, ErrSilent)
	}
}

// TestOneLine lets no command slip into another's words.
func TestOneLine(t *testing.T) {
	for _, command := range []string{"show info\nshutdown", "a\x00", strings.Repeat("x", maxLine)} {
		if _, err := Ask(t.Context(), "/nonexistent", command); err == nil || strings.Contains(err.Error(), "connect") {
			t.Errorf("Ask(%.20q) = %v, want no attempt", command, err)
		}
	}
}
