package haproxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
)

// TestServersThatComeWithoutAReload are in the file as well, so that the next reload agrees.
func TestServersThatComeWithoutAReload(t *testing.T) {
	h := newHost(t)
	h.managed.AddServers = "always"
	c := h.plain()
	reconciletest.Apply(t, h.hs, h.set(c))
	before := h.procs().Master.Reloads
	apply := func(what string, reloads int) {
		t.Helper()
		reconciletest.Apply(t, h.hs, h.set(c))
		if n := h.procs().Master.Reloads - before; n != reloads {
			t.Errorf("%s: %d reloads, want %d", what, n, reloads)
		}
		before = h.procs().Master.Reloads
		if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
			t.Errorf("%s: what is left is %+v", what, p)
		}
		if got := h.read(h.managed.Path); got != string(h.file(c).Text) {
			t.Errorf("%s: the file is not what was wanted:\n%s", what, got)
		}
	}
	more := h.server("c", 30)
	more.MaxConn = 9
	c.servers = append(c.servers, more)
	apply("one more", 0)
	drained, resting := h.server("d", 40), h.server("e", 50)
	drained.Admin, resting.Admin = "drain", "maint"
	c.servers = append(c.servers, drained, resting)
	c.servers[0].Weight = 11
	apply("two more, and a value", 0)
	// The first three serve.
	served := map[string]bool{}
	for range 200 {
		r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", h.port))
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("request: %v, %v", r, err)
		}
		_ = r.Body.Close()
	}
	for _, line := range strings.Split(h.ask("show stat -1 4 -1"), "\n") {
		if f := strings.Split(line, ","); len(f) > 7 && f[0] == "app" && f[7] != "0" {
			served[f[1]] = true
		}
	}
	if fmt.Sprint(served) != "map[a:true b:true c:true]" {
		t.Errorf("servers with requests are %v, want a, b and c", served)
	}
	c.servers[2].Weight = 31
	apply("a value of a server that was added", 0)
	c.client = "9s"
	apply("a timeout", 1)
	c.servers = append(c.servers, h.server("f", 1))
	apply("one more after a reload", 0)
	c.servers = c.servers[:5]
	apply("one less", 1)
	c.client, c.servers = "8s", append(c.servers, h.server("g", 1))
	apply("one more, and a timeout", 1)
	c.servers, c.balance = append(c.servers, h.server("h", 1)), "source"
	apply("another algorithm", 1)
	c.servers = append(c.servers, h.server("i", 1))
	apply("one more where haproxy takes none", 1)
}

// TestAddedServersAreNotForgotten by a worker that somebody reloaded, nor taken for there in one
// that is another.
func TestAddedServersAreNotForgotten(t *testing.T) {
	h := newHost(t)
	h.managed.AddServers = "always"
	c := h.plain()
	reconciletest.Apply(t, h.hs, h.set(c))
	c.servers = append(c.servers, h.server("c", 30))
	reconciletest.Apply(t, h.hs, h.set(c))
	h.stop()
	h.start("-f", "conf")
	h.wait("the worker serves", func() bool {
		l, err := reconcile.Observe(t.Context(), h.hs)
		return err == nil && len(l.Owned) == 4
	})
	if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
		t.Errorf("after a start what is left is %+v", p)
	}
	// A server that somebody removed comes back by a reload.
	h.ask("set server app/c state maint", "del server app/c")
	reconciletest.Apply(t, h.hs, h.set(c))
	if n := h.procs().Master.Reloads; n != 1 {
		t.Errorf("%d reloads, want 1", n)
	}
	if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
		t.Errorf("what is left is %+v", p)
	}
}

// TestServersThatHAProxyDoesNotTake come by a reload: here somebody has the name already.
func TestServersThatHAProxyDoesNotTake(t *testing.T) {
	h := newHost(t)
	h.managed.AddServers = "always"
	c := h.plain()
	reconciletest.Apply(t, h.hs, h.set(c))
	h.ask("add server app/c 127.0.0.1:1 weight 5 id 3")
	c.servers = append(c.servers, h.server("c", 30))
	reconciletest.Apply(t, h.hs, h.set(c))
	if n := h.procs().Master.Reloads; n != 2 {
		t.Errorf("%d reloads, want 2", n)
	}
	if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
		t.Errorf("what is left is %+v", p)
	}
}

// TestDebiansReleaseIsReloadedForServers unless the definition says "always": it opens a
// connection for each request to a server that was added. Newer ones are told of them.
func TestDebiansReleaseIsReloadedForServers(t *testing.T) {
	h := newHost(t)
	if !strings.Contains(h.info(), "Version: 2.6.") {
		return
	}
	want := 1
	for _, mode := range []string{"auto", "never", ""} {
		h.managed.AddServers = mode
		c := h.plain()
		reconciletest.Apply(t, h.hs, h.set(c))
		c.servers = append(c.servers, h.server("c", 30))
		reconciletest.Apply(t, h.hs, h.set(c))
		if want++; h.procs().Master.Reloads != want {
			t.Errorf("add_servers = %q: %d reloads, want %d", mode, h.procs().Master.Reloads, want)
		}
		reconciletest.Apply(t, h.hs, h.set(h.plain()))
		want++
	}
}
