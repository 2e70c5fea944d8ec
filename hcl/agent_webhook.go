package hcl

import (
	"net/netip"

	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// webhookBlock is the schema of webhook in agent.hcl.
var webhookBlock = &block{
	name: "webhook", single: true, doc: "Where a git host may tell this one of a push, so that it fetches at once. A request means \"fetch now\" and nothing else, whatever it says.",
	attrs: []attribute{
		{name: "listen", kind: listenKind, required: true, doc: "Where to listen, such as \"0.0.0.0:9273\"; any path there is the webhook's."},
		{name: "secret_file", kind: pathKind, doc: "A file with the secret of GitHub, Gitea or Forgejo (their HMAC-SHA256) or of GitLab (its secret or signing token), closed to everybody else and read for each request. Without it any POST makes this host fetch, which is harmless: at most five times at once and then every 10 seconds."},
		{name: "cert_file", kind: pathKind, doc: "The certificate and its chain, in PEM, for HTTPS. It is read for each connection."},
		{name: "key_file", kind: pathKind, doc: "The key of `cert_file`."},
	},
}

// listenKind is where this host listens.
var listenKind = kind{name: "address and port", typ: cty.String, check: func(v cty.Value) string {
	p, err := netip.ParseAddrPort(v.AsString())
	if err != nil || p.Port() == 0 || p.Addr().Zone() != "" {
		return `An IP address and a port are needed, such as "0.0.0.0:9273", "127.0.0.1:9273" or "[::]:9273".`
	}
	return ""
}}

// webhook reads the webhook block; without one, nobody listens.
func (f *flatFile) webhook() *spec.Webhook {
	found := f.root.children("webhook")
	if len(found) == 0 {
		return nil
	}
	in := found[0]
	w := &spec.Webhook{SecretFile: in.string("secret_file"), CertFile: in.string("cert_file"), KeyFile: in.string("key_file")}
	w.Listen, _ = netip.ParseAddrPort(in.string("listen")) // the kind has reported it
	switch {
	case w.KeyFile == "" && w.CertFile != "":
		f.report.errorf(in.attrRange("cert_file"), "key_file is missing", "A certificate is of use with its key alone.")
	case w.KeyFile != "" && w.CertFile == "":
		f.report.errorf(in.attrRange("key_file"), "cert_file is missing", "A key is of use with its certificate alone.")
	}
	return w
}
