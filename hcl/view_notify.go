package hcl

import (
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// notify reads a notify block. ok is false where this node tells nothing by it.
func (v *view) notify(b *hclsyntax.Block) (n spec.Notify, ok bool) {
	typ, name := b.Labels[0], b.Labels[1]
	in := v.ev.instance(notifyBlock, b, "notify."+typ+"."+name, nil)
	if known := sortedKeys(notifyAttrs); !slices.Contains(known, typ) {
		v.ev.report.errorf(b.LabelRanges[0], "Unknown type", "notify has no type %q; %s do.%s", typ, strings.Join(known, ", "), DidYouMean(typ, known))
		return n, false
	}
	if first, dup := v.at[in.address]; dup {
		v.ev.report.errorf(b.DefRange(), "The name is taken", "Another notify %q %q is at %s.", typ, name, place(first.at))
		return n, false
	}
	n = spec.Notify{Origin: v.note(in), Name: name, Events: v.eventKinds(in)}
	for _, r := range in.strings("on") {
		n.On = append(n.On, "vrrp_instance."+r)
	}
	for _, a := range notifyBlock.attrs {
		if in.written(a.name) && !slices.Contains(notifyAttrs[typ], a.name) && !slices.Contains([]string{"events", "on", "nodes"}, a.name) {
			in.fail(a.name, a.name+" does not fit", "notify %q has no use for it. What fits is %s.", typ, strings.Join(notifyAttrs[typ], ", "))
		}
	}
	switch typ {
	case "exec":
		n.Exec = v.notifyExec(in, n.Events)
	case "smtp":
		n.SMTP = notifySMTP(in)
	case "webhook":
		n.Webhook = notifyWebhook(in)
	}
	nodes := in.strings("nodes")
	for _, node := range nodes {
		if _, known := v.cluster.NodeByName(node); !known {
			in.fail("nodes", "There is no such node", "No node is named %q.%s", node, DidYouMean(node, v.nodeNames()))
		}
	}
	return n, len(nodes) == 0 || slices.Contains(nodes, v.cluster.Node)
}

func (v *view) eventKinds(in *instance) []string {
	var known []string
	for _, k := range event.Kinds() {
		known = append(known, string(k))
	}
	got := in.strings("events")
	if len(got) == 0 && in.written("events") {
		in.fail("events", "events is empty", "Name what is told, such as [\"vrrp_transition\", \"alarm\"].")
	}
	for _, k := range got {
		if !slices.Contains(known, k) {
			in.fail("events", "Unknown event", "There are no events of kind %.80q.%s", k, DidYouMean(k, known))
		}
	}
	return got
}

func (v *view) notifyExec(in *instance, events []string) *spec.NotifyExec {
	x := &spec.NotifyExec{Command: in.strings("command"), Timeout: in.duration("timeout"), Ensure: in.boolean("ensure")}
	switch {
	case len(x.Command) == 0:
		in.fail("command", "command is missing", "It names a program: [\"/usr/local/libexec/move-route\"].")
	case checkPath(cty.StringVal(x.Command[0])) != "":
		in.fail("command", "command cannot be that", "%.80q is not a clean absolute path: no PATH is searched, and nothing is given to a shell.", x.Command[0])
	case len(strings.Join(x.Command, " ")) > maxSend || strings.Contains(strings.Join(x.Command, ""), "\x00"):
		in.fail("command", "command cannot be that", "It has more than %d bytes, or a NUL byte.", maxSend)
	}
	if x.Ensure && !slices.Equal(events, []string{string(event.VRRPTransition)}) {
		in.fail("ensure", "ensure does not fit", "Only the state of an instance holds until the next one: write events = [\"vrrp_transition\"].")
	}
	return x
}

func notifySMTP(in *instance) *spec.NotifySMTP {
	m := &spec.NotifySMTP{
		Server: in.string("server"), TLS: in.string("tls"), Username: in.string("username"), Password: in.secret("password", "the password"),
		From: in.string("from"), Recipients: in.strings("recipients"), PerMinute: in.int("per_minute"),
	}
	host, port, err := net.SplitHostPort(m.Server)
	if err != nil || host == "" || port == "" || !printable(m.Server) {
		in.fail("server", "server cannot be that", "%.80q is not HOST:PORT, such as \"smtp.example.com:465\".", m.Server)
	}
	if m.TLS == "none" && !isLoopback(host) {
		in.fail("tls", "tls cannot be none", "%.80q is another host: what is told would travel in the clear. Write implicit or starttls.", host)
	}
	if (m.Username == "") != (m.Password == "") {
		in.fail("username", "Half of a log-in", "username and password go together.")
	}
	for attr, list := range map[string][]string{"from": {m.From}, "recipients": m.Recipients} {
		if len(list) == 0 {
			in.fail(attr, attr+" is missing", "Somebody has to get the mail.")
		}
		for _, a := range list {
			if got, err := mail.ParseAddress(a); err != nil || got.Address != a {
				in.fail(attr, "Not an address", "%.80q is no mail address such as ops@example.com.", a)
			}
		}
	}
	return m
}

// isLoopback reports whether a host is surely this one.
func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func notifyWebhook(in *instance) *spec.NotifyWebhook {
	w := &spec.NotifyWebhook{URL: in.string("url"), URLSecret: in.secret("url_secret", "the URL"), Secret: in.secret("secret", "the key"), Timeout: in.duration("timeout")}
	if (w.URL == "") == (w.URLSecret == "") {
		in.fail("url", "There is no url, or two", "Write url or url_secret.")
		return w
	}
	if w.URL == "" {
		return w
	}
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		in.fail("url", "url cannot be that", "An https URL is needed; http does for this host alone.")
	} else if u.User != nil {
		in.ev.report.hidden = append(in.ev.report.hidden, in.attrRange("url")) // it may hold a password
		in.fail("url", "url cannot be that", "A password in the URL would be shown. Write url_secret = secret(\"name\").")
	}
	return w
}
