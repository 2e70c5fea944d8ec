package lab

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestAgentConfigIsAccepted(t *testing.T) {
	text := agentConfig("n1", settings{
		dir: "/run/hareconcile-lab/x", bin: "/opt/bin", interval: 2 * time.Second, trusted: strings.Repeat("a1", 20),
	})
	a, ds := hcl.ParseAgent("agent.hcl", []byte(text))
	if a == nil {
		t.Fatalf("ParseAgent: %v", ds)
	}
	if a.NodeName != "n1" || a.Source.URL != "file:///run/hareconcile-lab/x/repo.git" || a.Source.Branch != "main" ||
		a.Source.Interval != 2*time.Second || a.TrustedFrom != strings.Repeat("a1", 20) || a.Plugins.Dir != "/opt/bin" {
		t.Errorf("agent = %+v, want what the settings say", a)
	}
}

func TestTopology(t *testing.T) {
	node := func(name, a string) spec.Node { return spec.Node{Name: name, Address: netip.MustParseAddr(a)} }
	c := &spec.Cluster{
		Nodes: []spec.Node{node("lb", "192.0.2.9"), node("rs", "198.51.100.5")},
		Instances: []spec.VRRPInstance{{
			Priority: map[string]uint8{"lb": 100},
			Source:   map[string]netip.Addr{"lb": netip.MustParseAddr("198.51.100.77")},
		}, {
			Interface: "eth0", Priority: map[string]uint8{"lb": 100},
			Source:    map[string]netip.Addr{"lb": netip.MustParseAddr("2001:db8::9")},
			Addresses: []spec.VirtualAddress{{Prefix: netip.MustParsePrefix("2001:db8::100/64")}},
		}},
		HAProxies: []spec.HAProxy{
			{Name: "web", Nodes: []string{"lb"}, ConfigDir: "/etc/haproxy/ours.d", MasterSocket: "/run/m.sock", RuntimeSocket: "/run/r/a.sock"},
			{Name: "more", Nodes: []string{"lb"}, ConfigDir: "/etc/more.d", MasterSocket: "/run/m.sock", RuntimeSocket: "/run/r/b.sock"},
			{Name: "other", Nodes: []string{"lb"}, ConfigDir: "/etc/other.d", MasterSocket: "/run/n.sock", RuntimeSocket: "/run/r/c.sock"},
		},
	}
	l := &spec.Lab{
		Segments: []spec.Segment{
			{Name: "out", Prefix: netip.MustParsePrefix("192.0.2.0/24"), Nodes: []string{"lb"}},
			{Name: "in", Prefix: netip.MustParsePrefix("198.51.100.0/24"), Nodes: []string{"lb", "rs"}},
		},
		Hosts:  []spec.LabHost{{Name: "client", Segment: "out", Address: netip.MustParseAddr("192.0.2.66")}},
		Serves: []spec.Serve{{Host: "rs", Body: "hi", Port: 8080}},
	}
	cfg, err := topology(c, l, settings{bin: "/b"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"lb":     "eth0=192.0.2.9/24,2001:db8::9/64@0 eth1=198.51.100.77/24@1 vrrpd agent haproxy haproxy-2",
		"rs":     "eth0=198.51.100.5/24@1 agent web-8080",
		"client": "eth0=192.0.2.66/24@0",
	}
	got := map[string]string{}
	for _, h := range cfg.Hosts {
		var words []string
		for _, k := range h.Links {
			words = append(words, k.Device+"="+strings.Join(k.Prefixes, ",")+"@"+string(rune('0'+k.Segment)))
		}
		for _, v := range h.Services {
			words = append(words, v.Name)
		}
		got[h.Name] = strings.Join(words, " ")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("topology (-want +got):\n%s", d)
	}
}

func TestHAProxies(t *testing.T) {
	block := spec.HAProxy{Name: "web", Nodes: []string{"lb"}, ConfigDir: "/etc/haproxy/ours.d", MasterSocket: "/run/m.sock", RuntimeSocket: "/run/r/a.sock"}
	more := block
	more.ConfigDir = "/etc/more.d"
	h := hostPlan{Name: "lb"}
	if err := h.proxies(&spec.Cluster{HAProxies: []spec.HAProxy{block, more}}); err != nil {
		t.Fatal(err)
	}
	want := "/usr/sbin/haproxy -W -S /run/m.sock -p /run/haproxy.pid -f /etc/haproxy/haproxy.cfg -f /etc/haproxy/ours.d -f /etc/more.d"
	if len(h.Services) != 1 || strings.Join(h.Services[0].Argv, " ") != want {
		t.Errorf("services = %+v, want one that runs %s", h.Services, want)
	}
	if got := strings.Join(h.own("/etc"), " "); got != "haproxy more.d haproxy" {
		t.Errorf("own(/etc) = %s, want the folders of the definitions and of haproxy.cfg", got)
	}
	elsewhere := hostPlan{Name: "rs"}
	if err := elsewhere.proxies(&spec.Cluster{HAProxies: []spec.HAProxy{block}}); err != nil || len(elsewhere.Services) != 0 {
		t.Errorf("a node that the block does not name gets %+v, %v", elsewhere.Services, err)
	}
	block.ConfigDir = "/opt/haproxy.d"
	if err := h.proxies(&spec.Cluster{HAProxies: []spec.HAProxy{block}}); err == nil {
		t.Error("a folder that a host cannot have gave no error")
	}
}

func TestAddressOnAnotherSegmentKeepsTheHostPart(t *testing.T) {
	for _, x := range []struct{ address, prefix, want string }{
		{"192.0.2.9", "192.0.2.0/24", "192.0.2.9"},
		{"192.0.2.9", "10.1.0.0/16", "10.1.2.9"},
		{"192.0.2.201", "10.1.2.128/26", "10.1.2.137"},
	} {
		n := spec.Node{Name: "n", Address: netip.MustParseAddr(x.address)}
		got := addressOn(&spec.Cluster{}, n, netip.MustParsePrefix(x.prefix))
		if got.String() != x.want {
			t.Errorf("addressOn(%s, %s) = %s, want %s", x.address, x.prefix, got, x.want)
		}
	}
}
