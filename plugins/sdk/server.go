package sdk

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	googleproto "google.golang.org/protobuf/proto"

	"github.com/hareconcile/hareconcile/plugins/proto"
	pluginv1 "github.com/hareconcile/hareconcile/plugins/proto/hareconcile/plugin/v1"
)

// What a host may ask of one plugin process.
const (
	maxInstances = 4096
	maxRequest   = 128 << 10
)

// serve serves c until the host goes away.
func serve(c *Config) { plugin.Serve(serveConfig(c)) }

func serveConfig(c *Config) *plugin.ServeConfig {
	return &plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion:  proto.Version,
			MagicCookieKey:   proto.CookieKey,
			MagicCookieValue: proto.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{proto.Version: {"hareconcile": &grpcPlugin{config: c}}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(maxRequest))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	}
}

// Register registers the services of a plugin. Serve does it; only test harnesses need it.
func Register(r grpc.ServiceRegistrar, c *Config) {
	srv := &server{config: c, instances: map[string]*instance{}}
	pluginv1.RegisterPluginServer(r, srv)
	pluginv1.RegisterTrackServer(r, srv)
}

// A grpcPlugin registers the services of a plugin.
type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	config *Config
}

var _ plugin.GRPCPlugin = (*grpcPlugin)(nil)

// GRPCServer implements plugin.GRPCPlugin.
func (p *grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	Register(s, p.config)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin: it returns the connection.
func (p *grpcPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

// A server serves the Plugin and Track services.
type server struct {
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedTrackServer
	config *Config

	mu        sync.Mutex
	instances map[string]*instance
}

// Info implements pluginv1.PluginServer.
func (s *server) Info(context.Context, *pluginv1.InfoRequest) (*pluginv1.InfoResponse, error) {
	return &pluginv1.InfoResponse{
		Name: s.config.Name, Version: s.config.Version, Types: []string{"track"},
		Features: []string{proto.FeatureWatch, proto.FeatureCheckAll},
	}, nil
}

// Schema implements pluginv1.PluginServer.
func (s *server) Schema(context.Context, *pluginv1.SchemaRequest) (*pluginv1.SchemaResponse, error) {
	out := &pluginv1.SchemaResponse{Attributes: map[string]*pluginv1.Attribute{}}
	for name, a := range s.config.Track.Schema() {
		out.Attributes[name] = &pluginv1.Attribute{
			Type: string(a.Type), Required: a.Required, Description: a.Description,
		}
	}
	return out, nil
}

// Configure implements pluginv1.PluginServer.
func (s *server) Configure(ctx context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	i, diags := configure(ctx, s.config.Track, r.Config)
	out := &pluginv1.ConfigureResponse{}
	for _, d := range diags {
		out.Diagnostics = append(out.Diagnostics, &pluginv1.Diagnostic{Attribute: d.Attribute, Message: d.Message})
	}
	if i == nil {
		return out, nil
	}
	s.mu.Lock()
	old, replaced := s.instances[r.Instance]
	full := !replaced && len(s.instances) >= maxInstances
	if !full {
		s.instances[r.Instance] = i
	}
	s.mu.Unlock()
	switch {
	case full:
		i.close()
		return nil, status.Errorf(codes.ResourceExhausted, "there are %d instances already", maxInstances)
	case replaced:
		old.close()
	}
	return out, nil
}

// Forget implements pluginv1.PluginServer.
func (s *server) Forget(_ context.Context, r *pluginv1.ForgetRequest) (*pluginv1.ForgetResponse, error) {
	s.mu.Lock()
	i, ok := s.instances[r.Instance]
	delete(s.instances, r.Instance)
	s.mu.Unlock()
	if ok {
		i.close()
	}
	return &pluginv1.ForgetResponse{}, nil
}

// Check implements pluginv1.TrackServer.
func (s *server) Check(ctx context.Context, r *pluginv1.CheckRequest) (*pluginv1.CheckResponse, error) {
	i, err := s.instance(r.Instance)
	if err != nil {
		return nil, err
	}
	return message(i.check(ctx)), nil
}

// What CheckAll sends at a time: what is ready within gather of each other, and not much more
// than fullMessage, of which a host takes the double.
const (
	gather      = 3 * time.Millisecond
	fullMessage = 32 << 10 // bytes
)

// CheckAll implements pluginv1.TrackServer.
func (s *server) CheckAll(r *pluginv1.CheckAllRequest, stream grpc.ServerStreamingServer[pluginv1.CheckAllResponse]) (err error) {
	var all []*instance
	var places []uint32 // of all in the request
	out := &pluginv1.CheckAllResponse{}
	for place, name := range r.Instances[:min(len(r.Instances), maxInstances)] {
		if i, err := s.instance(name); err == nil {
			all, places = append(all, i), append(places, uint32(place))
		} else {
			out.Answers = append(out.Answers, &pluginv1.Answer{Place: uint32(place)})
		}
	}
	size := 0
	send := func() {
		if err == nil && len(out.Answers) > 0 {
			err = stream.Send(out)
		}
		out, size = &pluginv1.CheckAllResponse{}, 0
	}
	checkAll(stream.Context(), all, gather, func(ready []answer) {
		for _, a := range ready {
			m := message(a.result)
			more := googleproto.Size(m)
			if size > 0 && size+more > fullMessage {
				send()
			}
			size += more
			out.Answers = append(out.Answers, &pluginv1.Answer{Place: places[a.place], Response: m})
		}
		send()
	})
	send()
	return err
}

// Watch implements pluginv1.TrackServer.
func (s *server) Watch(r *pluginv1.WatchRequest, stream grpc.ServerStreamingServer[pluginv1.CheckResponse]) error {
	i, err := s.instance(r.Instance)
	if err != nil {
		return err
	}
	w, ok := i.i.(Watcher)
	if !ok {
		return status.Error(codes.FailedPrecondition, "this instance has to be asked")
	}
	// Results come from the plugin's own goroutines, and a stream takes one at a time.
	var sending sync.Mutex
	err = contain(func() error {
		return w.Watch(stream.Context(), func(res Result) {
			if !res.Status.known() {
				res.Status = Unknown
			}
			sending.Lock()
			defer sending.Unlock()
			_ = stream.Send(message(res.bounded())) // the stream's context ends with it
		})
	})
	if err != nil {
		return status.Error(codes.Unknown, oneLine(err.Error()))
	}
	return nil
}

func (s *server) instance(name string) (*instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.instances[name]
	if !ok {
		return nil, status.Error(codes.NotFound, fmt.Sprintf("there is no instance %q", name))
	}
	return i, nil
}

var statuses = map[Status]pluginv1.Status{
	Unknown: pluginv1.Status_STATUS_UNKNOWN, Pass: pluginv1.Status_STATUS_PASS,
	Warn: pluginv1.Status_STATUS_WARN, Fail: pluginv1.Status_STATUS_FAIL,
}

func message(r Result) *pluginv1.CheckResponse {
	out := &pluginv1.CheckResponse{Status: statuses[r.Status], Detail: r.Detail, Code: r.Code, Metrics: r.Metrics, Facts: r.Facts}
	for _, p := range r.Parts {
		out.Parts = append(out.Parts, &pluginv1.Part{Name: p.Name, Status: statuses[p.Status], Detail: p.Detail, Code: p.Code})
	}
	return out
}
