package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A row is a state of a real haproxy, what people's scripts say of it, and what we do.
type row struct {
	name string
	// bring brings a haproxy into the state.
	bring func(*testing.T) *server
	// ask is the tracker's configuration, beside where haproxy is.
	ask     string
	verdict sdk.Status
	code    string
	// What scripts see: killall is nil or an errno; socat is the whole of what `show info` prints
	// within a moment, as far as a script looks, whose exit status is 0 unless it is refused.
	killall error
	socat   string
	connect string
	get     string
	path    string // of get
}

// What the columns say.
const (
	fine    = "fine"
	refused = "refused"
	silence = "rc 0, 0 bytes"
	late    = "timeout"
)

// table is the table of experiments on what people's check scripts see, row by row; those of
// nginx are in its plugin's test.
var table = []row{
	{
		name: "haproxy worker SIGSTOP", bring: frozen, ask: all, verdict: sdk.Fail, code: "FROZEN",
		socat: silence, connect: fine, get: late, path: "/health",
	}, {
		name: "haproxy SIGUSR1 soft-stop, one long connection", bring: softStopped, ask: all, verdict: sdk.Fail, code: "STOPPING",
		socat: refused, connect: refused, get: refused, path: "/health",
	}, {
		name: "the same, of which only the runtime socket is known", bring: softStopped, ask: `{"socket": "SOCKET"}`, verdict: sdk.Fail, code: "REFUSED",
		socat: refused, connect: refused, get: refused, path: "/health",
	}, {
		name: "all servers down", bring: serversDown, ask: backends, verdict: sdk.Fail, code: "DOWN",
		socat: fine, connect: fine, get: "503", path: "/",
	}, {
		name: "all servers down, seen by the stats page", bring: serversDown, ask: backends, verdict: sdk.Fail, code: "DOWN",
		socat: fine, connect: fine, get: "200", path: "/stats",
	}, {
		name: "all servers down, seen by monitor-uri with monitor fail if nbsrv", bring: serversDown, ask: backends, verdict: sdk.Fail, code: "DOWN",
		socat: fine, connect: fine, get: "503", path: "/servers",
	}, {
		name: "all servers down, seen by a gate that does not ask for them", bring: serversDown, ask: all, verdict: sdk.Pass,
		socat: fine, connect: fine, get: "503", path: "/",
	}, {
		name: "frontend at maxconn", bring: full, ask: all, verdict: sdk.Warn, code: "SATURATED",
		socat: fine, connect: fine, get: late, path: "/health",
	}, {
		name: "zombie", bring: zombie, ask: `{"socket": "SOCKET", "pidfile": "PIDFILE"}`, verdict: sdk.Fail, code: "ZOMBIE",
		socat: refused, connect: refused, get: refused, path: "/health",
	}, {
		name: "seconds after a haproxy reload", bring: reloaded, ask: backends, verdict: sdk.Unknown, code: "UNCHECKED_YET",
		socat: fine, connect: fine, get: "503", path: "/",
	}, {
		name: "12 idle CLI clients", bring: busy, ask: all, verdict: sdk.Unknown, code: "CLI_FULL",
		socat: silence, connect: fine, get: "200", path: "/health",
	}, {
		name: "frontend gone", bring: withoutFrontend, ask: strings.Replace(all, "{", `{"pause_grace": "0s", `, 1), verdict: sdk.Fail, code: "PAUSED",
		socat: fine, connect: refused, get: refused, path: "/health",
	}, {
		name: "haproxy killed", bring: killed, ask: `{"socket": "SOCKET", "pidfile": "PIDFILE"}`, verdict: sdk.Fail, code: "GONE",
		killall: syscall.ESRCH, socat: refused, connect: refused, get: refused, path: "/health",
	}, {
		name: "nothing wrong", bring: good, ask: all, verdict: sdk.Pass,
		socat: fine, connect: fine, get: "200", path: "/health",
	},
}

// backends is all with the backend's servers, as a tracker for points asks.
var backends = strings.Replace(all, "{", `{"backends": ["be_app"], `, 1)

// TestTable holds every row to what it says; -v prints the table as it was found.
func TestTable(t *testing.T) {
	found := make([]string, len(table))
	var mu sync.Mutex
	t.Run("row", func(t *testing.T) {
		for k, r := range table {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				h := r.bring(t)
				w := h.watcher(t, r.ask)
				got := h.await(t, w, r.verdict, r.code)
				saw := h.scripts(t, r)
				mu.Lock()
				defer mu.Unlock()
				found[k] = fmt.Sprintf("%s\t%s %s\t%s", r.name, got.Status, got.Code, saw)
			})
		}
	})
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "state\tplugin\tkill -0\tshow info by socat\tconnect\tGET")
	for _, line := range found {
		fmt.Fprintln(tw, line)
	}
	_ = tw.Flush() // into memory
	t.Logf("\n%s", b.String())
}

// scripts asks as scripts do, holds the answers to the row, and returns them.
func (h *server) scripts(t *testing.T, r row) string {
	t.Helper()
	killall := killall0(h.process.Pid)
	socat, connect, get := h.socat(t, r.socat), h.connect(), h.get(r.path, r.get)
	if !errors.Is(killall, r.killall) || (killall == nil) != (r.killall == nil) {
		t.Errorf("kill -0 says %v, want %v", killall, r.killall)
	}
	if socat != r.socat || connect != r.connect || get != r.get {
		t.Errorf("scripts see %q, %q, %q, want %q, %q, %q", socat, connect, get, r.socat, r.connect, r.get)
	}
	alive := "alive"
	if killall != nil {
		alive = killall.Error()
	}
	return strings.Join([]string{alive, socat, connect, get + " " + r.path}, "\t")
}

// killall0 is what killall -0 haproxy does with one of the processes that it finds: it looks for
// the name, then sends signal 0.
func killall0(pid int) error {
	s, err := proc.Look(pid)
	if err != nil || s.Comm != "haproxy" {
		return syscall.ESRCH
	}
	return syscall.Kill(pid, 0)
}

// patienceFor is how long to wait for what should come, and for what should not.
func patienceFor(expected, never string) time.Duration {
	if expected == never {
		return 300 * time.Millisecond
	}
	return 10 * time.Second
}

// socat is `echo show info | socat - UNIX-CONNECT:socket` with a time limit.
func (h *server) socat(t *testing.T, expected string) string {
	ctx, cancel := context.WithTimeout(t.Context(), patienceFor(expected, silence))
	defer cancel()
	_, err := socket.Ask(ctx, h.socket, "show info")
	switch {
	case err == nil:
		return fine
	case silent(err):
		return silence
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return refused
	}
	return err.Error()
}

func (h *server) connect() string {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", h.port), 10*time.Second)
	switch {
	case err == nil:
		_ = c.Close()
		return fine
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	}
	return err.Error()
}

func (h *server) get(path, expected string) string {
	client := http.Client{Timeout: patienceFor(expected, late), Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", h.port, path))
	var timeout net.Error
	switch {
	case err == nil:
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return fmt.Sprint(resp.StatusCode)
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.As(err, &timeout) && timeout.Timeout():
		return late
	}
	return err.Error()
}
