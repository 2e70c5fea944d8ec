package vrrpd_test

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrpd"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// TestCleanUpAfterAVRRPDThatDoesNotComeBack has adverts so slow that the peer by itself
// would take six seconds to notice.
func TestCleanUpAfterAVRRPDThatDoesNotComeBack(t *testing.T) {
	a, b, _ := vrrpdtest.Pair(t)
	a.Start()
	b.Start()
	const slow = 2 * time.Second
	a.Configure(254, slow, b.Addr)
	a.Eventually("mastership", 12*time.Second, func() bool { return a.Instance().State == "MASTER" })
	b.Configure(253, slow, a.Addr)
	b.Eventually("the peer to hear", 2*slow, func() bool { return b.Instance().Master.IsValid() })
	a.Signal(syscall.SIGKILL)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go a.NS.Do(func() { ended <- vrrpd.CleanUp(ctx, a.Files(slog.DiscardHandler), time.Second) })
	a.Eventually("the address to go", 5*time.Second, func() bool { return !a.HasVIP() })
	b.Eventually("the peer to serve", time.Second, b.HasVIP)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	a.Start()
	if got := a.WaitState("BACKUP"); got.Held != nil {
		t.Errorf("it came back with %v", got.Held)
	}
}
