package haproxy_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestConformance(t *testing.T) {
	h := newHost(t)
	h.managed.Maps = []string{h.path("hosts.map")}
	m := resource.HAProxyMap{Socket: h.managed.RuntimeSocket, Path: h.path("hosts.map"), Text: "a.example app\n"}
	mapped := h.plain()
	mapped.lines = []string{fmt.Sprintf("use_backend %%[req.hdr(host),map(%s,app)]", m.Path)}
	with := func(s resource.Set, m resource.HAProxyMap) resource.Set {
		out := maps.Clone(s)
		out[m.ID()] = m
		return out
	}
	moved := h.plain()
	moved.servers[0].Weight, moved.servers[1].Admin, moved.servers[1].MaxConn = 99, "drain", 7
	grown := h.plain()
	grown.client = "6s"
	grown.servers = append(grown.servers[1:], h.server("c", 1))
	more := m
	more.Text = "a.example app\nb.example app\n"
	reconciletest.TestAll(t, h.hs, h.set(h.plain()), h.set(moved), h.set(grown),
		with(h.set(mapped), m), with(h.set(mapped), more), h.set(h.plain()))
}

// TestReloads: a weight needs none, a timeout one, and so does all at once.
func TestReloads(t *testing.T) {
	h := newHost(t)
	c := h.plain()
	reconciletest.Apply(t, h.hs, h.set(c))
	steps := []struct {
		name    string
		change  func()
		reloads int
	}{
		{"nothing", func() {}, 0},
		{"a weight", func() { c.servers[0].Weight = 77 }, 0},
		{"a weight of 0", func() { c.servers[0].Weight = 0 }, 0},
		{"maintenance", func() { c.servers[1].Admin = "maint" }, 0},
		{"a bound", func() { c.servers[1].MaxConn = 5 }, 0},
		{"no bound", func() { c.servers[1].MaxConn = 0; c.servers[1].Admin = "ready" }, 0},
		{"a timeout", func() { c.client = "7s" }, 1},
		{"much", func() {
			c.client, c.balance = "8s", "leastconn"
			c.servers = append(c.servers, h.server("c", 3), h.server("d", 4))
			c.servers[0].Weight = 5
		}, 1},
	}
	for _, s := range steps {
		before := h.procs().Master.Reloads
		s.change()
		reconciletest.Apply(t, h.hs, h.set(c))
		if n := h.procs().Master.Reloads - before; n != s.reloads {
			t.Errorf("%s: %d reloads, want %d", s.name, n, s.reloads)
		}
		if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
			t.Errorf("%s: what is left is %+v", s.name, p)
		}
		if got := h.read(h.managed.Path); got != string(h.file(c).Text) {
			t.Errorf("%s: the file is not what was wanted:\n%s", s.name, got)
		}
	}
}

// TestABindThatFailsIsBlocked: haproxy 2.6 would take no connections for two seconds.
func TestABindThatFailsIsBlocked(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	before := h.procs()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	underLoad(t, fmt.Sprintf("http://127.0.0.1:%d/", h.port), func() {
		for line, want := range map[string]string{
			"bind 192.0.2.1:80":              "nonlocal = \"transparent\"",
			"bind " + taken.Addr().String():  "another program listens on port",
			"bind [2001:db8::1]:80 v6only":   "this host does not have 2001:db8::1",
			"bind 127.0.0.1:80 interface no": "interface no",
		} {
			c := h.plain()
			c.lines = []string{line}
			f := h.file(c)
			plan := reconciletest.Plan(t, h.hs, h.set(c))
			problems := plan.Preflight(t.Context(), h.hs)
			if len(problems) != 1 || !strings.Contains(problems[0].Err.Error(), want) {
				t.Errorf("%s: problems = %v, want one with %q", line, problems, want)
			}
			if err := h.apply(f); !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: Apply = %v, want a refusal with %q", line, err, want)
			}
		}
	})
	if now := h.procs(); now.Master.Reloads != before.Master.Reloads {
		t.Errorf("%d reloads, want %d", now.Master.Reloads, before.Master.Reloads)
	}
	if got := h.read(h.managed.Path); got != string(h.file(h.plain()).Text) {
		t.Errorf("the file changed:\n%s", got)
	}
	if os.Geteuid() == 0 {
		c := h.plain()
		c.lines = []string{"bind 192.0.2.1:80 transparent"}
		reconciletest.Apply(t, h.hs, h.set(c))
	}
}

// TestABindOfTheUsersIsRefused: haproxy would take it, and split what arrives.
func TestABindOfTheUsersIsRefused(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	c := h.plain()
	c.lines = []string{fmt.Sprintf("bind 127.0.0.1:%d", h.user)}
	problems := reconciletest.Plan(t, h.hs, h.set(c)).Preflight(t.Context(), h.hs)
	if len(problems) != 1 || !strings.Contains(problems[0].Err.Error(), "user.cfg, line 9, already") {
		t.Errorf("problems = %v, want the user's file", problems)
	}
	if err := h.apply(h.file(c)); !errors.Is(err, reconcile.ErrRefused) {
		t.Errorf("Apply = %v, want a refusal", err)
	}
}

// TestBindsAreTriedWhereHAProxyRuns: another namespace has other ports and addresses.
func TestBindsAreTriedWhereHAProxyRuns(t *testing.T) {
	nstest.Need(t, "root", "netns")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	h := prepared(t)
	h.ns = nstest.New(t)
	h.start("-f", "conf")
	defer h.stop()
	h.ns.Run("ip", "address", "add", "192.0.2.7/32", "dev", "lo")
	c := h.plain()
	c.lines = []string{"bind " + taken.Addr().String(), "bind 192.0.2.7:80"}
	reconciletest.Apply(t, h.hs, h.set(c))
	c.lines = []string{"bind 192.0.2.8:80"}
	if err := h.apply(h.file(c)); !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), "does not have 192.0.2.8") {
		t.Errorf("Apply = %v, want a refusal", err)
	}
}

// TestNoFolderForTheSocket: haproxy binds it as all else, and would fail in the same way.
func TestNoFolderForTheSocket(t *testing.T) {
	h := newHost(t)
	h.managed.RuntimeSocket = h.path("none/r.sock")
	if err := h.apply(h.file(h.plain())); !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), "there is no folder") {
		t.Errorf("Apply = %v, want a refusal", err)
	}
	if n := h.procs().Master.Reloads; n != 0 {
		t.Errorf("%d reloads, want none", n)
	}
}

func TestWhatHAProxyRefusesIsRefused(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	before := h.procs().Master.Reloads
	for line, want := range map[string]string{
		"no-such-keyword": "unknown keyword 'no-such-keyword'",
		"use_backend none if { path /x }\n maxconn 5\nglobal\n maxconn 3\nfrontend more from hr-x": "unable to find",
		"maxconn 5\nglobal\n maxconn 3\nfrontend more from hr-x":                                   "would load it and ignore part of it",
	} {
		c := h.plain()
		c.lines = []string{line}
		plan := reconciletest.Plan(t, h.hs, h.set(c))
		problems := plan.Preflight(t.Context(), h.hs)
		if len(problems) != 1 || !strings.Contains(problems[0].Err.Error(), want) || strings.Contains(problems[0].Err.Error(), "hareconcile-haproxy-") {
			t.Errorf("%q: problems = %v, want one with %q", line, problems, want)
		}
		if err := h.apply(h.file(c)); !errors.Is(err, reconcile.ErrRefused) {
			t.Errorf("%q: Apply = %v, want a refusal", line, err)
		}
	}
	if n := h.procs().Master.Reloads; n != before || h.read(h.managed.Path) != string(h.file(h.plain()).Text) {
		t.Errorf("%d reloads, want %d, and the file as it was", n, before)
	}
}

func TestAnOldHAProxyIsRefused(t *testing.T) {
	h := newHost(t)
	h.managed.Requires = "99.0"
	problems := reconciletest.Plan(t, h.hs, h.set(h.plain())).Preflight(t.Context(), h.hs)
	if len(problems) != 1 || !strings.Contains(problems[0].Err.Error(), "is older than 99.0") {
		t.Errorf("problems = %v, want the release", problems)
	}
	h.managed.Requires = "2.6"
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
}

// TestAFailedReload: the name is one that only haproxy looks up, so that nothing but the
// reload finds its port taken.
func TestAFailedReload(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := h.plain()
	c.lines = []string{fmt.Sprintf("bind localhost:%d", taken.Addr().(*net.TCPAddr).Port)}
	bad := h.file(c)
	err = h.apply(bad)
	if err == nil || !strings.Contains(err.Error(), "the reload failed") || !strings.Contains(err.Error(), "the last good file is back and loaded") {
		t.Fatalf("Apply = %v, want an error that says what was done", err)
	}
	if got := h.read(h.managed.Path); got != string(h.file(h.plain()).Text) {
		t.Errorf("the file is not the last good one:\n%s", got)
	}
	procs := h.procs()
	if procs.Master.Failed != 0 {
		t.Errorf("processes are %+v, want no failed reload", procs)
	}
	if p := reconciletest.Plan(t, h.hs, h.set(h.plain())); !p.Empty() {
		t.Errorf("what is left to the last good file is %+v", p)
	}
	// Another try costs connections, so it waits.
	if err := h.apply(bad); !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), "tried again in") {
		t.Errorf("Apply again = %v, want a refusal for now", err)
	}
	if n := h.procs().Master.Reloads; n != procs.Master.Reloads {
		t.Errorf("%d reloads, want none more than %d", n, procs.Master.Reloads)
	}
	c.lines, c.client = nil, "9s"
	reconciletest.Apply(t, h.hs, h.set(c))
}

func TestADrainByHandStays(t *testing.T) {
	h := newHost(t)
	h.managed.IgnoreRuntime = []string{"admin_state"}
	c := h.plain()
	reconciletest.Apply(t, h.hs, h.set(c))
	h.ask("set server app/a state drain", "set server mine/s state maint")
	drained := c.servers[0]
	drained.Admin = "drain"
	// stays applies c, and wants app/a to be left and told of.
	stays := func(what string) {
		t.Helper()
		reconciletest.Apply(t, h.hs, h.set(c))
		p := reconciletest.Plan(t, h.hs, h.set(c))
		if len(p.Changes) > 0 || len(p.Conflicts) != 1 || p.Conflicts[0].Live.(resource.HAProxyServer).Admin != "drain" {
			t.Errorf("%s: what is left is %+v, want a conflict over the drain", what, p)
		}
		if s := h.ask("show servers state"); !strings.Contains(s, " a 127.0.0.1 2 8 ") || !strings.Contains(s, " s 127.0.0.1 0 1 ") {
			t.Errorf("%s: servers are\n%s\nwant the drain and the maintenance to stay", what, s)
		}
	}
	stays("at rest")
	c.servers[0].Weight, c.servers[1].Weight = 11, 21
	stays("new weights")
	c.client = "9s"
	stays("a reload")
	h.managed.IgnoreRuntime = nil
	reconciletest.Apply(t, h.hs, h.set(c))
	if s := h.ask("show servers state"); !strings.Contains(s, " a 127.0.0.1 2 0 ") {
		t.Errorf("servers are\n%s\nwant app/a ready where the definition decides", s)
	}
	// A drain that the definition asked for, it may take back.
	h.managed.IgnoreRuntime = []string{"admin_state"}
	for _, state := range []string{"drain", "ready"} {
		c.servers[0].Admin = state
		if p := reconciletest.Apply(t, h.hs, h.set(c)); len(p.Conflicts) > 0 {
			t.Errorf("%s: conflicts = %+v", state, p.Conflicts)
		}
		if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
			t.Errorf("%s: what is left is %+v", state, p)
		}
	}
}

// TestAppliesLoseNothing makes fifty in make soak. A bind that would fail is blocked in between,
// and the user's file stays as it is.
func TestAppliesLoseNothing(t *testing.T) {
	h := newHost(t)
	// Not a frontend of the same haproxy, which is reloaded as well.
	origin := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer origin.Close()
	at := netip.MustParseAddrPort(origin.Listener.Addr().String())
	server := func(name string, weight int) resource.HAProxyServer {
		s := h.server(name, weight)
		s.Address = at
		return s
	}
	c := h.plain()
	c.servers = []resource.HAProxyServer{server("a", 10), server("b", 20)}
	reconciletest.Apply(t, h.hs, h.set(c))
	user := h.read(h.path("user.cfg"))
	spare := freePort(t)
	reloads := h.procs().Master.Reloads
	rounds := 12
	if os.Getenv("HARECONCILE_SOAK") != "" {
		rounds = 50
	}
	want := 0
	underLoad(t, fmt.Sprintf("http://127.0.0.1:%d/", h.port), func() {
		for i := range rounds {
			switch i % 4 {
			case 0:
				c.servers[0].Weight = 1 + i
				blocked := c
				blocked.lines = []string{"bind 192.0.2.1:80"}
				if err := h.apply(h.file(blocked)); !errors.Is(err, reconcile.ErrRefused) {
					t.Errorf("Apply of an address that is not here = %v, want a refusal", err)
				}
			case 1:
				c.client = fmt.Sprintf("%ds", 5+i)
				want++
			case 2:
				if c.servers = c.servers[:2]; i%8 == 2 {
					c.servers = append(c.servers, server("c", i))
				}
				want++
			case 3:
				if c.lines = nil; i%8 == 3 {
					c.lines = []string{fmt.Sprintf("bind 127.0.0.1:%d", spare)}
				}
				want++
			}
			reconciletest.Apply(t, h.hs, h.set(c))
		}
	})
	if got := h.read(h.path("user.cfg")); got != user {
		t.Errorf("the user's file changed:\n%s", got)
	}
	if n := h.procs().Master.Reloads - reloads; n != want {
		t.Errorf("%d reloads, want %d", n, want)
	}
	if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
		t.Errorf("what is left is %+v", p)
	}
}

func TestReloadsKeepTheirDistance(t *testing.T) {
	h := newHost(t)
	h.managed.Reload.MinInterval = time.Hour
	c := h.plain()
	reconciletest.Apply(t, h.hs, h.set(c))
	c.client = "9s"
	if err := h.apply(h.file(c)); !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), "min_interval") {
		t.Errorf("Apply = %v, want a refusal that says when", err)
	}
	h.managed.Reload.MinInterval = 0
	reconciletest.Apply(t, h.hs, h.set(c))
}
