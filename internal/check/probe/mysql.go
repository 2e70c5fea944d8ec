package probe

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// newMySQL reads the server's greeting, and with a user logs in and asks for a constant.
// A server counts connections that end after the greeting, and at max_connect_errors locks
// their host out; a log-in starts the count anew. So checks of servers that resolve names
// should have a user.
func newMySQL(c spec.Check, t Target, o Options) (look, error) {
	if c.SQL == nil {
		c.SQL = &spec.SQLCheck{}
	}
	w, err := newWire(c, t)
	if err != nil {
		return nil, err
	}
	if c.SQL.User != "" {
		return func(ctx context.Context) (Outcome, error) { return mysqlLogin(ctx, w, *c.SQL, o) }, nil
	}
	if c.TLS != nil {
		return nil, errors.New("TLS comes after the greeting: name a user")
	}
	return func(ctx context.Context) (Outcome, error) {
		l, err := w.plain(ctx)
		if err != nil {
			return Outcome{}, err
		}
		defer func() { _ = l.Close() }() // the greeting is all that is read
		version, err := readGreeting(l)
		if err != nil {
			return Outcome{}, err
		}
		return Outcome{Message: fmt.Sprintf("greeted by version %q", answer.Line(version))}, nil
	}, nil
}

// readGreeting reads the first packet of the protocol: the handshake of version 10, or an
// error, such as too many connections.
func readGreeting(r io.Reader) (version string, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if head[3] != 0 || n == 0 || n > answer.MaxHeader {
		return "", errNoMySQL
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	switch {
	case b[0] == 0xff && n >= 3:
		return "", fmt.Errorf("error %d: %s", binary.LittleEndian.Uint16(b[1:]), answer.Line(string(b[3:])))
	case b[0] == 10:
		for i, c := range b[1:] {
			if c == 0 {
				return string(b[1 : i+1]), nil
			}
		}
	}
	return "", errNoMySQL
}

var errNoMySQL = errors.New("answered with something that is not MySQL's")

func mysqlLogin(ctx context.Context, w *wire, login spec.SQLCheck, o Options) (Outcome, error) {
	password, err := o.secret(login.Password)
	if err != nil {
		return Outcome{}, err
	}
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.DBName = login.User, password, login.Database
	cfg.Net, cfg.Addr = "tcp", w.target.String()
	cfg.Logger = &mysql.NopLogger{}
	c := &conn{}
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		dialed, err := w.dial(ctx, "tcp")
		if err != nil {
			return nil, err
		}
		c = dialed
		return c, nil
	}
	if w.secure != nil {
		if cfg.TLS, err = w.secure.config(); err != nil {
			return Outcome{}, err
		}
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return Outcome{}, own(err)
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return Outcome{}, mysqlSays(c, err)
	}
	defer func() { _ = conn.Close() }() // the answer has been read
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, "SELECT 1", nil)
	if err != nil {
		return Outcome{}, mysqlSays(c, err)
	}
	defer func() { _ = rows.Close() }() // with the connection
	if err := rows.Next(make([]driver.Value, len(rows.Columns()))); err != nil {
		return Outcome{}, mysqlSays(c, err)
	}
	return Outcome{Message: "logged in as " + login.User}, nil
}

// mysqlSays returns an error's words without the state of SQL in it. The driver has one
// error for all that may end a connection.
func mysqlSays(c *conn, err error) error {
	var said *mysql.MySQLError
	switch {
	case errors.As(err, &said):
		return fmt.Errorf("error %d: %s", said.Number, said.Message)
	case errors.Is(err, mysql.ErrInvalidConn):
		return c.cause(errNoMySQL)
	}
	return err
}
