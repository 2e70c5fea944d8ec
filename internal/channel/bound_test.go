package channel

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestMoreConnectionsThanThereIsRoomForAreClosed(t *testing.T) {
	path, _ := serve(t, &fake{})
	for range maxConns {
		c, err := Dial(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Do(t.Context(), Request{Query: &Query{}}); err != nil {
			t.Fatal(err)
		}
	}
	over, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	if err := over.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := over.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one connection more: %v, want it closed", err)
	}
}

func TestHalfAFrameIsNotWaitedForForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		ended := make(chan time.Time)
		go func() {
			var r Request
			if err := readRequest(ours, &r); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("half a frame: %v, want a timeout", err)
			}
			ended <- time.Now()
		}()
		<-time.After(time.Hour) // a client may stay silent for as long as it likes
		start := time.Now()
		if _, err := theirs.Write([]byte{0, 0}); err != nil {
			t.Fatal(err)
		}
		if took := (<-ended).Sub(start); took != frameTimeout {
			t.Errorf("waited %v for the rest, want %v", took, frameTimeout)
		}
	})
}

func TestWatchWaitsLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var gaps []time.Duration
		last := time.Now()
		err := Watch(ctx, filepath.Join(t.TempDir(), "nobody"), func(_ *Status, err error) {
			if err == nil {
				t.Error("a status from nobody")
			}
			gaps = append(gaps, time.Since(last))
			last = time.Now()
			if len(gaps) == 10 {
				cancel()
			}
		})
		if err != nil {
			t.Errorf("Watch = %v, want nil", err)
		}
		for n, want := 1, retryMin; n < len(gaps); n, want = n+1, min(2*want, retryMax) {
			if gaps[n] != want {
				t.Errorf("wait %d = %v, want %v", n, gaps[n], want)
			}
		}
	})
}
