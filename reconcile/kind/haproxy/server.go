package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// servers handles what servers of the managed file's backends have at runtime. They come and
// go with the file. Whether a server is up is haproxy's to say, and never compared.
type servers struct{ *node }

var _ reconcile.Batcher = (*servers)(nil)

// Kind implements reconcile.Handler.
func (h *servers) Kind() resource.Kind { return resource.KindHAProxyServer }

// Observe implements reconcile.Handler. Where people may set something by hand and did, the
// server is owned with what we gave it, and foreign as it is: the plan shows a conflict, and
// changes nothing of it.
func (h *servers) Observe(ctx context.Context) (reconcile.Live, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	for _, m := range h.Managed() {
		list, err := h.list(ctx, m)
		if err != nil {
			return reconcile.Live{}, err
		}
		if len(list) == 0 {
			continue
		}
		r, err := h.record(m)
		if err != nil {
			return reconcile.Live{}, err
		}
		for _, s := range list {
			ours := s.masked(m, r)
			live.Owned[ours.ID()] = ours
			if ours != s.HAProxyServer {
				live.Foreign[ours.ID()] = s.HAProxyServer
			}
		}
	}
	return live, nil
}

// A server is one that runs.
type server struct {
	resource.HAProxyServer
	file   values // what the file says, as far as haproxy tells
	config bool   // it started in maintenance, as the file says
}

func (s server) name() string { return s.Backend + "/" + s.Name }

// masked returns s with what we gave it in the place of what people set and may set. A server
// that is ready was made so by a reload rather than by somebody who undid a drain of ours.
func (s server) masked(m Managed, r record) resource.HAProxyServer {
	given, ok := r.Servers[s.name()]
	if !ok {
		given = values{"ready", s.file.Weight}
		if s.config {
			given.Admin = "maint"
		}
	}
	out := s.HAProxyServer
	if m.ignores("admin_state") && s.Admin != "ready" {
		out.Admin = given.Admin
	}
	if m.ignores("weight") && s.Weight != s.file.Weight {
		out.Weight = given.Weight
	}
	return out
}

// admin returns the state that `set server` would give s.
func admin(s haproxy.ServerState) string {
	switch {
	case s.Admin&haproxy.AdminForcedMaint != 0:
		return "maint"
	case s.Admin&haproxy.AdminForcedDrain != 0:
		return "drain"
	}
	return "ready"
}

// list returns the servers that m's running worker has in backends of m's file.
func (h *servers) list(ctx context.Context, m Managed) ([]server, error) {
	b, err := disk.Read(m.Path, maxFile)
	if err != nil || !haproxy.Managed(string(b)) {
		return nil, err
	}
	loaded, err := h.structure(ctx, m)
	if err != nil || loaded == "" {
		return nil, err
	}
	backends := haproxy.Backends(string(b))
	reply, err := ask(ctx, m.RuntimeSocket, "show servers state")
	if err != nil {
		return nil, err
	}
	states, err := haproxy.ParseServers(reply)
	if err != nil {
		return nil, fmt.Errorf("ask haproxy on %s: %w", m.RuntimeSocket, err)
	}
	if reply, err = ask(ctx, m.RuntimeSocket, "show stat -1 4 -1"); err != nil { // 4: servers
		return nil, err
	}
	stats, err := haproxy.ParseStats(reply)
	if err != nil {
		return nil, fmt.Errorf("ask haproxy on %s: %w", m.RuntimeSocket, err)
	}
	most := make(map[string]int, len(stats))
	for _, s := range stats {
		most[s.Proxy()+"/"+s.Server()] = int(max(0, s.Number("slim")))
	}
	var out []server
	for _, s := range states {
		if backends[s.Backend] {
			out = append(out, server{resource.HAProxyServer{
				Socket: m.RuntimeSocket, Backend: s.Backend, Name: s.Name,
				Address: netip.AddrPortFrom(s.Address, s.Port), Weight: s.Weight, Admin: admin(s),
				MaxConn: most[s.Backend+"/"+s.Name],
			}, values{Weight: s.InitialWeight}, s.Admin&haproxy.AdminConfigMaint != 0})
		}
	}
	return out, nil
}

// Apply implements reconcile.Handler.
func (h *servers) Apply(ctx context.Context, c reconcile.Change) error {
	return h.ApplyAll(ctx, []reconcile.Change{c})
}

// ApplyAll implements reconcile.Batcher: it costs a look before and one after, however many
// servers change. A server is deleted by the reload that the file's change brings.
func (h *servers) ApplyAll(ctx context.Context, cs []reconcile.Change) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	bySocket := map[string][]reconcile.Change{}
	for _, c := range cs {
		if c.Action == reconcile.Delete {
			continue
		}
		s, ok := c.After.(resource.HAProxyServer)
		if !ok {
			return fmt.Errorf("%T is not a server of haproxy", c.After)
		}
		bySocket[s.Socket] = append(bySocket[s.Socket], c)
	}
	for _, path := range slices.Sorted(maps.Keys(bySocket)) {
		m, err := h.find(func(m Managed) bool { return m.RuntimeSocket == path })
		if err == nil {
			err = h.set(ctx, m, bySocket[path])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// set gives servers of one haproxy their values and looks whether they have them.
func (h *servers) set(ctx context.Context, m Managed, cs []reconcile.Change) error {
	list, err := h.list(ctx, m)
	if err != nil {
		return err
	}
	if list, err = h.bringBack(ctx, m, list, cs); err != nil {
		return err
	}
	r, err := h.record(m)
	if err != nil {
		return err
	}
	want := map[string]resource.HAProxyServer{}
	var commands []string
	for _, c := range cs {
		w := c.After.(resource.HAProxyServer)
		live, ok := lookup(list, w)
		if !ok {
			return notThere(w)
		}
		aim := w
		live.leave(m, r, c, &aim)
		want[live.name()] = aim
		todo, err := live.commands(aim)
		if err != nil {
			return err
		}
		commands = append(commands, todo...)
	}
	said, err := h.send(ctx, m, commands)
	if err != nil {
		return err
	}
	if len(commands) > 0 {
		if list, err = h.list(ctx, m); err != nil {
			return err
		}
	}
	if err := verify(list, want, said); err != nil {
		if err := h.escalate(ctx, m, want, err); err != nil {
			return err
		}
		if r, err = h.record(m); err != nil {
			return err
		}
	}
	return h.given(m, r, cs)
}

// lookup returns the running server that w is about.
func lookup(list []server, w resource.HAProxyServer) (server, bool) {
	i := slices.IndexFunc(list, func(s server) bool { return s.ID() == w.ID() })
	if i < 0 {
		return server{}, false
	}
	return list[i], true
}

// leave puts into aim what people set and the change was not made to undo.
func (s server) leave(m Managed, r record, c reconcile.Change, aim *resource.HAProxyServer) {
	ours := s.masked(m, r)
	before, _ := c.Before.(resource.HAProxyServer)
	if ours.Admin != s.Admin && before.Admin != s.Admin {
		aim.Admin = s.Admin
	}
	if ours.Weight != s.Weight && before.Weight != s.Weight {
		aim.Weight = s.Weight
	}
}

// sendable reports whether a name can be part of a command.
func sendable(name string) bool { return haproxy.Sendable(name) }

// commands returns those that make s what w says (management.txt, set server). A server stops
// taking clients before the rest of it changes, and takes them once it has.
func (s server) commands(w resource.HAProxyServer) ([]string, error) {
	if !sendable(s.name()) {
		return nil, fmt.Errorf("%q cannot be part of a command", s.name())
	}
	if w.Weight < 0 || w.Weight > 256 || !slices.Contains([]string{"ready", "drain", "maint"}, w.Admin) || !w.Address.IsValid() || w.MaxConn < 0 {
		return nil, fmt.Errorf("server %s cannot be %+v", s.name(), w)
	}
	var out []string
	if s.Address != w.Address {
		out = append(out, fmt.Sprintf("set server %s addr %s port %d", s.name(), w.Address.Addr(), w.Address.Port()))
	}
	if s.Weight != w.Weight {
		out = append(out, fmt.Sprintf("set server %s weight %d", s.name(), w.Weight))
	}
	if s.MaxConn != w.MaxConn {
		out = append(out, fmt.Sprintf("set maxconn server %s %d", s.name(), w.MaxConn))
	}
	if s.Admin != w.Admin {
		state := fmt.Sprintf("set server %s state %s", s.name(), w.Admin)
		if w.Admin == "ready" {
			out = append(out, state)
		} else {
			out = slices.Insert(out, 0, state)
		}
	}
	return out, nil
}

// maxCommands is how many are sent at once: haproxy reads a line of bounded length.
const maxCommands = 20

// send sends commands and returns what haproxy said.
func (h *servers) send(ctx context.Context, m Managed, commands []string) (string, error) {
	var said strings.Builder
	for part := range slices.Chunk(commands, maxCommands) {
		reply, err := ask(ctx, m.RuntimeSocket, part...)
		if err != nil {
			return "", err
		}
		said.WriteString(reply)
	}
	return said.String(), nil
}

// verify compares what runs with what was wanted.
func verify(list []server, want map[string]resource.HAProxyServer, said string) error {
	var errs []error
	for _, s := range list {
		if w, ok := want[s.name()]; ok && s.HAProxyServer != w {
			errs = append(errs, fmt.Errorf("server %s is %s with weight %d, maxconn %d at %s after it was set otherwise; haproxy says: %.200s",
				s.name(), s.Admin, s.Weight, s.MaxConn, s.Address, strings.Join(strings.Fields(said), " ")))
		}
	}
	return errors.Join(errs...)
}

// given remembers what servers were given, where people may set something else.
func (h *servers) given(m Managed, r record, cs []reconcile.Change) error {
	if len(m.IgnoreRuntime) == 0 {
		return nil
	}
	before := r.Servers
	if r.Servers = maps.Clone(before); r.Servers == nil {
		r.Servers = map[string]values{}
	}
	for _, c := range cs {
		w := c.After.(resource.HAProxyServer)
		r.Servers[w.Backend+"/"+w.Name] = values{w.Admin, w.Weight}
	}
	if maps.Equal(before, r.Servers) {
		return nil
	}
	return h.remember(r)
}
