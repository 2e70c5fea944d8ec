package notify

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// mailWait is how long one mail may take, whatever the server does.
const mailWait = 30 * time.Second

// A mailer sends mail: one for as many events as there are.
type mailer struct {
	block spec.NotifySMTP
	o     Options
}

// tell sends one mail of all events.
func (m *mailer) tell(ctx context.Context, events []event.Event) error {
	password := ""
	if m.block.Password != "" {
		var err error
		if password, err = m.o.Secret(m.block.Password); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, mailWait)
	defer cancel()
	host, _, err := net.SplitHostPort(m.block.Server)
	if err != nil {
		return fmt.Errorf("%w: %w", err, errNever)
	}
	conn, err := m.dial(ctx, host)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // Quit has closed it, or nothing more can be said
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := m.deliver(conn, host, password, events); err != nil {
		return judged(err)
	}
	return nil
}

func (m *mailer) dial(ctx context.Context, host string) (net.Conn, error) {
	if m.block.TLS == "implicit" {
		return (&tls.Dialer{Config: &tls.Config{ServerName: host}}).DialContext(ctx, "tcp", m.block.Server)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", m.block.Server)
}

// deliver speaks SMTP (RFC 5321) with a log-in (RFC 4954).
func (m *mailer) deliver(conn net.Conn, host, password string, events []event.Event) error {
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	if err := c.Hello(helo(events[0].Node)); err != nil {
		return err
	}
	if m.block.TLS == "starttls" { // an error where the server has none: nothing goes in the clear
		if err := c.StartTLS(&tls.Config{ServerName: host}); err != nil {
			return fmt.Errorf("starttls: %w", err)
		}
	}
	if m.block.Username != "" {
		if err := c.Auth(smtp.PlainAuth("", m.block.Username, password, host)); err != nil {
			return fmt.Errorf("log in: %w", withoutText(err))
		}
	}
	if err := c.Mail(m.block.From); err != nil {
		return err
	}
	for _, to := range m.block.Recipients {
		if err := c.Rcpt(to); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m.message(events)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the server has taken the mail; a second one would be worse than an impolite end
	return nil
}

// helo is the node's name, if that can be a host's.
func helo(node string) string {
	for _, r := range node {
		if r > 'z' || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.", r) {
			return "localhost"
		}
	}
	if node == "" {
		return "localhost"
	}
	return node
}

// withoutText keeps what a server said during the log-in out of the status: it may repeat what
// it was sent.
func withoutText(err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return &textproto.Error{Code: reply.Code, Msg: "the server refuses"}
	}
	return err
}

// judged says that no further attempt can mend what a server refuses for good (RFC 5321,
// section 4.2.1), but for log-ins: a password is corrected on the host.
func judged(err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code >= 550 && reply.Code < 560 {
		return fmt.Errorf("%w; %w", err, errNever)
	}
	return err
}

// message is the mail. Texts of events are one line each, so nothing can add a header.
func (m *mailer) message(events []event.Event) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n", m.block.From, strings.Join(m.block.Recipients, ">, <"),
		mime.QEncoding.Encode("utf-8", subject(events)), time.Now().Format(time.RFC1123Z), rand.Text(), helo(events[0].Node))
	b.WriteString("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	for _, e := range events {
		fmt.Fprintf(&b, "%s  %s  %s\r\n", e.Time.Format(time.RFC3339), e.Node, headline(e))
		for _, line := range []struct{ name, text string }{{"revision", e.Revision}, {"reason", e.Reason}} {
			if line.text != "" {
				fmt.Fprintf(&b, "    %s: %s\r\n", line.name, line.text)
			}
		}
	}
	return b.Bytes()
}

// subject says the first thing and how many more there are.
func subject(events []event.Event) string {
	s := "[" + events[0].Node + "] " + headline(events[0])
	if more := len(events) - 1; more > 0 {
		s += fmt.Sprintf(", and %d more", more)
	}
	return s
}

func headline(e event.Event) string {
	s := strings.TrimRight(string(e.Kind)+" "+e.Subject, " ")
	switch {
	case e.From != "" && e.To != "":
		s += ": " + e.From + " -> " + e.To
	case e.To != "":
		s += ": " + e.To
	}
	return s
}
