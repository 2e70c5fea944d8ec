package hcl

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestNotify(t *testing.T) {
	const text = `
cluster "lab" {
  node "a" { address = "192.0.2.1" }
  node "b" { address = "192.0.2.2" }
}

vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 1
  priority          = { a = 200, b = 100 }
  addresses         = ["192.0.2.9/24"]
}

notify "exec" "move_route" {
  events  = ["vrrp_transition"]
  on      = [vrrp_instance.web]
  command = ["/usr/local/libexec/move-route", "eth1"]
  timeout = "20s"
  ensure  = true
}

notify "smtp" "ops" {
  events     = ["rolled_back", "alarm"]
  server     = "smtp.example.com:465"
  username   = "ops"
  password   = secret("smtp_password")
  from       = "ops@example.com"
  recipients = ["oncall@example.com"]
}

notify "webhook" "chat" {
  events     = ["alarm"]
  nodes      = ["a"]
  url_secret = secret("chat_url")
  secret     = secret("chat_key")
}
`
	chat := spec.Notify{Name: "chat", Events: []string{"alarm"}, Webhook: &spec.NotifyWebhook{URLSecret: "chat_url", Secret: "chat_key", Timeout: 10 * time.Second}}
	want := []spec.Notify{
		{Name: "move_route", Events: []string{"vrrp_transition"}, On: []string{"vrrp_instance.web"},
			Exec: &spec.NotifyExec{Command: []string{"/usr/local/libexec/move-route", "eth1"}, Timeout: 20 * time.Second, Ensure: true}},
		{Name: "ops", Events: []string{"rolled_back", "alarm"}, SMTP: &spec.NotifySMTP{Server: "smtp.example.com:465", TLS: "implicit",
			Username: "ops", Password: "smtp_password", From: "ops@example.com", Recipients: []string{"oncall@example.com"}, PerMinute: 6}},
	}
	for node, want := range map[string][]spec.Notify{"a": append(want[:2:2], chat), "b": want} {
		c, ds := Compile(Tree{"cluster.hcl": []byte(text)}, Options{Node: node})
		if c == nil {
			t.Fatalf("node %s: %v", node, ds)
		}
		if d := cmp.Diff(want, c.Notify, cmpopts.IgnoreFields(spec.Notify{}, "Origin")); d != "" {
			t.Errorf("node %s (-want +got)\n%s", node, d)
		}
	}
}
