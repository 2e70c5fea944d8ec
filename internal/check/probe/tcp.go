package probe

import (
	"context"
	"net"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// newTCP connects, shakes hands where the check has TLS, and says and hears what the check
// says.
func newTCP(c spec.Check, t Target) (look, error) {
	w, err := newWire(c, t)
	if err != nil {
		return nil, err
	}
	text, err := answer.NewText(c.TCP)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Outcome, error) {
		l, err := w.open(ctx)
		if err != nil {
			return Outcome{}, err
		}
		defer func() { _ = l.Close() }() // all that matters was heard
		out := Outcome{Message: "connected"}
		if c.TCP != nil && len(c.TCP.Send) > 0 {
			if _, err := l.Write(c.TCP.Send); err != nil {
				return Outcome{}, err
			}
		}
		if text.Listens() {
			out = hear(l, text)
		}
		out.Message = l.note(out.Message)
		return out, nil
	}, nil
}

// hear listens until what is expected has come, or nothing more will.
func hear(c net.Conn, text *answer.Text) Outcome {
	var h answer.Heard
	buf := make([]byte, 2<<10)
	for !h.Full() {
		n, err := c.Read(buf)
		if text.Hear(&h, buf[:n]) {
			return text.Judge(&h, nil)
		}
		if err != nil {
			return text.Judge(&h, err)
		}
	}
	return text.Judge(&h, nil)
}
