package main

import (
	"strings"
	"testing"

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
