package hcl

import (
	"net/netip"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestWebhook(t *testing.T) {
	const head = `
node_name = "ka1"
source "git" "origin" {
  url = "/srv/git/edge.git"
  ref = { branch = "main" }
}
`
	for text, want := range map[string]spec.Webhook{
		`webhook { listen = "0.0.0.0:9273" }`: {Listen: netip.MustParseAddrPort("0.0.0.0:9273")},
		`webhook {
		  listen      = "[::]:9273"
		  secret_file = "/etc/hareconcile/webhook.secret"
		  cert_file   = "/etc/hareconcile/webhook.pem"
		  key_file    = "/etc/hareconcile/webhook.key"
		}`: {
			Listen: netip.MustParseAddrPort("[::]:9273"), SecretFile: "/etc/hareconcile/webhook.secret",
			CertFile: "/etc/hareconcile/webhook.pem", KeyFile: "/etc/hareconcile/webhook.key",
		},
	} {
		a, ds := ParseAgent("agent.hcl", []byte(head+text))
		if ds.HasErrors() || a.Webhook == nil || *a.Webhook != want {
			t.Errorf("%s: webhook = %+v, want %+v %v", text, a, want, ds)
		}
	}
}
