package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hareconcile/hareconcile/plugins/proto"
	pluginv1 "github.com/hareconcile/hareconcile/plugins/proto/hareconcile/plugin/v1"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A Client asks a plugin what the agent asks it.
type Client struct{ conn *grpc.ClientConn }

// NewClient returns a Client that asks over a connection, which stays the caller's.
func NewClient(conn *grpc.ClientConn) *Client { return &Client{conn} }

// A Mistake is what a plugin says is wrong with a configuration.
type Mistake struct {
	Attribute string `json:"attribute,omitempty"`
	Message   string `json:"message"`
}

// Configure makes an instance of a configuration, or returns the mistakes in it.
func (c *Client) Configure(ctx context.Context, instance, config string) ([]Mistake, error) {
	r, err := pluginv1.NewPluginClient(c.conn).Configure(ctx,
		&pluginv1.ConfigureRequest{Instance: instance, Config: []byte(config)})
	if err != nil {
		return nil, fmt.Errorf("configure: %w", err)
	}
	var out []Mistake
	for _, d := range r.Diagnostics {
		if d.Message == "" {
			return nil, fmt.Errorf("configure: the diagnostic about %q says nothing", d.Attribute)
		}
		out = append(out, Mistake{d.Attribute, d.Message})
	}
	return out, nil
}

// Forget ends an instance.
func (c *Client) Forget(ctx context.Context, instance string) error {
	if _, err := pluginv1.NewPluginClient(c.conn).Forget(ctx, &pluginv1.ForgetRequest{Instance: instance}); err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	return nil
}

// Check makes one check.
func (c *Client) Check(ctx context.Context, instance string) (sdk.Result, error) {
	r, err := pluginv1.NewTrackClient(c.conn).Check(ctx, &pluginv1.CheckRequest{Instance: instance})
	if err != nil {
		return sdk.Result{}, fmt.Errorf("check: %w", err)
	}
	return result(r), nil
}

// CheckAll checks instances in one call. What it returns has nil for one that there is not, and
// is nil for a plugin that does not serve the call.
func (c *Client) CheckAll(ctx context.Context, instances ...string) ([]*sdk.Result, error) {
	info, err := pluginv1.NewPluginClient(c.conn).Info(ctx, &pluginv1.InfoRequest{})
	if err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	if !slices.Contains(info.Features, proto.FeatureCheckAll) {
		return nil, nil
	}
	stream, err := pluginv1.NewTrackClient(c.conn).CheckAll(ctx, &pluginv1.CheckAllRequest{Instances: instances})
	out, answered := make([]*sdk.Result, len(instances)), map[uint32]bool{}
	for err == nil {
		var m *pluginv1.CheckAllResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		for _, a := range m.Answers {
			if int(a.Place) >= len(instances) || answered[a.Place] {
				return nil, fmt.Errorf("check all: an answer for place %d, which has one or is none", a.Place)
			}
			if answered[a.Place] = true; a.Response != nil {
				r := result(a.Response)
				out[a.Place] = &r
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("check all: %w", err)
	}
	if len(answered) != len(instances) {
		return nil, fmt.Errorf("check all: %d of %d instances were answered", len(answered), len(instances))
	}
	return out, nil
}

// ErrAsked is returned by Watch for an instance that says nothing unless it is asked.
var ErrAsked = errors.New("the instance has to be asked")

// Watch calls changed with each result that an instance sends by itself, until the plugin
// ends the stream, which returns nil, or ctx does.
func (c *Client) Watch(ctx context.Context, instance string, changed func(sdk.Result)) error {
	stream, err := pluginv1.NewTrackClient(c.conn).Watch(ctx, &pluginv1.WatchRequest{Instance: instance})
	for err == nil {
		var r *pluginv1.CheckResponse
		if r, err = stream.Recv(); err == nil {
			changed(result(r))
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case status.Code(err) == codes.Unimplemented, status.Code(err) == codes.FailedPrecondition:
		return ErrAsked
	}
	return fmt.Errorf("watch: %w", err)
}

// statuses is what the numbers of the protocol mean; others mean Unknown, too.
var statuses = map[pluginv1.Status]sdk.Status{
	pluginv1.Status_STATUS_UNKNOWN: sdk.Unknown,
	pluginv1.Status_STATUS_PASS:    sdk.Pass,
	pluginv1.Status_STATUS_WARN:    sdk.Warn,
	pluginv1.Status_STATUS_FAIL:    sdk.Fail,
}

func statusOf(s pluginv1.Status) sdk.Status {
	if known, ok := statuses[s]; ok {
		return known
	}
	return sdk.Unknown
}

func result(r *pluginv1.CheckResponse) sdk.Result {
	out := sdk.Result{Status: statusOf(r.Status), Detail: r.Detail, Code: r.Code, Metrics: r.Metrics, Facts: r.Facts}
	for _, p := range r.Parts {
		out.Parts = append(out.Parts, sdk.Part{Name: p.Name, Status: statusOf(p.Status), Detail: p.Detail, Code: p.Code})
	}
	return out
}
