package control

import (
	"io"
	"net"
	"testing"
)

// TestBodiesThatNeverComeHoldNoPlace opens as many connections as there are places, each
// with a request whose body is promised and not sent.
func TestBodiesThatNeverComeHoldNoPlace(t *testing.T) {
	for _, request := range []string{
		"GET /v1/status HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
		"POST /v1/apply HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nno JSON",
		"DELETE /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
	} {
		t.Run(request[:6], func(t *testing.T) {
			t.Parallel()
			path := serve(t, newBackend(), io.Discard)
			for range maxConns {
				conn, err := net.Dial("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, request); err != nil {
					t.Fatal(err)
				}
			}
			c := dial(t, path)
			if _, err := c.Plan(t.Context()); err != nil {
				t.Errorf("Plan beside them = %v, want an answer", err)
			}
		})
	}
}
