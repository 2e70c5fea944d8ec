// Package sdktest tests plugins: their trackers in the test's own process, and their
// binaries as a host sees them.
package sdktest

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	pluginv1 "github.com/hareconcile/hareconcile/plugins/proto/hareconcile/plugin/v1"
	"github.com/hareconcile/hareconcile/plugins/sdk"
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
	conn := serve(t, tracker)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			mistakes := configure(t, conn, c.Name, c.Config)
			if !slices.Equal(mistakes, c.Mistakes) {
				t.Fatalf("mistakes in %q, want %q", mistakes, c.Mistakes)
			}
			if len(c.Mistakes) > 0 {
				return
			}
			got := check(t, conn, c.Name, c.Timeout)
			if got.Status != c.Want || !strings.Contains(got.Detail, c.Detail) {
				t.Errorf("result %s %q, want %s %q", got.Status, got.Detail, c.Want, c.Detail)
			}
			forget(t, conn, c.Name)
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
func configure(t *testing.T, conn *grpc.ClientConn, instance, config string) (mistakes []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := pluginv1.NewPluginClient(conn).Configure(ctx,
		&pluginv1.ConfigureRequest{Instance: instance, Config: []byte(config)})
	if err != nil {
		t.Fatalf("configure: %v", err)
	}
	for _, d := range r.Diagnostics {
		if d.Message == "" {
			t.Errorf("the diagnostic about %q says nothing", d.Attribute)
		}
		mistakes = append(mistakes, d.Attribute)
	}
	return mistakes
}

func forget(t *testing.T, conn *grpc.ClientConn, instance string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := pluginv1.NewPluginClient(conn).Forget(ctx, &pluginv1.ForgetRequest{Instance: instance}); err != nil {
		t.Errorf("forget: %v", err)
	}
}

// check makes one check and insists that the answer comes within the deadline.
func check(t *testing.T, conn *grpc.ClientConn, instance string, timeout time.Duration) sdk.Result {
	t.Helper()
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	r, err := pluginv1.NewTrackClient(conn).Check(ctx, &pluginv1.CheckRequest{Instance: instance})
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	return result(r)
}

var statuses = map[pluginv1.Status]sdk.Status{
	pluginv1.Status_STATUS_UNKNOWN: sdk.Unknown,
	pluginv1.Status_STATUS_PASS:    sdk.Pass,
	pluginv1.Status_STATUS_WARN:    sdk.Warn,
	pluginv1.Status_STATUS_FAIL:    sdk.Fail,
}

func result(r *pluginv1.CheckResponse) sdk.Result {
	out := sdk.Result{Status: statuses[r.Status], Detail: r.Detail, Code: r.Code, Metrics: r.Metrics, Facts: r.Facts}
	for _, p := range r.Parts {
		out.Parts = append(out.Parts, sdk.Part{Name: p.Name, Status: statuses[p.Status], Detail: p.Detail, Code: p.Code})
	}
	return out
}
