package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

func TestStatusText(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	s := control.Status{
		Node: "ka1", Cluster: "lab", Phase: control.Converged, ConvergedAt: ago(90 * time.Second), VRRPD: "up",
		Revision: planfile.Revision{Ref: "main", Commit: "8f3c2d1aaaaaaa", Subject: "web: \x1b[2Jadd web4"},
		Source:   control.Source{URL: "ssh://git@git.example.com/edge.git", LastSuccess: ago(72 * time.Hour), Error: "connection refused"},
		Instances: []control.Instance{
			{Name: "web", InstanceStatus: channel.InstanceStatus{State: "MASTER", Reason: "priority", Since: ago(4 * time.Second),
				Priority: 150, Held: []string{"172.25.254.100/24"}, Transitions: 2}},
			{Name: "mail", InstanceStatus: channel.InstanceStatus{State: "BACKUP", Since: ago(time.Hour),
				Priority: 100, Master: netip.MustParseAddr("172.25.254.20"), Alerts: []string{"address list of 172.25.254.20 differs"}}},
			{Name: "many", InstanceStatus: channel.InstanceStatus{State: "MASTER", Since: ago(time.Hour), Priority: 100,
				Held: []string{"10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24", "10.0.0.4/24"}}},
		},
		Services: []control.Service{{Name: "http", Service: "tcp 172.25.254.100:80", Sorry: true, Servers: []control.Server{
			{Name: "rs1", Address: "172.25.254.110:80", Weight: 2, Verdict: reconcile.Up, Since: ago(12 * time.Second)},
			{Name: "rs2", Address: "172.25.254.120:80", Verdict: reconcile.Down, Message: "http: status 503", Since: ago(3 * time.Second)},
			{Name: "rs3", Address: "172.25.254.130:80"},
		}}},
		Trackers: []control.Tracker{{Name: "uplink", Verdict: reconcile.Up}, {Name: "haproxy", Message: "plugin exited"}},
		Drift: control.Drift{Total: 7, PollInterval: 500 * time.Millisecond, Last: []control.DriftItem{
			{Time: ago(2 * time.Second), Resource: "ipvs_server/x", Action: "update"}}},
		Conflicts: []control.Conflict{{Resource: "address/172.25.254.100", Detail: "exists and was not made by hareconcile"}},
		Findings:  []reconcile.Finding{{Policy: "checked", Level: "advisory", File: "vip-safety.policy.hcl", Line: 61, Message: "no checks"}},
		Refused: &revision.Refused{Commit: "51aa07e111", Subject: "web: typo", Stage: "compile", Reason: "one error",
			Diagnostics: hcl.Diagnostics{{Severity: hcl.Error, Summary: "Unsupported argument", File: "cluster.hcl",
				Start: hcl.Pos{Line: 7, Column: 3}, End: hcl.Pos{Line: 7, Column: 12}, Snippet: "  prioritee = 1"}}},
	}
	var b bytes.Buffer
	if err := writeStatus(&b, s, now); err != nil {
		t.Fatal(err)
	}
	golden(t, "status.txt", b.String())
}

func TestStatusTextOfTrouble(t *testing.T) {
	var b bytes.Buffer
	s := control.Status{Node: "ka1", Phase: control.Degraded, Message: "create a: no\ncreate b: no", StoreError: "no space left on device", VRRPD: "up"}
	if err := writeStatus(&b, s, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"create a: no\n", " create b: no\n", "Store     the last good revision is not on disk: no space left"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("status lacks %q:\n%s", want, b.String())
		}
	}
}

func TestAge(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{-time.Second, "0.0s ago"}, {1500 * time.Millisecond, "1.5s ago"}, {90 * time.Second, "1m30s ago"}, {100 * time.Hour, "4d ago"},
	} {
		if got := age(now, now.Add(-tt.d)); got != tt.want {
			t.Errorf("age of %v = %q, want %q", tt.d, got, tt.want)
		}
	}
	if got := age(now, time.Time{}); got != "" {
		t.Errorf("age of no time = %q, want nothing", got)
	}
}
