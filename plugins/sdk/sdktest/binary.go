package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hareconcile/hareconcile/plugins/proto"
	pluginv1 "github.com/hareconcile/hareconcile/plugins/proto/hareconcile/plugin/v1"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// Verify runs a plugin's binary as the agent does and tests everything that the agent
// relies on. config is a configuration that the plugin accepts; what it watches may be down.
func Verify(t *testing.T, binary, config string) {
	t.Helper()
	var d sdk.Description
	t.Run("-describe prints the schema", func(t *testing.T) { d = describe(t, binary) })
	t.Run("by hand it says what it is", func(t *testing.T) { byHand(t, binary) })
	t.Run("it speaks the protocol", func(t *testing.T) {
		conn, _ := Start(t, binary)
		info(t, conn, d)
		mistakes(t, conn, d)
	})
	t.Run("it keeps to deadlines", func(t *testing.T) {
		conn, _ := Start(t, binary)
		configure(t, conn, "a", config)
		for range 100 {
			check(t, conn, "a", 500*time.Millisecond)
		}
		check(t, conn, "a", 20*time.Millisecond)
		forget(t, conn, "a")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := pluginv1.NewTrackClient(conn).Check(ctx, &pluginv1.CheckRequest{Instance: "a"}); err == nil {
			t.Error("an instance that was forgotten is still checked")
		}
	})
}

func describe(t *testing.T, binary string) (d sdk.Description) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, "-describe").Output()
	if err != nil {
		t.Fatalf("-describe: %v", err)
	}
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatalf("-describe printed no schema: %v\n%s", err, out)
	}
	if want := strings.TrimPrefix(filepath.Base(binary), proto.BinaryPrefix); d.Name != want {
		t.Errorf("name %q, want %q as in the binary's name", d.Name, want)
	}
	for name, a := range d.Attributes {
		if a.Description == "" {
			t.Errorf("attribute %q has no description", name)
		}
	}
	return d
}

func byHand(t *testing.T, binary string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "plugin") {
		t.Errorf("run by hand: %v, %q, want exit code 1 and a sentence", err, out)
	}
}

// Start starts a plugin's binary and connects to it, until the test ends. kill ends the
// process at once.
func Start(t *testing.T, binary string) (conn *grpc.ClientConn, kill func()) {
	t.Helper()
	cmd := exec.Command(binary)
	dir, err := os.MkdirTemp("", "plugin") // shorter than t.TempDir: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = []string{"PATH=/usr/bin:/bin", plugin.EnvUnixSocketDir + "=" + dir}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: proto.Version, MagicCookieKey: proto.CookieKey, MagicCookieValue: proto.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{proto.Version: {}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Cmd:              cmd,
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     5 * time.Second,
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(func() {
		client.Kill()
		_ = os.RemoveAll(dir)
	})
	p, err := client.Client()
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return p.(*plugin.GRPCClient).Conn, func() { _ = cmd.Process.Kill() }
}

func info(t *testing.T, conn *grpc.ClientConn, d sdk.Description) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	health, err := grpc_health_v1.NewHealthClient(conn).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	if err != nil || health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v, want SERVING", health, err)
	}
	i, err := pluginv1.NewPluginClient(conn).Info(ctx, &pluginv1.InfoRequest{})
	if err != nil || i.Name != d.Name || i.Version != d.Version || !slices.Contains(i.Types, "track") {
		t.Errorf("info %v, %v, want %s %s and type track", i, err, d.Name, d.Version)
	}
	s, err := pluginv1.NewPluginClient(conn).Schema(ctx, &pluginv1.SchemaRequest{})
	if err != nil {
		t.Fatalf("schema: %v", err)
	}
	for name, a := range d.Attributes {
		if got := s.Attributes[name]; got.GetType() != string(a.Type) || got.GetRequired() != a.Required {
			t.Errorf("schema of %q is %v, -describe says %v", name, got, a)
		}
	}
}

// mistakes puts one mistake after the other into a configuration.
func mistakes(t *testing.T, conn *grpc.ClientConn, d sdk.Description) {
	t.Helper()
	var required []string
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		if d.Attributes[name].Required {
			required = append(required, name)
		}
	}
	if got := configure(t, conn, "bad", "{}"); len(required) > 0 && !slices.Equal(got, required) {
		t.Errorf("without required attributes: mistakes in %q, want %q", got, required)
	}
	if got := configure(t, conn, "bad", `{"no such attribute": 1}`); !slices.Contains(got, "no such attribute") {
		t.Errorf("unknown attribute: mistakes in %q", got)
	}
	for name := range d.Attributes {
		if got := configure(t, conn, "bad", `{"`+name+`": {"a": 1}}`); !slices.Contains(got, name) {
			t.Errorf("an object for %q: mistakes in %q", name, got)
		}
	}
	for _, config := range []string{"[]", "1", "{", "\x00", strings.Repeat("[", 10_000), `{} {}`} {
		if got := configure(t, conn, "bad", config); len(got) == 0 {
			t.Errorf("configuration %.20q was accepted", config)
		}
	}
}
