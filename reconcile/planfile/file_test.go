package planfile_test

import (
	"bytes"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	web  = resource.ServiceKey{Protocol: "tcp", Address: netip.MustParseAddrPort("172.25.254.100:80")}
	meta = planfile.Meta{
		Version: "0.1.0", Node: "ka1", BootID: "6f0b", Digest: "sha256:ab",
		Revision:   planfile.Revision{Ref: "main", Commit: "8f3c2d1aa0", Subject: "web: add rs3"},
		Created:    time.Date(2026, 11, 22, 20, 40, 0, 0, time.UTC),
		FactsKnown: true,
	}
	instance = resource.VRRPInstance{
		Interface: "eth0", VRID: 100, Version: 3, Priority: 150, Interval: resource.Duration(time.Second), Preempt: true,
		Addresses: "172.25.254.100/24", Source: netip.MustParseAddr("172.25.254.10"), Peers: "172.25.254.20", Gates: "interface/eth0",
	}
)

func server(address string, weight int) resource.IPVSServer {
	return resource.IPVSServer{Service: web, Address: netip.MustParseAddrPort(address), Forward: resource.ForwardDR, Weight: weight}
}

func change(a reconcile.Action, before, after any, o spec.Origin) reconcile.Change {
	v := after
	if v == nil {
		v = before
	}
	return reconcile.Change{Action: a, ID: v.(interface{ ID() resource.ID }).ID(), Before: before, After: after, Origin: o}
}

// cases has a File for each golden pair.
func cases() map[string]planfile.File {
	rs1 := spec.Origin{Address: "pool.web.server.rs1", File: "cluster.hcl", Line: 48}
	lower := instance
	lower.Priority, lower.Gates = 100, ""
	every := reconcile.Plan{
		Changes: []reconcile.Change{
			change(reconcile.Create, nil, resource.Sysctl{Key: "net/ipv4/conf/lo/arp_ignore", Value: "1"}, spec.Origin{Address: `virtual_server.web["http"]`, File: "conf.d/web.hcl", Line: 3}),
			change(reconcile.Adopt, resource.IPVSService{ServiceKey: web, Scheduler: "wrr"}, resource.IPVSService{ServiceKey: web, Scheduler: "wrr"}, rs1),
			change(reconcile.Update, server("172.25.254.110:80", 2), server("172.25.254.110:80", 3), rs1),
			change(reconcile.Update, instance, lower, spec.Origin{Address: "vrrp_instance.web", File: "cluster.hcl", Line: 40}),
			change(reconcile.Delete, server("172.25.254.120:80", 1), nil, spec.Origin{}),
		},
		Conflicts: []reconcile.Conflict{{
			ID:     resource.ID{Kind: resource.KindAddress, Name: "172.25.254.100"},
			Live:   resource.Address{Prefix: netip.MustParsePrefix("172.25.254.100/24"), Device: "eth1"},
			Want:   resource.Address{Prefix: netip.MustParsePrefix("172.25.254.100/32"), Device: "lo"},
			Origin: rs1,
		}},
	}
	hostile := meta
	hostile.Node = "ka1\x1b[2J\u202e\r\nka2\xff"
	hostile.Revision = planfile.Revision{Ref: "ma\tin", Commit: "\x1b]0;evil\a", Subject: "a\nb"}
	partial := meta
	partial.FactsKnown = false
	dir := meta
	dir.Revision = planfile.Revision{Dir: "examples/lvs-dr"}
	refused := planfile.New(meta, reconcile.Plan{Changes: every.Changes[1:2]}, 0, nil)
	no := errors.New(`the kernel has no scheduler "wrr"`)
	refused.Errors = planfile.Problems([]reconcile.Problem{{Change: every.Changes[1], Err: no}, {Change: every.Changes[1], Err: no},
		{Change: every.Changes[4], Err: errors.New("no")}})
	return map[string]planfile.File{
		"kinds":        planfile.New(meta, kinds(), 9, nil),
		"haproxy":      planfile.New(meta, haproxies(), 9, nil),
		"classes":      classes(),
		"errors":       refused,
		"every-action": planfile.New(meta, every, 16, nil),
		"no-changes":   planfile.New(meta, reconcile.Plan{}, 9, []reconcile.Finding{{Policy: "fine", Level: "mandatory", Result: "pass"}}),
		"no-facts":     planfile.New(partial, reconcile.Plan{Uncompared: 3}, 9, nil),
		"folder":       planfile.New(dir, reconcile.Plan{}, 9, nil),
		"policies": planfile.New(meta, reconcile.Plan{Changes: every.Changes[4:]}, 1, []reconcile.Finding{
			{Set: "shipped", Policy: "keep_a_vip", File: "vip-safety.policy.hcl", Line: 12, Level: "mandatory", Result: "deny", Message: "The push drops every virtual address: 172.25.254.100."},
			{Set: "host", Policy: "two", File: "x.policy.hcl", Line: 1, Level: "advisory", Result: "deny", Subject: "pool.web", Message: "One server is few."},
			{Set: "repository", Policy: "broken", File: "y.policy.hcl", Line: 7, Level: "mandatory", Result: "error", Message: "Unsupported attribute"},
		}),
		"hostile": planfile.New(hostile, reconcile.Plan{Changes: []reconcile.Change{
			change(reconcile.Create, nil, resource.Sysctl{Key: "a\x1b[31m\nb", Value: "\u202e1\x00"}, spec.Origin{Address: "x\x1b[0m", File: "f\n", Line: 1}),
		}}, 0, []reconcile.Finding{{Set: "host", Policy: "p\x1b", Level: "advisory", Result: "deny", Message: "line\nbreak \x9b \xc2\x9b"}}),
	}
}

// kinds has what is to be seen of a tunnel, timeouts, sync daemons, marks and drains.
func kinds() reconcile.Plan {
	o := spec.Origin{Address: "virtual_server.ftp", File: "cluster.hcl", Line: 80}
	mark := resource.ServiceKey{Mark: 7, Family: resource.IPv6}
	ftp := resource.IPVSService{ServiceKey: mark, Scheduler: "mh", Flags: resource.NewList("mh-fallback", "mh-port"),
		Persistence: resource.Duration(50 * time.Second), PersistenceBits: 64, PersistenceEngine: "sip"}
	gue := resource.IPVSServer{Service: mark, Address: netip.MustParseAddrPort("[2001:db8::1]:0"), Forward: resource.ForwardTunnel,
		Weight: 4, Tunnel: "gue", TunnelPort: 6080, TunnelChecksum: "remcsum", Upper: 100, Lower: 50}
	drained := gue
	drained.Weight = 0
	less := ftp
	less.Flags, less.Persistence, less.PersistenceBits, less.PersistenceEngine = "", 0, 0, ""
	leaving := change(reconcile.Update, server("172.25.254.120:80", 1), server("172.25.254.120:80", 0), spec.Origin{})
	leaving.Drain = true
	sync := resource.IPVSSync{Role: "master", Interface: "eth1", SyncID: 3, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 1}
	return reconcile.Plan{Changes: []reconcile.Change{
		change(reconcile.Create, nil, resource.Tunnel{Device: "tunl0", Type: "gue", Port: 6080}, o),
		change(reconcile.Update, resource.IPVSTimeouts{TCP: resource.Duration(15 * time.Minute)}, resource.IPVSTimeouts{TCP: resource.Duration(time.Hour), UDP: resource.Duration(time.Minute)}, o),
		change(reconcile.Create, nil, ftp, o),
		change(reconcile.Update, ftp, less, o),
		change(reconcile.Create, nil, gue, o),
		change(reconcile.Update, gue, drained, o), // what a check or draining = true does
		leaving,
		change(reconcile.Create, nil, sync, o),
		change(reconcile.Delete, resource.IPVSSync{Role: "backup", Interface: "eth1", SyncID: 3}, nil, spec.Origin{}),
	}}
}

// haproxies has files that are made, changed with and without a reload, and removed.
func haproxies() reconcile.Plan {
	o := spec.Origin{Address: "haproxy.edge", File: "cluster.hcl", Line: 12}
	before := resource.HAProxyFile{Path: "/etc/haproxy/hareconcile.d/50-hareconcile.cfg", Structure: "aa",
		Text: "# managed\nbackend app\n    balance roundrobin\n    server rs1 192.0.2.1:80 weight 10\n    server rs2 192.0.2.2:80 weight 10\n"}
	weight, balance := before, before
	weight.Text = strings.Replace(before.Text, "weight 10", "weight 20", 1)
	balance.Text, balance.Structure = strings.Replace(before.Text, "roundrobin", "least\x1bconn", 1), "bb"
	server := resource.HAProxyServer{Socket: "/run/h.sock", Backend: "app", Name: "rs1", Address: netip.MustParseAddrPort("192.0.2.1:80"), Weight: 10, Admin: "ready"}
	more := server
	more.Weight = 20
	return reconcile.Plan{Changes: []reconcile.Change{
		change(reconcile.Create, nil, resource.HAProxyMap{Socket: "/run/h.sock", Path: "/etc/haproxy/hosts.map", Text: "a.example be_a\n"}, o),
		change(reconcile.Create, nil, before, o),
		change(reconcile.Update, before, weight, o),
		change(reconcile.Update, before, balance, o),
		change(reconcile.Update, server, more, o),
		change(reconcile.Delete, before, nil, spec.Origin{}),
	}}
}

// classes has a change of each class, and what somebody set by hand.
func classes() planfile.File {
	o := spec.Origin{Address: "haproxy.edge", File: "cluster.hcl", Line: 12}
	var p reconcile.Plan
	var blocked []reconcile.Problem
	found := map[resource.ID]reconcile.Class{}
	for _, class := range []reconcile.Class{
		reconcile.ClassFileOnly, reconcile.ClassRuntime, reconcile.ClassReload, reconcile.ClassRestart, reconcile.ClassHandEdited, reconcile.ClassBlocked,
	} {
		before := resource.HAProxyFile{Path: "/etc/" + string(class) + "/50-hareconcile.cfg", Text: "# managed\n"}
		after := before
		after.Text, after.Structure = "# managed\nbackend app\n", "aa"
		c := change(reconcile.Update, before, after, o)
		p.Changes = append(p.Changes, c)
		switch class {
		case reconcile.ClassBlocked:
			blocked = append(blocked, reconcile.Problem{Change: c, Err: errors.New("line 7: bind 192.0.2.1:80 would fail")})
		case reconcile.ClassHandEdited:
			blocked = append(blocked, reconcile.Problem{Change: c, Err: errors.New("it was changed by hand")})
			found[c.ID] = class
		default:
			found[c.ID] = class
		}
	}
	server := resource.HAProxyServer{Socket: "/run/h.sock", Backend: "app", Name: "rs1", Address: netip.MustParseAddrPort("192.0.2.1:80"), Weight: 10, Admin: "ready"}
	changed, drained := server, server
	changed.Weight = 20
	c := change(reconcile.Update, changed, server, o)
	p.Changes, found[c.ID] = append(p.Changes, c), reconcile.ClassDrift
	drained.Name, drained.Admin, drained.Weight = "rs2", "drain", 5
	want := drained
	want.Admin, want.Weight = "ready", 10
	p.Conflicts = []reconcile.Conflict{{ID: want.ID(), Live: drained, Want: want, Origin: o}}
	f := planfile.New(meta, p, 9, nil)
	f.Errors = planfile.Problems(blocked)
	f.Classify(found, blocked)
	f.HAProxies = []spec.HAProxy{{Name: "edge", Nodes: []string{"ka1"}, ConfigDir: "/etc/h.d", RuntimeSocket: "/run/h.sock", MasterSocket: "/run/m.sock", AddServers: "auto"}}
	return f
}

func TestGolden(t *testing.T) {
	for name, f := range cases() {
		t.Run(name, func(t *testing.T) {
			var text, js bytes.Buffer
			if err := f.WriteText(&text, false); err != nil {
				t.Fatal(err)
			}
			if err := f.Encode(&js); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", text.Bytes())
			golden(t, name+".json", js.Bytes())
			for _, r := range text.String() {
				if r != '\n' && !unicode.IsPrint(r) || r == unicode.ReplacementChar {
					t.Errorf("text has the unprintable rune %U", r)
				}
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func TestColorOnlyAddsEscapes(t *testing.T) {
	strip := strings.NewReplacer("\x1b[0m", "", "\x1b[1m", "", "\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[36m", "")
	for name, f := range cases() {
		var plain, colored bytes.Buffer
		if err := f.WriteText(&plain, false); err != nil {
			t.Fatal(err)
		}
		if err := f.WriteText(&colored, true); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(plain.String(), "\x1b") || !strings.Contains(colored.String(), "\x1b") {
			t.Errorf("%s: colour is not what was asked for", name)
		}
		if strip.Replace(colored.String()) != plain.String() {
			t.Errorf("%s: colour changes the text", name)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for name, f := range cases() {
		if name == "hostile" {
			continue // JSON replaces bytes that are not UTF-8
		}
		var b bytes.Buffer
		if err := f.Encode(&b); err != nil {
			t.Fatal(err)
		}
		got, err := planfile.Decode(&b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(f, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
			cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
			t.Errorf("%s: Decode(Encode(f)) differs (-want +got):\n%s", name, d)
		}
		if got.Fingerprint() != f.Fingerprint() {
			t.Errorf("%s: the fingerprint does not survive the file", name)
		}
	}
}

func TestPlanIsWhatNewWasGiven(t *testing.T) {
	p := reconcile.Plan{
		Changes:    []reconcile.Change{change(reconcile.Update, server("10.0.0.1:80", 1), server("10.0.0.1:80", 2), spec.Origin{Address: "a", File: "f", Line: 1})},
		Uncompared: 2,
	}
	p.Changes[0].Drain = true
	got := planfile.New(meta, p, 1, nil).Plan()
	if len(got.Changes) != 1 || got.Changes[0] != p.Changes[0] || got.Uncompared != 2 {
		t.Errorf("Plan() = %+v, want %+v", got, p)
	}
}

func TestFingerprintSeesWhatMatters(t *testing.T) {
	plan := func(before int) reconcile.Plan {
		return reconcile.Plan{Changes: []reconcile.Change{change(reconcile.Update, server("10.0.0.1:80", before), server("10.0.0.1:80", 9), spec.Origin{})}}
	}
	base := planfile.New(meta, plan(1), 1, nil).Fingerprint()
	later := meta
	later.Created = later.Created.Add(time.Hour)
	if planfile.New(later, plan(1), 5, nil).Fingerprint() != base {
		t.Error("time and counts change the fingerprint")
	}
	if planfile.New(meta, plan(2), 1, nil).Fingerprint() == base {
		t.Error("another value before does not change the fingerprint")
	}
	for _, alter := range []func(*planfile.Meta){
		func(m *planfile.Meta) { m.Node = "ka2" },
		func(m *planfile.Meta) { m.BootID = "other" },
		func(m *planfile.Meta) { m.Digest = "sha256:cd" },
	} {
		m := meta
		alter(&m)
		if planfile.New(m, plan(1), 1, nil).Fingerprint() == base {
			t.Errorf("%+v has the fingerprint of %+v", m, meta)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct{ part, whole, want int }{
		{0, 0, 0}, {0, 9, 0}, {1, 0, 100}, {1, 1000, 1}, {1, 2, 50}, {2, 3, 67}, {7, 3, 100}, {-1, 3, 0},
	} {
		if got := planfile.Percent(c.part, c.whole); got != c.want {
			t.Errorf("Percent(%d, %d) = %d, want %d", c.part, c.whole, got, c.want)
		}
	}
}
