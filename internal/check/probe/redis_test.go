package probe

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// store answers commands, each of which is known by its words, in RESP.
func store(answers map[string]string) func(net.Conn) {
	return func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			var n, length int
			if _, err := fmt.Fscanf(in, "*%d\r\n", &n); err != nil {
				return
			}
			var words []string
			for range n {
				if _, err := fmt.Fscanf(in, "$%d\r\n", &length); err != nil {
					return
				}
				b := make([]byte, length+2)
				if _, err := in.Read(b); err != nil {
					return
				}
				words = append(words, string(b[:length]))
			}
			fmt.Fprint(c, answers[strings.Join(words, " ")])
		}
	}
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

func TestRedis(t *testing.T) {
	role := bulk("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n")
	for _, tt := range []struct {
		name    string
		check   *spec.RedisCheck
		answers map[string]string
		message string
		err     string
	}{
		{"PONG passes", nil, map[string]string{"PING": "+PONG\r\n"}, "PONG", ""},
		{"a password", &spec.RedisCheck{Password: "db"}, map[string]string{"AUTH secret": "+OK\r\n", "PING": "+PONG\r\n"}, "PONG", ""},
		{"a user", &spec.RedisCheck{User: "u", Password: "db"}, map[string]string{"AUTH u secret": "+OK\r\n", "PING": "+PONG\r\n"}, "PONG", ""},
		{"a role", &spec.RedisCheck{Role: "master"}, map[string]string{"PING": "+PONG\r\n", "INFO replication": role}, "PONG, master", ""},
		{"another role", &spec.RedisCheck{Role: "slave"}, map[string]string{"PING": "+PONG\r\n", "INFO replication": role}, "", `its role is "master", want "slave"`},
		{"no role", &spec.RedisCheck{Role: "slave"}, map[string]string{"PING": "+PONG\r\n", "INFO replication": bulk("x")}, "", `its role is "", want "slave"`},
		{"a wrong password", &spec.RedisCheck{Password: "db"}, map[string]string{"AUTH secret": "-WRONGPASS invalid\r\n"}, "", `answered "WRONGPASS invalid"`},
		{"no password where one is wanted", nil, map[string]string{"PING": "-NOAUTH Authentication required.\r\n"}, "", `answered "NOAUTH Authentication required."`},
		{"one that loads its data", nil, map[string]string{"PING": "-LOADING Redis is loading\r\n"}, "", `answered "LOADING Redis is loading"`},
		{"another word", nil, map[string]string{"PING": "+PING\r\n"}, "", `PING: answered "PING", want "PONG"`},
		{"a string that is too long", nil, map[string]string{"PING": "$65537\r\n"}, "", `answered with a string of "65537" bytes`},
		{"no string", nil, map[string]string{"PING": "$-1\r\n"}, "", `answered with a string of "-1" bytes`},
		{"a string that does not end", nil, map[string]string{"PING": "$4\r\nPONGxx"}, "", "answered with something that is no RESP"},
		{"a line that ends wrong", nil, map[string]string{"PING": "+PONG\n"}, "", "answered with something that is no RESP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := spec.Check{Type: "redis", Timeout: 5 * time.Second, Redis: tt.check}
			compare(t, seeWith(t, c, serve(t, store(tt.answers)), secrets), tt.message, tt.err)
		})
	}
}

// TestMissingSecretsAreOurFault: the server is not even asked.
func TestMissingSecretsAreOurFault(t *testing.T) {
	for _, o := range []Options{{}, secrets} {
		for _, c := range []spec.Check{
			{Type: "redis", Redis: &spec.RedisCheck{Password: "none"}},
			{Type: "mysql", SQL: &spec.SQLCheck{User: "u", Password: "none"}},
			{Type: "postgresql", SQL: &spec.SQLCheck{User: "u", Password: "none"}},
		} {
			c.Timeout = timeout
			out := seeWith(t, c, serve(t, func(net.Conn) { t.Error("the server was asked") }), o)
			if out.Err == nil || !out.Unmeasured {
				t.Errorf("%s without its secret = %+v, want unmeasured", c.Type, out)
			}
		}
	}
}

func FuzzRESP(f *testing.F) {
	for _, s := range []string{"+PONG\r\n", "-ERR x\r\n", "$2\r\nab\r\n", "$0\r\n\r\n", "$-1\r\n", "*1\r\n", "\n", "$99999999\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readRESP(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		if len(got) > max(answer.MaxBody, len(b)) {
			t.Errorf("readRESP(%q) = %d bytes", b, len(got))
		}
		if back, err := readRESP(bufio.NewReader(strings.NewReader(bulk(got)))); err != nil || back != got {
			t.Errorf("%q comes back as %q, %v", got, back, err)
		}
	})
}
