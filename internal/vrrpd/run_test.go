package vrrpd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
)

func TestOneWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "run", "lock")
		first, err := takeLock(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := takeLock(t.Context(), path); !errors.Is(err, ErrLocked) {
			t.Errorf("second writer: %v, want ErrLocked", err)
		}
		if waited := time.Since(start); waited != lockPatience {
			t.Errorf("gave up after %v, want %v", waited, lockPatience)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		third, err := takeLock(t.Context(), path)
		if err != nil {
			t.Fatalf("after the first let go: %v", err)
		}
		_ = third.Close()
	})
}

// TestChannelComesWhenItCan starts without a place for the socket.
func TestChannelComesWhenItCan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tried, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		serve(ctx, func() (net.Listener, error) { return listen(filepath.Join(dir, "sock")) }, &server{}, slog.New(slog.DiscardHandler), sync.OnceFunc(func() { close(tried) }))
	}()
	<-tried
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		c, err := channel.Dial(ctx, filepath.Join(dir, "sock"))
		if err == nil {
			_ = c.Close()
			break
		}
		<-tick.C
	}
	if ctx.Err() != nil {
		t.Error("no socket came")
	}
	cancel()
	<-ended
}

// TestAgentCountsWhileConnected follows the commands that a connection causes.
func TestAgentCountsWhileConnected(t *testing.T) {
	commands := make(chan *command, 8)
	s := &server{
		commands: commands, wake: func() {}, board: newBoard(),
		done: make(chan struct{}), agent: map[context.Context]bool{},
	}
	defer close(commands)
	presence := make(chan int, 8)
	go func() { // ends with the test's last command
		for c := range commands {
			if c.presence != 0 {
				presence <- c.presence
			}
			c.reply <- channel.Response{}
		}
	}()
	ctx, hangUp := context.WithCancel(t.Context())
	for range 3 { // one connection counts once
		s.Handle(ctx, channel.Request{Track: &channel.Track{}}, func(channel.Response) error { return nil })
	}
	s.Handle(ctx, channel.Request{Query: &channel.Query{}}, func(channel.Response) error { return nil })
	hangUp()
	if got := []int{<-presence, <-presence}; got[0] != 1 || got[1] != -1 {
		t.Errorf("presence = %v, want +1 and -1", got)
	}
	select {
	case extra := <-presence:
		t.Errorf("one more: %d", extra)
	default:
	}
}
