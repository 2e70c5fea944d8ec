package probe

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// streams are checks of every type that talks over TCP, as plain as they can be.
func streams() map[string]spec.Check {
	secret := spec.SQLCheck{User: "checker", Password: "db"}
	out := map[string]spec.Check{
		"tcp expect":       {Type: "tcp", TCP: &spec.TCPCheck{Send: []byte("hello\n"), Expect: "welcome"}},
		"tcp regex":        {Type: "tcp", TCP: &spec.TCPCheck{Send: []byte("hello\n"), Regex: "^(a+)+welcome$"}},
		"http 1.0":         {Type: "http", HTTP: &spec.HTTPCheck{Version: "1.0"}},
		"http 1.1":         {Type: "http", HTTP: &spec.HTTPCheck{Contains: "welcome"}},
		"http 2":           {Type: "http", HTTP: &spec.HTTPCheck{Version: "2"}},
		"dns tcp":          {Type: "dns", DNS: &spec.DNSCheck{Transport: "tcp", Name: "example.com", Query: "A"}},
		"smtp":             {Type: "smtp"},
		"grpc":             {Type: "grpc"},
		"redis":            {Type: "redis", Redis: &spec.RedisCheck{Password: "db", Role: "master"}},
		"mysql":            {Type: "mysql"},
		"mysql login":      {Type: "mysql", SQL: &secret},
		"postgresql":       {Type: "postgresql"},
		"postgresql login": {Type: "postgresql", SQL: &secret},
	}
	for _, kind := range []string{"tcp", "https", "dns", "smtp", "grpc", "redis", "postgresql"} {
		out[kind+" over TLS"] = spec.Check{Type: kind, TLS: &spec.TLS{Insecure: true}, DNS: &spec.DNSCheck{Transport: "tls", Name: "example.com"}}
	}
	return out
}

// secrets lends the password "secret" under the name "db".
var secrets = Options{Secret: func(name string) ([]byte, error) {
	if name != "db" {
		return nil, io.ErrUnexpectedEOF
	}
	return []byte("secret"), nil
}}

// repeat writes b until the reader is gone, with a pause after each.
func repeat(b []byte, pause time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		tick := time.NewTicker(max(pause, time.Nanosecond))
		defer tick.Stop()
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
			if pause > 0 {
				<-tick.C
			}
		}
	}
}

// TestHostileServers lets every type of check meet servers that are none. Each look ends in
// time with a short reason and leaves nothing behind, and what the server does is not taken
// for a fault of ours.
func TestHostileServers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	random := bytes.Repeat([]byte{0x16, 0x03, 0x01, 0xff, '2', '2', '0', '-', 0, '\r', '\n', 0xff, '$', '9', 'R', 0x80}, 4<<10)
	peers := map[string]netip.AddrPort{
		"nobody":  closed,
		"hang":    serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }),
		"goodbye": serve(t, func(net.Conn) {}),
		"reset":   serve(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }),
		"garbage": serve(t, func(c net.Conn) { _, _ = c.Write(random[:500]) }),
		"zeros":   serve(t, repeat(make([]byte, 64<<10), 0)),
		"flood":   serve(t, repeat(random, 0)),
		"lines":   serve(t, repeat(bytes.Repeat([]byte("220-a\r\n"), 9<<10), 0)),
		"letters": serve(t, repeat(bytes.Repeat([]byte("a"), 64<<10), 0)),
		"drip":    serve(t, repeat([]byte("2"), 10*time.Millisecond)),
	}
	goroutines, descriptors := runtime.NumGoroutine(), open(t)
	var wg sync.WaitGroup
	for name, check := range streams() {
		for peer, addr := range peers {
			wg.Go(func() {
				c := check
				c.Timeout = 3 * time.Second
				began := time.Now()
				out := seeWith(t, c, addr, secrets)
				if took := time.Since(began); took > 10*time.Second { // this machine may be busy
					t.Errorf("%s of %s took %v, the timeout is %v", name, peer, took, c.Timeout)
				}
				want := map[string]string{"nobody": "connection refused", "hang": "timed out after 3s"}[peer]
				switch {
				case out.Err == nil || out.Unmeasured || !strings.HasSuffix(out.Err.Error(), want):
					t.Errorf("%s of %s = %+v, want an error %q", name, peer, out, want)
				case len(out.Err.Error()) > answer.MaxLine+3 || strings.Contains(out.Err.Error(), "\n"):
					t.Errorf("%s of %s: error of %d bytes in lines: %q", name, peer, len(out.Err.Error()), out.Err)
				}
			})
		}
	}
	wg.Wait()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines || open(t) > descriptors; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines and %d descriptors are left, want %d and %d", runtime.NumGoroutine(), open(t), goroutines, descriptors)
		}
	}
}

// open counts this process's descriptors.
func open(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestReadingIsBounded counts what a connection delivers of a flood.
func TestReadingIsBounded(t *testing.T) {
	w, err := newWire(spec.Check{}, Target{Address: serve(t, repeat(make([]byte, 64<<10), 0))})
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.dial(t.Context(), "tcp")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n, err := io.Copy(io.Discard, c)
	if n != maxRead || err != errFlood {
		t.Errorf("read %d bytes of a flood, %v, want %d, %v", n, err, maxRead, errFlood)
	}
}
