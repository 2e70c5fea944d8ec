package hcl

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestAgentDefaults(t *testing.T) {
	a, ds := ParseAgent("agent.hcl", []byte(`
node_name = "ka1"
source "git" "origin" {
  url = "/srv/git/edge.git"
  ref = { branch = "main" }
}
`))
	if ds.HasErrors() {
		t.Fatal(text(ds))
	}
	want := &spec.Agent{
		NodeName: "ka1", DataDir: "/var/lib/hareconcile", Socket: "/run/hareconcile/agent.sock", VRRPSocket: "/run/hareconcile/vrrpd.sock",
		Source:        spec.GitSource{Name: "origin", URL: "/srv/git/edge.git", Branch: "main", Interval: time.Minute, JitterPercent: 10, Timeout: time.Minute},
		Plugins:       spec.Plugins{Dir: "/usr/libexec/hareconcile/plugins", User: "hareconcile-plugin", MemoryLimit: 128 << 20},
		RepoPolicyDir: "policies",
	}
	if d := cmp.Diff(want, a); d != "" {
		t.Errorf("agent (-want +got):\n%s", d)
	}
}

func TestAgentWithEverything(t *testing.T) {
	a, ds := ParseAgent("agent.hcl", []byte(`
node_name   = "lb1"
data_dir    = "/srv/data"
socket      = "/run/a.sock"
vrrp_socket = "/run/v.sock"

source "git" "primary" {
  url              = "ssh://git@git.example.com/ops/edge.git"
  ref              = { branch = "release/1" }
  path             = "clusters/edge/"
  interval         = "5s"
  jitter           = "25%"
  timeout          = "10s"
  identity_file    = "/etc/hareconcile/id"
  known_hosts_file = "/etc/hareconcile/known_hosts"
  token_file       = "/etc/hareconcile/token"
  ca_file          = "/etc/hareconcile/ca.pem"
}

verify {
  trusted_from         = "8f3c2d1"
  mode                 = "commit"
  allowed_signers_file = "/etc/hareconcile/allowed_signers"
  gpg_keys             = ["/etc/hareconcile/alice.asc"]
}

reconcile {
  mode        = "plan-only"
  allow_empty = true
}

policies {
  mandatory_dir = "/etc/hareconcile/policies.d"
  repo_dir      = "rules"
}

plugins {
  dir  = "/opt/plugins"
  user = "nobody"
}

haproxy {
  folders   = ["/etc/letsencrypt", "/srv/proxy"]
  raw_lines = true
}
`))
	if ds.HasErrors() {
		t.Fatal(text(ds))
	}
	want := &spec.Agent{
		NodeName: "lb1", DataDir: "/srv/data", Socket: "/run/a.sock", VRRPSocket: "/run/v.sock",
		Source: spec.GitSource{
			Name: "primary", URL: "ssh://git@git.example.com/ops/edge.git", Branch: "release/1", Path: "clusters/edge",
			Interval: 5 * time.Second, JitterPercent: 25, Timeout: 10 * time.Second, Identity: "/etc/hareconcile/id", KnownHosts: "/etc/hareconcile/known_hosts",
			TokenFile: "/etc/hareconcile/token", CAFile: "/etc/hareconcile/ca.pem",
		},
		TrustedFrom: "8f3c2d1", SignersFile: "/etc/hareconcile/allowed_signers", Keys: []string{"/etc/hareconcile/alice.asc"}, Plugins: spec.Plugins{Dir: "/opt/plugins", User: "nobody", MemoryLimit: 128 << 20},
		HAProxy:   spec.HAProxyTrust{Folders: []string{"/etc/letsencrypt", "/srv/proxy"}, RawLines: true},
		PolicyDir: "/etc/hareconcile/policies.d", RepoPolicyDir: "rules", PlanOnly: true, AllowEmpty: true,
	}
	if d := cmp.Diff(want, a); d != "" {
		t.Errorf("agent (-want +got):\n%s", d)
	}
}

func TestURLs(t *testing.T) {
	for url, ok := range map[string]bool{
		"file:///srv/git/x.git": true, "/srv/git/x.git": true, "ssh://git@host:2222/x.git": true,
		"git@host.example.com:ops/x.git": true, "https://host/x.git": true, "https://host:8443/x.git": true, "https://me@host/x.git": true,
		"http://host/x.git": false, "https://me:secret@host/x.git": false, "ext::sh -c id": false, "": false, "x": false,
		"file://x": false, "git://host/x": false, "--upload-pack=id": false, "https://host/x y": false,
	} {
		if got := checkURL(spec.GitSource{URL: url}) == ""; got != ok {
			t.Errorf("checkURL(%q) accepts = %v, want %v", url, got, ok)
		}
	}
}

func TestBranchNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"main": true, "release/1.2": true, "-x": false, "a..b": false, "a b": false, "a:b": false, "/a": false, "a/": false, "x.lock": false, "": false, "a@{1}": false,
	} {
		if got := branchName(name); got != ok {
			t.Errorf("branchName(%q) = %v, want %v", name, got, ok)
		}
	}
}
