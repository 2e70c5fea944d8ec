package conformance

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hareconcile/hareconcile/plugins/proto"
	pluginv1 "github.com/hareconcile/hareconcile/plugins/proto/hareconcile/plugin/v1"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// types are the types that attributes may have.
var types = []sdk.Type{sdk.String, sdk.Number, sdk.Bool, sdk.ListString}

func described(ctx context.Context, o Options) (string, error) {
	d, _, err := Describe(ctx, o)
	if err != nil {
		return "", err
	}
	var wrong list
	if want := strings.TrimPrefix(filepath.Base(o.Binary), proto.BinaryPrefix); d.Name != want {
		wrong.addf("name %q, want %q as in the binary's name, which is %sNAME", d.Name, want, proto.BinaryPrefix)
	}
	if d.Version == "" {
		wrong.addf("it has no version")
	}
	for name, a := range d.Attributes {
		if a.Description == "" {
			wrong.addf("attribute %q has no description", name)
		}
		if !slices.Contains(types, a.Type) {
			wrong.addf("attribute %q has type %q, want one of %q", name, a.Type, types)
		}
	}
	return d.Name + " " + d.Version, wrong.err()
}

func byHand(ctx context.Context, o Options) (string, error) {
	o, err := o.absolute()
	if err != nil {
		return "", err
	}
	cmd := o.command(o.Binary)
	var out bounded
	out.most = 4 << 10
	cmd.Stdout, cmd.Stderr = &out, &out
	err = o.run(ctx, cmd, patience)
	var wrong list
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out.text.String(), "plugin") {
		wrong.addf("without %s in its environment: %v%s, want exit status 1 and a sentence that has the word plugin",
			proto.CookieKey, err, out.quoted())
	}
	return "", wrong.err()
}

// handshaken leaves it to Start, which reads one line and takes no other one.
func handshaken(_ context.Context, o Options) (string, error) {
	p, err := Start(o)
	if err != nil {
		return "", err
	}
	p.Close()
	return "", nil
}

func identified(ctx context.Context, o Options) (string, error) {
	d, _, err := Describe(ctx, o)
	if err != nil {
		return "", err
	}
	p, err := Start(o)
	if err != nil {
		return "", err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var wrong list
	health, err := grpc_health_v1.NewHealthClient(p.Conn).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	if err != nil || health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		wrong.addf("health of service %q is %v, %v, want SERVING", plugin.GRPCServiceName, health.GetStatus(), err)
	}
	i, err := pluginv1.NewPluginClient(p.Conn).Info(ctx, &pluginv1.InfoRequest{})
	if err != nil || i.Name != d.Name || i.Version != d.Version || !slices.Contains(i.Types, "track") {
		wrong.addf("info is %v, %v, want %s %s and type track", i, err, d.Name, d.Version)
	}
	s, err := pluginv1.NewPluginClient(p.Conn).Schema(ctx, &pluginv1.SchemaRequest{})
	if err != nil {
		wrong.addf("schema: %w", err)
		return "", wrong.err()
	}
	for name, a := range d.Attributes {
		if got := s.Attributes[name]; got.GetType() != string(a.Type) || got.GetRequired() != a.Required {
			wrong.addf("schema of %q is %v, -describe says %v", name, got, a)
		}
	}
	for name := range s.Attributes {
		if _, ok := d.Attributes[name]; !ok {
			wrong.addf("the schema has %q, and -describe does not", name)
		}
	}
	return "", wrong.err()
}
