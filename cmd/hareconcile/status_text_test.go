package main

import (
	"bytes"
	"fmt"
	"io"
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
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestStatusText(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	s := control.Status{
		Node: "ka1", Cluster: "lab", Phase: control.Converged, ConvergedAt: ago(90 * time.Second), VRRPD: "up",
		Revision: planfile.Revision{Ref: "main", Commit: "8f3c2d1aaaaaaa", Subject: "web: \x1b[2Jadd web4"},
		Source:   control.Source{URL: "ssh://git@git.example.com/edge.git", LastSuccess: ago(72 * time.Hour), Error: "connection refused"},
		Look:     control.Look{Next: now.Add(250 * time.Second)},
		Webhook:  &control.Webhook{Address: "0.0.0.0:9273", Accepted: 1234, Refused: 5, LastAccepted: ago(2 * time.Minute), Error: "secret_file: /etc/hareconcile/hook is empty"},
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
		Findings:  []reconcile.Finding{{Policy: "checked", Level: "advisory", File: "vip-safety.policy.hcl", Line: 61, Subject: "virtual_server.http", Message: "no checks"}},
		Refused: &revision.Refused{Commit: "51aa07e111", Subject: "web: typo", Stage: "compile", Reason: "one error",
			Diagnostics: hcl.Diagnostics{{Severity: hcl.Error, Summary: "Unsupported argument", File: "cluster.hcl",
				Start: hcl.Pos{Line: 7, Column: 3}, End: hcl.Pos{Line: 7, Column: 12}, Snippet: "  prioritee = 1"}}},
	}
	var b bytes.Buffer
	if err := writeStatus(&b, s, now, false); err != nil {
		t.Fatal(err)
	}
	golden(t, "status.txt", b.String())
}

func TestARefusalForSeveralReasons(t *testing.T) {
	s := control.Status{Refused: &revision.Refused{Commit: "51aa07e111", Subject: "web", Stage: "plan", Reason: "this hangs\nthat\x1b hangs"}}
	var b bytes.Buffer
	if err := writeStatus(&b, s, time.Now(), false); err != nil {
		t.Fatal(err)
	}
	if want := "\nRefused: 51aa07e \"web\" at plan: this hangs\n  that\uFFFD hangs\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("status ends with %q, want %q", b.String(), want)
	}
}

func TestStatusTextOfADirector(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	seven := 7
	s := control.Status{
		Node: "ka1", Phase: control.Applying, VRRPD: "up",
		Progress: &control.Progress{Done: 12_000, Total: 60_000, Kind: resource.KindIPVSServer},
		Alarms: []reconcile.Alarm{{Subject: "pool.web", Kind: "panic", Message: "4 of 5 servers are down\x1b[2J: all are served"},
			{Subject: "virtual_server.ftp", Kind: "no_quorum", Message: "weight 1 of 3"}},
		Checks: &control.Checks{Targets: 5000, Made: 1_234_567, InFlight: 12, LatenessP99: 2345678,
			Unmeasured: 1200, Complainer: "web/rs1", Complaint: "redis: could not measure: there is no secret redis", ComplainedAt: ago(2 * time.Second)},
		Services: []control.Service{
			{Name: "http", Service: "tcp 192.0.2.1:80", Services: make([]string, 100), Quorum: true, Panic: true, Servers: []control.Server{
				{Name: "rs1", Address: "10.0.0.1:80", Weight: 40, Share: 40, Verdict: reconcile.Up, Since: ago(12 * time.Second)},
				{Name: "rs2", Address: "10.0.0.2:80", Weight: 7, Dynamic: &seven, Verdict: reconcile.Degraded, Since: ago(time.Minute), Message: "answered after 1.2s"},
				{Name: "rs3", Address: "10.0.0.3:80", Draining: true, Connections: 1118, Verdict: reconcile.Up, Since: ago(time.Hour)},
				{Name: "rs4", Address: "10.0.0.4:80", Draining: true, Drained: true, Verdict: reconcile.Up, Since: ago(time.Hour)},
			}},
			{Name: "ftp", Service: "mark 7 ipv4", Servers: []control.Server{{Name: "a", Address: "10.0.0.1:0", Weight: 1, Verdict: reconcile.Up}}},
			{Name: "dns", Service: "udp [2001:db8::1]:53", Program: "this node is BACKUP", Servers: []control.Server{{Name: "a", Address: "[2001:db8::2]:53", Verdict: reconcile.Up}}},
			{Name: "none", Service: "tcp 192.0.2.9:1", Quorum: true},
		},
		Drains: []control.Drain{{Server: "web/rs3", State: control.Draining, Connections: 1118, Since: ago(time.Minute), Until: now.Add(4 * time.Minute)}},
	}
	var b, colored bytes.Buffer
	if err := writeStatus(&b, s, now, false); err != nil {
		t.Fatal(err)
	}
	golden(t, "status-director.txt", b.String())
	if err := writeStatus(&colored, s, now, true); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(colored.String(), red+"ALARM pool.web") || strings.NewReplacer(red, "", plain, "").Replace(colored.String()) != b.String() {
		t.Errorf("in colour:\n%q", colored.String())
	}
}

// big returns n virtual servers with five servers each, all in order.
func big(n int) (s control.Status) {
	s.Node, s.Phase, s.VRRPD = "ka1", control.Converged, "up"
	for i := range n {
		vs := control.Service{Name: fmt.Sprintf("web[%q]", fmt.Sprint("s", i)), Service: fmt.Sprintf("tcp 198.18.%d.%d:80", i>>8, i&255), Quorum: true}
		for k := range 5 {
			vs.Servers = append(vs.Servers, control.Server{Name: fmt.Sprint("rs", k), Address: fmt.Sprintf("10.0.%d.1:80", k), Weight: 1, Verdict: reconcile.Up})
		}
		s.Services = append(s.Services, vs)
	}
	return s
}

func TestStatusTextOfManyServicesIsShort(t *testing.T) {
	s := big(10_000)
	for i := range 10 {
		srv := &s.Services[i*77].Servers[i%5]
		srv.Weight, srv.Verdict, srv.Message = 0, reconcile.Down, "tcp: connection refused"
	}
	for i := range 20 {
		s.Services[5000+i].Program = "this node is BACKUP"
	}
	s.Services[7].Quorum, s.Services[8].Sorry = false, true
	var b bytes.Buffer
	if err := writeStatus(&b, s, time.Now(), false); err != nil {
		t.Fatal(err)
	}
	golden(t, "status-big.txt", b.String())
	for i := range s.Services { // a storm
		for k := range s.Services[i].Servers {
			s.Services[i].Servers[k].Verdict = reconcile.Down
		}
	}
	b.Reset()
	if err := writeStatus(&b, s, time.Now(), false); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n > 80 || !strings.Contains(b.String(), "0 of 50,000 servers up") || !strings.Contains(b.String(), "and 49,940 more;") {
		t.Errorf("%d lines of a storm:\n%s", n, b.String())
	}
}

func BenchmarkStatusText(b *testing.B) {
	s := big(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := writeStatus(io.Discard, s, time.Time{}, true); err != nil {
			b.Fatal(err)
		}
	}
}

func TestStatusTextOfTrouble(t *testing.T) {
	var b bytes.Buffer
	s := control.Status{Node: "ka1", Phase: control.Degraded, Message: "create a: no\ncreate b: no", StoreError: "no space left on device", VRRPD: "up"}
	if err := writeStatus(&b, s, time.Now(), false); err != nil {
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
