package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A row is a state of a real nginx, what people's scripts say of it, and what we do.
type row struct {
	name string
	// bring brings an nginx into the state; it has been looked at before.
	bring   func(*server)
	top     string // the configuration's, or two
	ask     func(*server, *config)
	verdict sdk.Status
	code    string
	connect string
	get     string
}

// What the columns say.
const (
	fine     = "fine"
	refused  = "refused"
	reset    = "reset"
	noAnswer = "timeout"
)

func ping(s *server, c *config)    { s.web("/")(c) }
func figures(s *server, c *config) { c.stub = s.url("/stub") }

// table is the table of experiments on what people's check scripts see, row by row; those of
// haproxy are in its plugin's test. In all of them killall -0 nginx finds something alive.
var table = []row{
	{
		name: "nginx workers SIGSTOP", bring: frozen, ask: nothing, verdict: sdk.Fail, code: "WORKERS_STOPPED", connect: fine, get: noAnswer,
	}, {
		name: "nginx master kill -9", bring: beheaded, ask: ping, verdict: sdk.Fail, code: "DEAD", connect: fine, get: "200",
	}, {
		name: "nginx master kill -9, not reaped", bring: func(s *server) { s.signal(s.process.Pid, unix.SIGKILL) }, ask: ping,
		verdict: sdk.Fail, code: "ZOMBIE", connect: fine, get: "200",
	}, {
		name: "nginx SIGQUIT, one long connection", bring: finishing, ask: nothing, verdict: sdk.Fail, code: "STOPPING", connect: refused, get: refused,
	}, {
		name: "nginx worker_connections exhausted", bring: exhausted, top: "worker_processes 1;", ask: ping, verdict: sdk.Fail, code: "HTTP_RESET", connect: fine, get: reset,
	}, {
		name: "nginx worker_connections exhausted, seen by stub_status", bring: exhausted, top: "worker_processes 1;", ask: figures,
		verdict: sdk.Pass, connect: fine, get: reset,
	}, {
		name: "nginx -t, upstream name unresolvable", bring: broken, ask: func(_ *server, c *config) { c.configTest = true },
		verdict: sdk.Warn, code: "CONFIG_BROKEN", connect: fine, get: "200",
	}, {
		name: "nothing wrong", bring: func(*server) {}, ask: ping, verdict: sdk.Pass, connect: fine, get: "200",
	},
}

func nothing(*server, *config) {}

func frozen(s *server) {
	for _, pid := range s.workers() {
		s.signal(pid, unix.SIGSTOP)
		s.t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGCONT) })
	}
}

func beheaded(s *server) {
	s.signal(s.process.Pid, unix.SIGKILL)
	s.reap()
}

func finishing(s *server) {
	s.hold()
	awaitActive(s)
	s.signal(s.process.Pid, unix.SIGQUIT)
	await(s.t, func() bool { return s.connect() == refused })
}

// exhausted opens connections until there is none left for anybody else.
func exhausted(s *server) {
	w := s.watcher(func(c *config) { c.stub = s.url("/stub") })
	await(s.t, func() bool {
		s.hold()
		return partOf(s.check(w), "stub_status").Status == sdk.Unknown
	})
}

func broken(s *server) {
	s.configure(two, "server { listen 127.0.0.1:TLSPORT; location / { proxy_pass http://nowhere.invalid; } }")
}

// TestTable holds every row to what it says; -v prints the table as it was found.
func TestTable(t *testing.T) {
	found := make([]string, len(table))
	var mu sync.Mutex
	t.Run("row", func(t *testing.T) {
		for k, r := range table {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				top := r.top
				if top == "" {
					top = two
				}
				s := startWith(t, top, "")
				w := s.watcher(func(c *config) { r.ask(s, c) })
				s.check(w)
				r.bring(s)
				got := s.await(w, r.verdict, r.code)
				saw := s.scripts(r)
				mu.Lock()
				defer mu.Unlock()
				found[k] = fmt.Sprintf("%s\t%s %s\t%s", r.name, got.Status, got.Code, saw)
			})
		}
	})
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "state\tplugin\tkillall -0\tconnect\tGET")
	for _, line := range found {
		fmt.Fprintln(tw, line)
	}
	_ = tw.Flush() // into memory
	t.Logf("\n%s", b.String())
}

// scripts asks as scripts do, holds the answers to the row, and returns them.
func (s *server) scripts(r row) string {
	s.t.Helper()
	connect, get := s.connect(), s.get(r.get)
	if !s.killall0() {
		s.t.Error("killall -0 finds no nginx of this test; the trap of this row is that it does")
	}
	if connect != r.connect || get != r.get {
		s.t.Errorf("scripts see %q, %q, want %q, %q", connect, get, r.connect, r.get)
	}
	return strings.Join([]string{"alive", connect, get}, "\t")
}

// killall0 is what killall -0 nginx does with this test's processes: it looks for the name, and
// is content if one of them takes signal 0.
func (s *server) killall0() bool {
	pids := []int{s.process.Pid}
	for pid := range s.seen {
		pids = append(pids, pid)
	}
	return slices.ContainsFunc(pids, func(pid int) bool {
		p, err := proc.Look(pid)
		return err == nil && p.Comm == "nginx" && unix.Kill(pid, 0) == nil
	})
}

func (s *server) connect() string {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), 10*time.Second)
	switch {
	case err == nil:
		_ = c.Close()
		return fine
	case errors.Is(err, unix.ECONNREFUSED):
		return refused
	}
	return err.Error()
}

func (s *server) get(expected string) string {
	wait := 10 * time.Second
	if expected == noAnswer { // which is as much as nothing comes
		wait = 300 * time.Millisecond
	}
	client := http.Client{Timeout: wait, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(s.url("/"))
	var timeout net.Error
	switch {
	case err == nil:
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return fmt.Sprint(resp.StatusCode)
	case errors.Is(err, unix.ECONNREFUSED):
		return refused
	case errors.As(err, &timeout) && timeout.Timeout():
		return noAnswer
	}
	return reset // for which the client has several words
}
