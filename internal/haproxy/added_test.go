package haproxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// TestAdded holds what Added finds against what Render makes structure of.
func TestAdded(t *testing.T) {
	base := full(t)
	before := Render(*base, "edge")
	added := spec.HAProxyEntry{Name: "new", Address: base.Backends[0].Servers[0].Address, Port: 8080, Weight: 3, MaxConn: 7, Admin: "maint", Check: true}
	for name, row := range map[string]struct {
		change func(*spec.HAProxy)
		want   string // commands
	}{
		"nothing":     {func(*spec.HAProxy) {}, ""},
		"values only": {func(h *spec.HAProxy) { h.Backends[0].Servers[0].Weight = 9 }, ""},
		"a server at the end": {func(h *spec.HAProxy) { h.Backends[0].Servers = append(h.Backends[0].Servers, added) },
			"add server app/new 10.0.0.11:8080 weight 3 maxconn 7 id 628891 check"},
		"a server at the front, and a value": {func(h *spec.HAProxy) {
			h.Backends[0].Servers[0].Weight = 9
			h.Backends[0].Servers = slices.Insert(h.Backends[0].Servers, 0, added)
		}, "add server app/new 10.0.0.11:8080 weight 3 maxconn 7 id 628891 check"},
		"another that goes": {func(h *spec.HAProxy) { h.Backends[0].Servers = append(h.Backends[0].Servers[1:], added) }, ""},
		"another that changes": {func(h *spec.HAProxy) {
			h.Backends[0].Servers = append(h.Backends[0].Servers, added)
			h.Backends[0].Servers[0].Rise = 9
		}, ""},
		"a line too": {func(h *spec.HAProxy) {
			h.Backends[0].Servers = append(h.Backends[0].Servers, added)
			h.Backends[0].Directives = append(h.Backends[0].Directives, "retries 4")
		}, ""},
		"a static algorithm": {func(h *spec.HAProxy) { h.Backends[1].Servers = append(h.Backends[1].Servers, added) }, ""},
		"a cookie": {func(h *spec.HAProxy) {
			s := added
			s.Params = []string{"cookie x"}
			h.Backends[0].Servers = append(h.Backends[0].Servers, s)
		}, ""},
		"words that no command has": {func(h *spec.HAProxy) {
			s := added
			s.Params = []string{"sni str('a;b')"}
			h.Backends[0].Servers = append(h.Backends[0].Servers, s)
		}, ""},
	} {
		h := full(t)
		row.change(h)
		after := Render(*h, "edge")
		got, ok := Added(before.Text, after.Text)
		var commands []string
		for _, s := range got {
			commands = append(commands, s.AddCommand())
		}
		if ok != (row.want != "") || ok && strings.Join(commands, ";") != row.want {
			t.Errorf("%s: Added = %v, %v, want %q", name, commands, ok, row.want)
		}
		if ok && (after.Structure == before.Structure || !got[0].Disabled() || !got[0].Checked()) {
			t.Errorf("%s: %+v, structure %.8s after %.8s", name, got, after.Structure, before.Structure)
		}
		if FileStructure(after.Text) != after.Structure {
			t.Errorf("%s: FileStructure = %q, want %q", name, FileStructure(after.Text), after.Structure)
		}
	}
}

// TestIDsStay while other servers come and go, and are all different.
func TestIDsStay(t *testing.T) {
	b := spec.HAProxyBackend{Name: "app"}
	for k := range 3000 { // ids meet by chance from about a thousand on
		b.Servers = append(b.Servers, spec.HAProxyEntry{Name: "web" + number(k)})
	}
	seen := map[int]bool{}
	moved := 0
	before := ids(&b)
	b.Servers = slices.Delete(b.Servers, 7, 8)
	after := ids(&b)
	for k, id := range before {
		if seen[id] || id < 1 || id > maxID {
			t.Fatalf("server %d has id %d, which is taken or out of bounds", k, id)
		}
		seen[id] = true
		if k != 7 && after[k-map[bool]int{true: 1}[k > 7]] != id {
			moved++
		}
	}
	if moved > 3 { // those that met the one that left
		t.Errorf("%d of 3000 servers have another id after one left", moved)
	}
	b.Balance = "first"
	if got := ids(&b); got[0] != 1 || got[41] != 42 {
		t.Errorf("ids of balance first are %v, want the order of the file", got[:50])
	}
}

// FuzzAdded finds no servers that are not there.
func FuzzAdded(f *testing.F) {
	f.Add("backend a\n server x 1.2.3.4:5 id 1\n", "backend a\n server x 1.2.3.4:5 id 1\n server y 1.2.3.4:5 weight 2 disabled id 2 check\n")
	f.Add("# a\nglobal\n setenv HARECONCILE_STRUCT x\n", "backend 'a\n server\n server a\n")
	f.Fuzz(func(t *testing.T, before, after string) {
		added, ok := Added(before, after)
		for _, s := range added {
			if command := s.AddCommand(); ok && (strings.ContainsAny(command, "\n;") || !strings.Contains(after, s.Name)) {
				t.Errorf("%q adds %q", after, command)
			}
		}
	})
}
