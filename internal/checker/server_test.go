package checker

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// serve answers every connection with handle until the test ends, and returns the address.
func serve(t testing.TB, handle func(net.Conn)) netip.AddrPort {
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

// refusing returns an address at which nobody listens.
func refusing(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

// reply reads the request's head and writes text.
func reply(text string) func(net.Conn) {
	return func(c net.Conn) {
		readHead(c)
		fmt.Fprint(c, text)
	}
}

func readHead(c net.Conn) string {
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
		readHead(c)
		fmt.Fprint(c, head)
		tick := time.NewTicker(max(pause, time.Millisecond))
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

// abort ends the connection with a RST once the request is there.
func abort(c net.Conn) {
	readHead(c)
	_ = c.(*net.TCPConn).SetLinger(0)
}

// hang keeps the connection until the checker closes it.
func hang(c net.Conn) {
	readHead(c)
	_, _ = c.Read(make([]byte, 1))
}

// timeout is that of checks that are to run out.
const timeout = 300 * time.Millisecond

// start runs an engine until the test ends.
func start(t testing.TB, e *Engine) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
}

func quiet() *Engine { return New(slog.New(slog.DiscardHandler)) }

// once returns c made so that its first sample is a verdict, soon.
func once(c spec.Check) spec.Check {
	c.Interval, c.Rise, c.Fall = 50*time.Millisecond, 1, 1
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return c
}

// see returns the first verdict of a server by a check.
func see(t testing.TB, c spec.Check, addr netip.AddrPort) Result {
	t.Helper()
	e := quiet()
	e.Set([]Job{{Ref: "web/rs1", Address: addr, Checks: []spec.Check{once(c)}}})
	start(t, e)
	return next(t, e)
}

// next returns the next verdict.
func next(t testing.TB, e *Engine) Result {
	t.Helper()
	select {
	case r := <-e.Results():
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("no verdict in 20 s")
		return Result{}
	}
}

// want compares a verdict. An empty message is any; one that ends in "..." is a prefix.
func want(t testing.TB, r Result, v reconcile.Verdict, message string) {
	t.Helper()
	prefix, some := strings.CutSuffix(message, "...")
	if r.Verdict != v || message != "" && r.Message != message && !(some && strings.HasPrefix(r.Message, prefix)) {
		t.Errorf("%s is %q, %q, want %q, %q", r.Ref, r.Verdict, r.Message, v, message)
	}
	if len(r.Message) > 300 || strings.ContainsAny(r.Message, "\r\n") {
		t.Errorf("message of %d bytes: %q", len(r.Message), r.Message)
	}
}
