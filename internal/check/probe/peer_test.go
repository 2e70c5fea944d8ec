package probe

import (
	"bufio"
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// serve answers every connection with handle until the test ends, and returns the address.
func serve(t *testing.T, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String())
}

// says reads the request's header and writes text.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		readHeader(c)
		fmt.Fprint(c, text)
	}
}

func readHeader(c net.Conn) string {
	r := bufio.NewReader(c)
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

// forever writes text until the reader is gone.
func forever(head, text string, pause time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		readHeader(c)
		fmt.Fprint(c, head)
		tick := time.NewTicker(cmp.Or(pause, time.Hour))
		defer tick.Stop()
		for {
			if _, err := fmt.Fprint(c, text); err != nil {
				return
			}
			if pause > 0 {
				<-tick.C
			}
		}
	}
}

func reset(c net.Conn) {
	readHeader(c)
	_ = c.(*net.TCPConn).SetLinger(0)
}

func hang(c net.Conn) {
	readHeader(c)
	_, _ = c.Read(make([]byte, 1)) // until the prober closes
}

const timeout = 300 * time.Millisecond

func statuses(list ...int) (out []spec.StatusRange) {
	for _, c := range list {
		out = append(out, spec.StatusRange{Low: c, High: c})
	}
	return out
}

// see makes c's one look at addr.
func see(t *testing.T, c spec.Check, addr netip.AddrPort) Outcome {
	t.Helper()
	return seeWith(t, c, addr, Options{})
}

func seeWith(t *testing.T, c spec.Check, addr netip.AddrPort, o Options) Outcome {
	t.Helper()
	p, err := New(c, Target{Address: addr, Pool: "web", Server: "rs1"}, o)
	if err != nil {
		t.Fatal(err)
	}
	return p(t.Context())
}

func compare(t *testing.T, got Outcome, wantMessage, wantErr string) {
	t.Helper()
	switch {
	case got.Unmeasured:
		t.Errorf("probe = %+v, want a measurement", got)
	case wantMessage != "" && (got.Err != nil || got.Message != wantMessage):
		t.Errorf("probe = %+v, want %q", got, wantMessage)
	case wantMessage == "" && got.Err == nil:
		t.Errorf("probe = %+v, want an error %q", got, wantErr)
	case wantMessage == "" && !strings.HasPrefix(got.Err.Error(), wantErr):
		t.Errorf("probe: error %q, want %q", got.Err, wantErr)
	case got.Err != nil && (len(got.Err.Error()) > answer.MaxLine+3 || strings.ContainsAny(got.Err.Error(), "\n")):
		t.Errorf("probe: error of %d bytes in lines: %q", len(got.Err.Error()), got.Err)
	}
}
