package haproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
)

// TestAMasterThatIsBusy answers as haproxy 3.1 and later do while they start, or while somebody
// else's reload goes on. That says nothing of the file.
func TestAMasterThatIsBusy(t *testing.T) {
	const busy = "Success=0\n--\nAnother reload is still in progress.\n\n"
	for _, tt := range []struct {
		name    string
		replies []string
		want    error
		asked   int
	}{
		{"and then has time", []string{busy, busy, "Success=1\n--\n\n"}, nil, 3},
		{"and then does not load the file", []string{busy, "Success=0\n--\n[ALERT] (1) : x\n\n"}, errNotLoaded, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m")
			asked := master31(t, path, tt.replies)
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			if err := accepted(t.Context(), Managed{MasterSocket: path}, tick); !errors.Is(err, tt.want) {
				t.Errorf("accepted = %v, want %v", err, tt.want)
			}
			if n := len(asked); n != tt.asked {
				t.Errorf("asked %d times, want %d", n, tt.asked)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "m")
	asked := master31(t, path, []string{busy})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	never := time.NewTicker(time.Hour)
	defer never.Stop()
	err := accepted(ctx, Managed{MasterSocket: path}, never)
	if errors.Is(err, errNotLoaded) || !errors.Is(err, haproxy.ErrBusy) && !errors.Is(err, context.Canceled) {
		t.Errorf("accepted until the time is over = %v, want that the master was busy", err)
	}
}

// master31 gives replies, one a connection, and sends what it was asked.
func master31(t *testing.T, path string, replies []string) <-chan string {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	asked, done := make(chan string, len(replies)), make(chan struct{}) // one for each reply
	go func() {
		defer close(done)
		for _, reply := range replies {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b, _ := io.ReadAll(c)
			asked <- string(b)
			_, _ = io.WriteString(c, reply)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return asked
}
