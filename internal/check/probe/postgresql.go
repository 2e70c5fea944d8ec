package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// newPostgreSQL starts a session as pg_isready(1) does, and with a user logs in and asks
// for a constant.
func newPostgreSQL(c spec.Check, t Target, o Options) (look, error) {
	if c.SQL == nil {
		c.SQL = &spec.SQLCheck{}
	}
	w, err := newWire(c, t)
	if err != nil {
		return nil, err
	}
	if c.SQL.User != "" {
		return func(ctx context.Context) (Outcome, error) { return postgresLogin(ctx, w, *c.SQL, o) }, nil
	}
	return func(ctx context.Context) (Outcome, error) { return postgresGreet(ctx, w) }, nil
}

// postgresGreet asks to start a session. A server that wants to know who we are, or does
// not want us, is alive; one that starts, stops or is full says so.
func postgresGreet(ctx context.Context, w *wire) (Outcome, error) {
	l, err := w.plain(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = l.Close() }() // nobody has logged in
	if w.secure != nil {
		if l, err = postgresTLS(ctx, w, l); err != nil {
			return Outcome{}, err
		}
	}
	f := frontend(l, l)
	f.Send(&pgproto3.StartupMessage{
		ProtocolVersion: pgproto3.ProtocolVersion30,
		Parameters:      map[string]string{"user": "hareconcile", "application_name": answer.UserAgent},
	})
	if err := f.Flush(); err != nil {
		return Outcome{}, err
	}
	m, err := f.Receive()
	if err != nil {
		return Outcome{}, err
	}
	switch m := m.(type) {
	case *pgproto3.ErrorResponse:
		if slices.Contains(busy, m.Code) {
			return Outcome{}, fmt.Errorf("%s (%s)", answer.Line(m.Message), answer.Line(m.Code))
		}
		return Outcome{Message: l.note("answered")}, nil
	case pgproto3.BackendMessage:
		f.Send(&pgproto3.Terminate{})
		_ = f.Flush() // it is alive, whether it hears this or not
		return Outcome{Message: l.note("answered")}, nil
	}
	return Outcome{}, errNoPostgres
}

// frontend returns our side of the protocol. It makes room for a message as soon as its
// length is known, so that has a bound.
func frontend(r io.Reader, w io.Writer) *pgproto3.Frontend {
	f := pgproto3.NewFrontend(r, w)
	f.SetMaxBodyLen(answer.MaxBody)
	return f
}

// busy are the errors of a server that takes no sessions from anybody (errcodes.txt):
// too_many_connections, admin_shutdown, crash_shutdown, cannot_connect_now.
var busy = []string{"53300", "57P01", "57P02", "57P03"}

var errNoPostgres = errors.New("answered with something that is not PostgreSQL's")

// postgresTLS asks for TLS and shakes hands.
func postgresTLS(ctx context.Context, w *wire, l line) (line, error) {
	const length, sslRequest = 8, 80877103 // pqcomm.h, NEGOTIATE_SSL_CODE
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, length), sslRequest)
	if _, err := l.Write(b); err != nil {
		return l, err
	}
	var yes [1]byte
	if _, err := io.ReadFull(l, yes[:]); err != nil {
		return l, err
	}
	switch yes[0] {
	case 'S':
		return w.wrap(ctx, l.Conn, "postgresql")
	case 'N':
		return l, errors.New("it does not speak TLS")
	}
	return l, errNoPostgres
}

func postgresLogin(ctx context.Context, w *wire, c spec.SQLCheck, o Options) (Outcome, error) {
	password, err := o.secret(c.Password)
	if err != nil {
		return Outcome{}, err
	}
	// ParseConfig is the one maker of a Config. What the environment and the files of the
	// home directory say is replaced.
	cfg, err := pgconn.ParseConfig("host=localhost sslmode=disable passfile=/nonexistent")
	if err != nil {
		return Outcome{}, own(err)
	}
	cfg.Host, cfg.Port = w.target.Addr().String(), w.target.Port()
	cfg.User, cfg.Password, cfg.Database = c.User, password, c.Database
	cfg.Fallbacks, cfg.TLSConfig, cfg.ConnectTimeout, cfg.ValidateConnect = nil, nil, 0, nil
	cfg.RuntimeParams = map[string]string{"application_name": answer.UserAgent}
	cfg.BuildFrontend = frontend
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		l, err := w.plain(ctx)
		return l.Conn, err
	}
	if w.secure != nil {
		if cfg.TLSConfig, err = w.secure.config("postgresql"); err != nil {
			return Outcome{}, err
		}
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return Outcome{}, postgresSays(err)
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(bounded) // the answer has been read
	}()
	if _, err := conn.Exec(ctx, "SELECT 1").ReadAll(); err != nil {
		return Outcome{}, postgresSays(err)
	}
	return Outcome{Message: "logged in as " + c.User}, nil
}

// postgresSays returns the server's words, if it said any, or the first cause.
func postgresSays(err error) error {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return fmt.Errorf("%s (%s)", said.Message, said.Code)
	}
	return first(err)
}

// first returns the innermost error, of several the first, or the kernel's.
func first(err error) error {
	switch e := err.(type) {
	case *os.SyscallError:
		return e
	case interface{ Unwrap() []error }:
		if all := e.Unwrap(); len(all) > 0 {
			return first(all[0])
		}
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return first(inner)
		}
	}
	return err
}
