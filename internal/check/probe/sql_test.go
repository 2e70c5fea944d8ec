package probe

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// packet is a first packet of MySQL's protocol.
func packet(body string) string {
	n := len(body)
	return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0}) + body
}

func TestMySQLGreeting(t *testing.T) {
	for _, tt := range []struct{ name, first, message, err string }{
		{"version 10 passes", packet("\x0a8.0.36\x00\x01\x00\x00\x00rest"), `greeted by version "8.0.36"`, ""},
		{"a full server fails", packet("\xff\x10\x04Too many connections"), "", "error 1040: Too many connections"},
		{"one that has locked us out fails", packet("\xff\x69\x04Host '192.0.2.1' is blocked"), "", "error 1129: Host '192.0.2.1' is blocked"},
		{"version 9 fails", packet("\x093.20\x00"), "", "answered with something that is not MySQL's"},
		{"an endless version fails", packet("\x0a" + strings.Repeat("8", 100)), "", "answered with something that is not MySQL's"},
		{"half a packet fails", packet("\x0a8.0")[:6], "", "connection closed in the middle of the answer"},
		{"an empty packet fails", packet(""), "", "answered with something that is not MySQL's"},
		{"a packet of 16 MiB fails", "\xff\xff\xff\x00\x0a8.0.36\x00", "", "answered with something that is not MySQL's"},
		{"another protocol fails", "SSH-2.0-OpenSSH_9.2\r\n", "", "answered with something that is not MySQL's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, func(c net.Conn) { _, _ = io.WriteString(c, tt.first) })
			compare(t, see(t, spec.Check{Type: "mysql", Timeout: 5 * time.Second}, addr), tt.message, tt.err)
		})
	}
	if _, err := New(spec.Check{Type: "mysql", TLS: &spec.TLS{}}, Target{}, Options{}); err == nil {
		t.Error("New of a greeting over TLS = nil, want an error: it comes before")
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add([]byte(packet("\x0a8.0.36\x00")))
	f.Add([]byte(packet("\xff\x10\x04Too many connections")))
	f.Add([]byte("\xff\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := readGreeting(bytes.NewReader(b)); err == nil {
			if back, err := readGreeting(strings.NewReader(packet("\x0a" + v + "\x00"))); err != nil || back != v {
				t.Errorf("%q comes back as %q, %v", v, back, err)
			}
		}
	})
}

func TestPostgreSQLGreeting(t *testing.T) {
	session := func(m pgproto3.BackendMessage) func(net.Conn) {
		return func(c net.Conn) {
			b := pgproto3.NewBackend(c, c)
			if _, err := b.ReceiveStartupMessage(); err != nil {
				return
			}
			b.Send(m)
			_ = b.Flush()
			hang(c)
		}
	}
	trouble := func(code, text string) func(net.Conn) {
		return session(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: text})
	}
	for _, tt := range []struct {
		name    string
		handle  func(net.Conn)
		message string
		err     string
	}{
		{"one that asks who we are passes", session(&pgproto3.AuthenticationMD5Password{}), "answered", ""},
		{"one that does not want us passes", trouble("28000", "no pg_hba.conf entry"), "answered", ""},
		{"one that starts fails", trouble("57P03", "the database system is starting up"), "", "the database system is starting up (57P03)"},
		{"one that is full fails", trouble("53300", "sorry, too many clients already"), "", "sorry, too many clients already (53300)"},
		{"another protocol fails", func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad\r\n\r\n"); hang(c) }, "", "invalid body length"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			compare(t, see(t, spec.Check{Type: "postgresql", Timeout: 5 * time.Second}, serve(t, tt.handle)), tt.message, tt.err)
		})
	}
	refuses := serve(t, func(c net.Conn) { _, _ = c.Write([]byte("N")); hang(c) })
	c := spec.Check{Type: "postgresql", Timeout: 5 * time.Second, TLS: &spec.TLS{}}
	compare(t, see(t, c, refuses), "", "it does not speak TLS")
	c.SQL = &spec.SQLCheck{User: "u"}
	compare(t, see(t, c, refuses), "", "server refused TLS connection")
}

// TestLengthsMakeNoRoom: a server says that a message of a gigabyte comes.
func TestLengthsMakeNoRoom(t *testing.T) {
	head := binary.BigEndian.AppendUint32([]byte("R"), 1<<30-1)
	addr := serve(t, func(c net.Conn) { _, _ = c.Write(head); hang(c) })
	for _, sql := range []*spec.SQLCheck{nil, {User: "u"}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		compare(t, see(t, spec.Check{Type: "postgresql", Timeout: 5 * time.Second, SQL: sql}, addr), "", "invalid body length")
		runtime.ReadMemStats(&after)
		if made := after.TotalAlloc - before.TotalAlloc; made > 64<<20 {
			t.Errorf("made room of %d MiB for it", made>>20)
		}
	}
}

// TestEnvironmentIsNotAsked: what libpq reads for people is not for checks.
func TestEnvironmentIsNotAsked(t *testing.T) {
	for name, value := range map[string]string{
		"PGHOST": "192.0.2.1", "PGUSER": "somebody", "PGSSLMODE": "verify-full", "PGOPTIONS": "-c x=y", "PGTARGETSESSIONATTRS": "primary",
	} {
		t.Setenv(name, value)
	}
	got := make(chan *pgproto3.StartupMessage, 1)
	addr := serve(t, func(c net.Conn) {
		if m, err := pgproto3.NewBackend(c, c).ReceiveStartupMessage(); err == nil {
			if s, ok := m.(*pgproto3.StartupMessage); ok {
				got <- s
			}
		}
	})
	see(t, spec.Check{Type: "postgresql", Timeout: 5 * time.Second, SQL: &spec.SQLCheck{User: "checker", Database: "db"}}, addr)
	select {
	case m := <-got:
		if m.Parameters["user"] != "checker" || m.Parameters["database"] != "db" || m.Parameters["options"] != "" {
			t.Errorf("parameters %v", m.Parameters)
		}
	default:
		t.Error("the server was not asked")
	}
}
