package main

import (
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// TestUnallowedProgramsAreTold: with the place, and only for the host whose agent.hcl was read.
func TestUnallowedProgramsAreTold(t *testing.T) {
	at := func(address string, line int) spec.Origin {
		return spec.Origin{Address: address, File: "cluster.hcl", Line: line}
	}
	c := &spec.Cluster{
		Node: "ka1",
		Trackers: []spec.Tracker{
			{Origin: at("tracker.script", 7), Name: "script", Plugin: "exec"},
			{Origin: at("tracker.lb", 9), Name: "lb", Plugin: "haproxy"},
		},
		Pools: []spec.Pool{{Origin: at("pool.web", 20), Name: "web", Checks: []spec.Check{{Type: "exec"}}}},
	}
	for _, tt := range []struct {
		name  string
		agent spec.Agent
		want  []string
	}{
		{"of this host", spec.Agent{NodeName: "ka1"}, []string{"cluster.hcl:7", "tracker.script", "cluster.hcl:20", "pool.web", "allow_exec = true"}},
		{"of another", spec.Agent{NodeName: "ka2"}, nil},
		{"where it is allowed", spec.Agent{NodeName: "ka1", Plugins: spec.Plugins{AllowExec: true}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			ds := (&host{cfg: tt.agent}).unallowed(c)
			if err := (&env{stderr: &out}).diagnose(ds); err != nil {
				t.Errorf("a warning is an error: %v", err)
			}
			if (len(ds) == 0) != (len(tt.want) == 0) || strings.Contains(out.String(), "tracker.lb") {
				t.Errorf("said %q, want %q", out.String(), tt.want)
			}
			for _, part := range tt.want {
				if !strings.Contains(out.String(), part) {
					t.Errorf("said %q, want %q in it", out.String(), part)
				}
			}
		})
	}
}

// proxied is a cluster whose haproxy names a file outside haproxy's folders, and a file in a line.
func proxied() *spec.Cluster {
	at := func(address string, line int) spec.Origin {
		return spec.Origin{Address: address, File: "cluster.hcl", Line: line}
	}
	return &spec.Cluster{
		Node: "ka1",
		HAProxies: []spec.HAProxy{{
			Origin: at("haproxy.edge", 7), Name: "edge", Nodes: []string{"ka1"}, ConfigDir: "/etc/haproxy/hareconcile.d",
			RuntimeSocket: "/run/hareconcile/haproxy.sock", MasterSocket: "/run/haproxy-master.sock",
			Frontends: []spec.HAProxyFrontend{{Origin: at("haproxy.edge.frontend.web", 20), Directives: []string{"http-request return file /etc/shadow"}}},
			Maps:      []spec.HAProxyMap{{Origin: at("haproxy.edge.map.cron", 30), Path: "/etc/cron.d/x"}},
		}},
	}
}

// TestFilesAndLinesNeedConsent: on this host they are errors where they are written, and the
// handlers refuse them too, whichever way a definition comes; validate, which knows no host,
// warns.
func TestFilesAndLinesNeedConsent(t *testing.T) {
	for _, tt := range []struct {
		name  string
		agent spec.Agent
		want  []string // in the order of the diagnostics
	}{
		{"allows nothing", spec.Agent{NodeName: "ka1"}, []string{"cluster.hcl:20", "/etc/shadow", "cluster.hcl:30", `folders = ["/etc/cron.d"]`}},
		{"allows lines", spec.Agent{NodeName: "ka1", HAProxy: spec.HAProxyTrust{RawLines: true}}, []string{"cluster.hcl:30"}},
		{"allows a folder", spec.Agent{NodeName: "ka1", HAProxy: spec.HAProxyTrust{Folders: []string{"/etc/cron.d"}}}, []string{"cluster.hcl:20"}},
		{"allows all", spec.Agent{NodeName: "ka1", HAProxy: spec.HAProxyTrust{Folders: []string{"/etc/cron.d"}, RawLines: true}}, nil},
		{"is another", spec.Agent{NodeName: "ka2"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			err := (&env{stderr: &out}).diagnose((&host{cfg: tt.agent}).unallowed(proxied()))
			if (err != nil) != (tt.want != nil) {
				t.Errorf("err = %v with %q, want one: %v", err, out.String(), tt.want != nil)
			}
			rest := out.String()
			for _, part := range tt.want {
				_, after, found := strings.Cut(rest, part)
				if !found {
					t.Fatalf("said %q, want %q in the rest of it, %q", out.String(), part, rest)
				}
				rest = after
			}
			h := haproxies{node: tt.agent.NodeName, trust: tt.agent.HAProxy}
			h.follow(proxied())
			for _, m := range h.managed() {
				if (m.Refused == "") != (tt.want == nil) {
					t.Errorf("the handlers get refused = %q", m.Refused)
				}
			}
		})
	}
	var out strings.Builder
	if err := (&env{stderr: &out}).diagnose(concerns(proxied(), "", spec.HAProxyTrust{}, hcl.Warning)); err != nil || strings.Count(out.String(), "Warning: ") != 2 {
		t.Errorf("validate says %q, %v; want two warnings", out.String(), err)
	}
}
