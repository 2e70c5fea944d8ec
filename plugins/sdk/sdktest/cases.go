// Package sdktest tests plugins: their trackers in the test's own process, and their
// binaries as a host sees them.
package sdktest

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hareconcile/hareconcile/plugins/sdk"
	"github.com/hareconcile/hareconcile/plugins/sdk/conformance"
)

// A Case is one configuration and what comes of it.
type Case struct {
	Name   string
	Config string // JSON
	// Mistakes are the attributes that must be blamed, in order; then there is no check.
	Mistakes []string
	Want     sdk.Status
	Detail   string        // must be part of the result's
	Timeout  time.Duration // of the check; 5 s if zero
}

// Run puts every case through a tracker, over gRPC as in the agent.
func Run(t *testing.T, tracker sdk.Tracker, cases []Case) {
	t.Helper()
	client := conformance.NewClient(serve(t, tracker))
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			mistakes := configure(t, client, c.Name, c.Config)
			if !slices.Equal(mistakes, c.Mistakes) {
				t.Fatalf("mistakes in %q, want %q", mistakes, c.Mistakes)
			}
			if len(c.Mistakes) > 0 {
				return
			}
			got := check(t, client, c.Name, c.Timeout)
			if got.Status != c.Want || !strings.Contains(got.Detail, c.Detail) {
				t.Errorf("result %s %q, want %s %q", got.Status, got.Detail, c.Want, c.Detail)
			}
			forget(t, client, c.Name)
		})
	}
}

// serve serves a tracker in memory until the test ends.
func serve(t *testing.T, tracker sdk.Tracker) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(64 << 10)
	server := grpc.NewServer()
	sdk.Register(server, &sdk.Config{Name: "test", Version: "0", Track: tracker})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///test",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return conn
}

// configure makes an instance and returns the attributes that were blamed.
func configure(t *testing.T, c *conformance.Client, instance, config string) (mistakes []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	found, err := c.Configure(ctx, instance, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range found {
		mistakes = append(mistakes, m.Attribute)
	}
	return mistakes
}

func forget(t *testing.T, c *conformance.Client, instance string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := c.Forget(ctx, instance); err != nil {
		t.Error(err)
	}
}

// check makes one check and insists that the answer comes within the deadline.
func check(t *testing.T, c *conformance.Client, instance string, timeout time.Duration) sdk.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(timeout, 5*time.Second))
	defer cancel()
	r, err := c.Check(ctx, instance)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Watch makes an instance of a configuration and returns the results that it sends without
// being asked, over gRPC as in the agent. The channel is closed when the plugin ends the
// stream, or the test does.
func Watch(t *testing.T, tracker sdk.Tracker, config string) <-chan sdk.Result {
	t.Helper()
	client := conformance.NewClient(serve(t, tracker))
	if wrong := configure(t, client, "watched", config); len(wrong) > 0 {
		t.Fatalf("mistakes in %q", wrong)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan sdk.Result)
	go func() {
		defer close(told)
		err := client.Watch(ctx, "watched", func(r sdk.Result) {
			select {
			case told <- r:
			case <-ctx.Done():
			}
		})
		if err != nil && ctx.Err() == nil {
			t.Errorf("watch: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range told { // until it is closed: the test outlives what reports to it
		}
	})
	return told
}
