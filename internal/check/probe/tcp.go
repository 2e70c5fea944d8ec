package probe

import (
	"context"
	"net"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// newTCP connects and closes.
func newTCP(c spec.Check, t Target) (look, error) {
	target := t.Asked(c)
	return func(ctx context.Context) (Outcome, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", target.String())
		if err != nil {
			return Outcome{}, err
		}
		_ = conn.Close() // nothing was written that could be lost
		return Outcome{Message: "connected"}, nil
	}, nil
}
