package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// newGRPC asks grpc.health.v1.Health whether a service is served.
func newGRPC(c spec.Check, t Target) (look, error) {
	if c.GRPC == nil {
		c.GRPC = &spec.GRPCCheck{}
	}
	w, err := newWire(c, t)
	if err != nil {
		return nil, err
	}
	authority := cmp.Or(c.GRPC.Authority, w.target.String())
	if w.secure != nil && c.GRPC.Authority != "" {
		w.secure = newSecurity(*c.TLS, c.GRPC.Authority)
	}
	return func(ctx context.Context) (Outcome, error) {
		g := &caller{wire: w, ctx: ctx}
		client, err := g.client(authority)
		if err != nil {
			return Outcome{}, err
		}
		defer func() { _ = client.Close() }() // the answer has been read
		resp, err := health.NewHealthClient(client).Check(ctx, &health.HealthCheckRequest{Service: c.GRPC.Service})
		switch {
		case err != nil:
			return Outcome{}, g.trouble(err, c.GRPC.Service)
		case resp.GetStatus() != health.HealthCheckResponse_SERVING:
			return Outcome{}, fmt.Errorf("status %v, want SERVING", resp.GetStatus())
		}
		return Outcome{Message: g.note("SERVING")}, nil
	}, nil
}

// A caller keeps what grpc-go hides in a text: why there is no connection, and what its
// handshake told. It lives as long as one look, whose context it has because grpc-go ends
// that of the dialer with the dialing.
type caller struct {
	wire *wire
	ctx  context.Context

	mu    sync.Mutex
	conn  *conn
	state line
	fault error
}

func (g *caller) client(authority string) (*grpc.ClientConn, error) {
	secure := insecure.NewCredentials()
	if g.wire.secure != nil {
		config, err := g.wire.secure.config("h2")
		if err != nil {
			return nil, err
		}
		config.ServerName = "" // grpc-go would compare it with the authority
		secure = handshaker{credentials.NewTLS(config), g}
	}
	return grpc.NewClient("passthrough:///"+g.wire.target.String(),
		grpc.WithTransportCredentials(secure),
		grpc.WithContextDialer(g.dial),
		grpc.WithAuthority(authority),
		grpc.WithUserAgent(answer.UserAgent),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithNoProxy(),
		grpc.WithMaxHeaderListSize(answer.MaxHeader),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(answer.MaxBody)))
}

func (g *caller) dial(context.Context, string) (net.Conn, error) {
	c, err := g.wire.dial(g.ctx, "tcp")
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.fault = err
		return nil, err
	}
	g.conn = c
	return c, nil
}

func (g *caller) note(message string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state.note(message)
}

// trouble says why a call failed.
func (g *caller) trouble(err error, service string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch s := status.Convert(err); {
	case g.fault != nil:
		return g.fault
	case g.ctx.Err() != nil, s.Code() == codes.DeadlineExceeded:
		return context.DeadlineExceeded // grpc-go's clock may be a little ahead
	case s.Code() == codes.Unavailable && g.conn != nil && g.conn.broke.Load() != nil:
		return g.conn.cause(nil)
	case s.Code() == codes.Unimplemented:
		return errors.New("it has no health service (grpc.health.v1)")
	case s.Code() == codes.NotFound:
		return fmt.Errorf("it knows no service %q", service)
	default:
		return fmt.Errorf("%v: %s", s.Code(), answer.Line(strings.TrimPrefix(s.Message(), "connection error: desc = ")))
	}
}

// A handshaker shakes hands for a caller.
type handshaker struct {
	credentials.TransportCredentials
	caller *caller
}

// ClientHandshake implements credentials.TransportCredentials. grpc-go looks for the
// authority on the certificate, the check for its own name.
func (h handshaker) ClientHandshake(ctx context.Context, _ string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := h.TransportCredentials.ClientHandshake(ctx, h.caller.wire.secure.name, raw)
	h.caller.mu.Lock()
	defer h.caller.mu.Unlock()
	h.caller.fault = err
	if t, ok := info.(credentials.TLSInfo); ok {
		h.caller.state = line{state: &t.State}
	}
	return c, info, err
}

// Clone implements credentials.TransportCredentials.
func (h handshaker) Clone() credentials.TransportCredentials {
	return handshaker{h.TransportCredentials.Clone(), h.caller}
}
