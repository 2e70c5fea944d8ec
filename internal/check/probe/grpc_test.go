package probe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// serveGRPC runs a server until the test ends.
func serveGRPC(t *testing.T, register func(*grpc.Server), options ...grpc.ServerOption) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(options...)
	register(s)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return netip.MustParseAddrPort(l.Addr().String())
}

// A sick server hangs, or answers with too much.
type sick struct {
	healthpb.UnimplementedHealthServer
}

func (sick) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if r.GetService() == "flood" {
		m := &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}
		m.ProtoReflect().SetUnknown(append([]byte{0x7a, 0x80, 0x80, 0x80, 0x01}, make([]byte, 2<<20)...)) // field 15 of 2 MiB
		return m, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestGRPC(t *testing.T) {
	a := newAuthority(t)
	authorities := make(chan string, 20)
	healthy := func(s *grpc.Server) {
		h := health.NewServer()
		h.SetServingStatus("mail", healthpb.HealthCheckResponse_SERVING)
		h.SetServingStatus("old", healthpb.HealthCheckResponse_NOT_SERVING)
		healthpb.RegisterHealthServer(s, h)
	}
	watch := grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if md, ok := metadata.FromIncomingContext(ctx); ok {
			authorities <- md.Get(":authority")[0]
		}
		return handler(ctx, req)
	})
	pair := a.server("good", expires)
	plain := serveGRPC(t, healthy, watch)
	secure := serveGRPC(t, healthy, watch, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	none := serveGRPC(t, func(*grpc.Server) {})
	ill := serveGRPC(t, func(s *grpc.Server) { healthpb.RegisterHealthServer(s, sick{}) })
	old := web2(t, nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	trust := &spec.TLS{CA: a.file}
	const cert = ", certificate until 2099-01-02"
	for _, tt := range []struct {
		name      string
		addr      netip.AddrPort
		check     *spec.GRPCCheck
		tls       *spec.TLS
		message   string
		err       string
		authority string
	}{
		{"the server as a whole", plain, nil, nil, "SERVING", "", plain.String()},
		{"a service", plain, &spec.GRPCCheck{Service: "mail", Authority: "mail.example.com"}, nil, "SERVING", "", "mail.example.com"},
		{"one that is not served", plain, &spec.GRPCCheck{Service: "old"}, nil, "", "status NOT_SERVING, want SERVING", plain.String()},
		{"one that is not known", plain, &spec.GRPCCheck{Service: "x"}, nil, "", `it knows no service "x"`, plain.String()},
		{"no health service", none, nil, nil, "", "it has no health service (grpc.health.v1)", ""},
		{"TLS", secure, nil, trust, "SERVING" + cert, "", secure.String()},
		{"TLS by the authority's name", secure, &spec.GRPCCheck{Authority: "www.example.com"}, trust, "SERVING" + cert, "", "www.example.com"},
		{"an authority that the certificate has not", secure, &spec.GRPCCheck{Authority: "db.example.com"}, trust, "", "certificate is valid for www.example.com, not db.example.com", ""},
		{"unless a name is written", secure, &spec.GRPCCheck{Authority: "db.example.com"}, &spec.TLS{CA: a.file, Name: "www.example.com"}, "SERVING" + cert, "", "db.example.com"},
		{"a certificate of strangers", secure, nil, &spec.TLS{}, "", "certificate signed by unknown authority", ""},
		{"TLS without a check of it", secure, nil, &spec.TLS{Insecure: true}, "SERVING" + cert, "", secure.String()},
		{"no TLS where it is wanted", secure, nil, nil, "", "", ""},
		{"TLS where there is none", plain, nil, trust, "", "tls: first record does not look like a TLS handshake", ""},
		{"an answer that does not come", ill, nil, nil, "", "timed out after 1s", ""},
		{"an answer that is too long", ill, &spec.GRPCCheck{Service: "flood"}, nil, "", "ResourceExhausted: ", ""},
		{"HTTP/2 without gRPC", old, nil, nil, "", "it has no health service (grpc.health.v1)", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := see(t, spec.Check{Type: "grpc", Timeout: time.Second, GRPC: tt.check, TLS: tt.tls}, tt.addr)
			compare(t, out, tt.message, tt.err)
			got := "" // it is there before the answer, if the server was asked
			select {
			case got = <-authorities:
			default:
			}
			if got != tt.authority {
				t.Errorf("authority %q, want %q", got, tt.authority)
			}
		})
	}
	compare(t, see(t, spec.Check{Type: "grpc", Timeout: 5 * time.Second}, serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}}, hang)), "", "")
}
