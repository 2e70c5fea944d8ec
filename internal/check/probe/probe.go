// Package probe looks at a server once, within a deadline and a bound on what it reads.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// A Target is the server that is looked at.
type Target struct {
	Address      netip.AddrPort
	Pool, Server string // names
}

// An Outcome is what one look told. Err nil is a pass; Unmeasured is a fault of this host,
// which says nothing of the server.
type Outcome = answer.Outcome

// A Prober looks once. It returns soon after ctx or the check's timeout ends, and its texts
// are short enough for a status line.
type Prober func(ctx context.Context) Outcome

// Options are what this host lends to probes. The zero value lends nothing.
type Options struct {
	// Secret reads a secret of this host; nil knows none.
	Secret func(name string) ([]byte, error)
	// AllowExec lets checks run programs of this host.
	AllowExec bool
	// ExecUser is whom those run as where this process is root; empty, or a user that is not
	// there, is nobody. They never gain privileges through setuid files.
	ExecUser string
}

// secret reads a secret. The name "" is none.
func (o Options) secret(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if o.Secret == nil {
		return "", own(fmt.Errorf("there is no secret %s", name))
	}
	b, err := o.Secret(name)
	if err != nil {
		return "", own(err)
	}
	return string(b), nil
}

// New returns the Prober of a check of one server. It does not touch the server or the host.
func New(c spec.Check, t Target, o Options) (Prober, error) {
	look, err := newLook(c, t, o)
	if err != nil {
		return nil, err
	}
	return within(c, look), nil
}

// A look does what a Prober does, within the deadline of its context. Errors of this host
// are an *ownError, or the kernel's for want of something.
type look func(ctx context.Context) (Outcome, error)

func newLook(c spec.Check, t Target, o Options) (look, error) {
	switch c.Type {
	case "tcp":
		return newTCP(c, t)
	case "http", "https":
		return newHTTP(c, t)
	case "dns":
		return newDNS(c, t)
	case "smtp":
		return newSMTP(c, t)
	case "ping":
		return newPing(c, t)
	case "udp":
		return newUDP(c, t)
	case "grpc":
		return newGRPC(c, t)
	case "redis":
		return newRedis(c, t, o)
	case "mysql":
		return newMySQL(c, t, o)
	case "postgresql":
		return newPostgreSQL(c, t, o)
	case "exec":
		return newExec(c, t, o)
	case "file":
		return newFile(c, t)
	case "plugin", "bfd":
		return nil, fmt.Errorf("a %s check is told by others, not probed", c.Type)
	}
	return nil, fmt.Errorf("check of unknown type %q", c.Type)
}

// within gives a look a deadline for all that it does, its errors plain texts, and slow
// passes their name.
func within(c spec.Check, l look) Prober {
	return func(ctx context.Context) Outcome {
		began := time.Now()
		bounded, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		out, err := l(bounded)
		if errors.Is(err, errSilence) && ctx.Err() == nil {
			return silent(c.Timeout)
		}
		if err != nil {
			out = Outcome{Err: err}
		}
		switch took := time.Since(began); {
		case out.Err != nil && ctx.Err() != nil:
			return Outcome{Err: ctx.Err(), Unmeasured: true}
		case out.Err != nil:
			out.Unmeasured = out.Unmeasured || ours(out.Err)
			out.Err = plain(out.Err, c.Timeout)
		case c.DegradedAfter > 0 && took > c.DegradedAfter:
			out.Degraded = true
			out.Message += fmt.Sprintf(", after %v", took.Round(time.Millisecond))
		}
		return out
	}
}
