package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// newSMTP greets as RFC 5321, section 4.1.1.1 has it, and says goodbye.
func newSMTP(c spec.Check, t Target) (look, error) {
	if c.SMTP == nil {
		c.SMTP = &spec.SMTPCheck{}
	}
	w, err := newWire(c, t)
	if err != nil {
		return nil, err
	}
	if c.SMTP.STARTTLS && w.secure == nil {
		w.secure = newSecurity(spec.TLS{}, w.target.Addr().WithZone("").String())
	}
	helo := cmp.Or(c.SMTP.Helo, answer.UserAgent)
	if strings.ContainsAny(helo, " \r\n\x00") {
		return nil, fmt.Errorf("helo %q cannot be said", helo)
	}
	return func(ctx context.Context) (Outcome, error) {
		open := w.open
		if c.SMTP.STARTTLS {
			open = w.plain
		}
		l, err := open(ctx)
		if err != nil {
			return Outcome{}, err
		}
		defer func() { _ = l.Close() }() // its goodbye does not matter
		return smtp(ctx, w, l, c.SMTP.STARTTLS, helo)
	}, nil
}

func smtp(ctx context.Context, w *wire, l line, starttls bool, helo string) (Outcome, error) {
	s := textproto.NewConn(l)
	_, banner, err := s.ReadResponse(220)
	if err != nil {
		return Outcome{}, said("greeted", err)
	}
	if err := greet(s, helo); err != nil {
		return Outcome{}, err
	}
	if starttls {
		if err := command(s, 220, "STARTTLS"); err != nil {
			return Outcome{}, err
		}
		// Anybody on the way could have put that there, to be taken for the server's.
		if s.R.Buffered() > 0 {
			return Outcome{}, errors.New("STARTTLS: it went on in the clear")
		}
		if l, err = w.wrap(ctx, l.Conn); err != nil {
			return Outcome{}, err
		}
		s = textproto.NewConn(l)
		if err := greet(s, helo); err != nil {
			return Outcome{}, err
		}
	}
	// A server that accepts mail passes, however it takes leave.
	_ = command(s, 221, "QUIT")
	return Outcome{Message: l.note(fmt.Sprintf("greeted %q", answer.Line(banner)))}, nil
}

// greet says EHLO, or HELO to those who do not know that (RFC 5321, section 3.2).
func greet(s *textproto.Conn, helo string) error {
	err := command(s, 250, "EHLO "+helo)
	var refusal *replied
	if errors.As(err, &refusal) && refusal.code/100 == 5 {
		return command(s, 250, "HELO "+helo)
	}
	return err
}

func command(s *textproto.Conn, want int, text string) error {
	if err := s.PrintfLine("%s", text); err != nil {
		return err
	}
	_, _, err := s.ReadResponse(want)
	verb, _, _ := strings.Cut(text, " ")
	return said(verb, err)
}

// A replied is a reply with another code than the one that was wanted.
type replied struct {
	to   string
	code int
	text string
}

func (r *replied) Error() string {
	return fmt.Sprintf("%s: answered %q", r.to, answer.Line(fmt.Sprint(r.code, " ", r.text)))
}

func said(to string, err error) error {
	var wrong *textproto.Error
	var garbage textproto.ProtocolError
	switch {
	case errors.As(err, &wrong):
		return &replied{to, wrong.Code, wrong.Msg}
	case errors.As(err, &garbage):
		return fmt.Errorf("%s: %s", to, answer.Line(string(garbage)))
	}
	return err
}
