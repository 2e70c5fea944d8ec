package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestTCP(t *testing.T) {
	open := serve(t, hang)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := netip.MustParseAddrPort(l.Addr().String())
	l.Close()

	tcp := spec.Check{Type: "tcp", Timeout: timeout}
	compare(t, see(t, tcp, open), "connected", "")
	compare(t, see(t, tcp, refused), "", "connect: connection refused")
	compare(t, see(t, spec.Check{Type: "http", HTTP: &spec.HTTPCheck{}, Timeout: timeout}, refused), "", "connect: connection refused")
	tcp.Timeout = time.Nanosecond
	compare(t, see(t, tcp, open), "", "timed out after 1ns")
}

func TestCancelledProbeSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := serve(t, func(c net.Conn) { cancel(); hang(c) })
	p, err := New(spec.Check{Type: "http", HTTP: &spec.HTTPCheck{}, Timeout: time.Minute}, Target{Address: addr}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if out := p(ctx); !errors.Is(out.Err, context.Canceled) || !out.Unmeasured {
		t.Errorf("probe = %+v, want context.Canceled, unmeasured", out)
	}
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name  string
		check spec.Check
		want  string
	}{
		{"an unknown type", spec.Check{Type: "gopher"}, `check of unknown type "gopher"`},
		{"a plugin is asked by its host", spec.Check{Type: "plugin"}, "a plugin check is told by others, not probed"},
		{"BFD has its own daemon", spec.Check{Type: "bfd"}, "a bfd check is told by others, not probed"},
		{"a path that is none", spec.Check{Type: "http", HTTP: &spec.HTTPCheck{Path: "/\x7f"}}, `path "/\x7f" cannot be asked for`},
	} {
		if _, err := New(tt.check, Target{}, Options{}); err == nil || err.Error() != tt.want {
			t.Errorf("%s: New = %v, want %s", tt.name, err, tt.want)
		}
	}
}
