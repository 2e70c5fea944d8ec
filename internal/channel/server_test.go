package channel

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fake answers queries with a status and streams what is put into updates.
type fake struct {
	updates chan Status // closed by nobody
	ended   chan struct{}
}

func (f *fake) Handle(ctx context.Context, r Request, reply func(Response) error) {
	switch {
	case r.Query != nil:
		_ = reply(Response{Status: &Status{Repairs: 7}})
	case r.Subscribe != nil:
		defer func() { f.ended <- struct{}{} }()
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-f.updates:
				if reply(Response{Status: &s}) != nil {
					return
				}
			}
		}
	default:
		_ = reply(Response{Error: "no"})
	}
}

func serve(t *testing.T, h Handler) (path string, stop func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := Serve(ctx, l, h); err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return path, stop
}

func TestDo(t *testing.T) {
	path, _ := serve(t, &fake{})
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		r, err := c.Do(t.Context(), Request{Query: &Query{}})
		if err != nil || r.Status.Repairs != 7 {
			t.Fatalf("Do = %+v, %v", r, err)
		}
	}
	if _, err := c.Do(t.Context(), Request{Resign: &Resign{}}); err == nil || !strings.Contains(err.Error(), "vrrpd: no") {
		t.Errorf("Do(refused) = %v", err)
	}
	if _, err := c.Do(t.Context(), Request{Query: &Query{}}); err != nil {
		t.Errorf("a refusal broke the connection: %v", err)
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path) // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx, Request{Query: &Query{}}); err == nil {
		t.Error("Do = nil, want an error")
	}
	if _, err := c.Do(t.Context(), Request{Query: &Query{}}); err == nil {
		t.Error("a client out of step was used again")
	}
}

func TestWatchReconnects(t *testing.T) {
	f := &fake{updates: make(chan Status), ended: make(chan struct{}, 8)}
	path, stop := serve(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan uint64)
	lost := make(chan struct{}, 1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = Watch(ctx, path, func(s *Status, err error) {
			if err != nil {
				lost <- struct{}{}
				return
			}
			seen <- s.Repairs
		})
	})
	f.updates <- Status{Repairs: 1}
	if got := <-seen; got != 1 {
		t.Errorf("first status has %d repairs, want 1", got)
	}
	stop()
	<-lost
	<-f.ended
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	sctx, scancel := context.WithCancel(t.Context())
	wg.Go(func() { _ = Serve(sctx, l, f) })
	f.updates <- Status{Repairs: 2}
	if got := <-seen; got != 2 {
		t.Errorf("status after the restart has %d repairs, want 2", got)
	}
	cancel()
	<-f.ended // the server notices that the client hung up
	scancel()
	wg.Wait()
}

func TestServeRefusesAnUnknownVersion(t *testing.T) {
	path, _ := serve(t, &fake{})
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := WriteFrame(conn, Request{Version: Version + 1, Query: &Query{}}); err != nil {
		t.Fatal(err)
	}
	var r Response
	if err := ReadFrame(conn, &r); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Error, "version") {
		t.Errorf("response = %+v, want an error about the version", r)
	}
}

// TestASubscriberMayBeSilent outlasts the time that a frame has to arrive whole.
func TestASubscriberMayBeSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		_ = server.SetReadDeadline(time.Now().Add(frameTimeout)) // as the request's frame left it
		f := &fake{updates: make(chan Status), ended: make(chan struct{}, 1)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			subscribe(ctx, cancel, server, f, Request{Subscribe: &Subscribe{}}, func(Response) error { return nil })
		}()
		<-time.After(10 * frameTimeout)
		synctest.Wait()
		if ctx.Err() != nil {
			t.Error("a subscription ended though its client did not hang up")
		}
		_ = client.Close()
		<-done
		if ctx.Err() == nil {
			t.Error("a subscription goes on though its client hung up")
		}
	})
}
