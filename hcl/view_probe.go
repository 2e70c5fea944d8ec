package hcl

import (
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// probes read what is of one type of check only, into its struct.
var probes = map[string]func(*view, *instance, *spec.Check){
	"tcp":        (*view).tcpProbe,
	"http":       (*view).httpProbe,
	"https":      (*view).httpProbe,
	"dns":        (*view).dnsProbe,
	"smtp":       (*view).smtpProbe,
	"ping":       func(*view, *instance, *spec.Check) {},
	"udp":        (*view).udpProbe,
	"grpc":       (*view).grpcProbe,
	"redis":      (*view).redisProbe,
	"mysql":      (*view).sqlProbe,
	"postgresql": (*view).sqlProbe,
	"exec":       (*view).execProbe,
	"plugin":     (*view).pluginProbe,
	"file":       (*view).fileProbe,
	"bfd":        (*view).bfdProbe,
}

// The longest texts that a check sends, and looks for.
const (
	maxSend    = 16 << 10
	maxPattern = 1024
)

func (v *view) tcpProbe(in *instance, c *spec.Check) {
	o := v.expect(in)
	c.TCP = &spec.TCPCheck{Send: in.payload(), Expect: o.pattern("contains"), Regex: o.regex("regex")}
	if c.TCP.Expect != "" && c.TCP.Regex != "" {
		o.fail("regex", "regex does not fit", "expect has contains already. A pattern can hold the text, too.")
	}
}

func (v *view) dnsProbe(in *instance, c *spec.Check) {
	o := v.expect(in)
	c.DNS = &spec.DNSCheck{
		Transport: in.string("transport"), Name: in.string("name"), Query: in.string("query"),
		Rcodes: o.strings("rcodes"), Answer: o.boolean("answer"), Contains: o.pattern("contains"),
	}
	if c.DNS.Transport == "udp" {
		c.DNS.Transport = ""
	}
	if slices.Equal(c.DNS.Rcodes, []string{"NOERROR"}) {
		c.DNS.Rcodes = nil
	}
	if !dnsName(c.DNS.Name) {
		in.fail("name", "name cannot be that", "%.80q is no name of DNS: labels of 1 to 63 characters with dots between them, or \".\".", c.DNS.Name)
	}
	if q := c.DNS.Query; !slices.Contains(dnsTypes, q) {
		in.fail("query", "query cannot be that", "%.40q is not the type of a record, such as A, AAAA or SOA.%s", q, DidYouMean(strings.ToUpper(q), dnsTypes))
	}
	if c.DNS.Transport == "tls" && c.TLS == nil {
		c.TLS = &spec.TLS{}
	} else if c.DNS.Transport != "tls" && c.TLS != nil {
		in.fail("tls", "tls does not fit", "Write transport = \"tls\" for DNS over TLS.")
	}
}

// dnsTypes are the types of records that have names (RFC 1035, section 3.2.2, and later ones).
var dnsTypes = []string{
	"A", "NS", "CNAME", "SOA", "PTR", "HINFO", "MX", "TXT", "AAAA", "LOC", "SRV", "NAPTR", "DNAME", "DS", "SSHFP",
	"RRSIG", "NSEC", "DNSKEY", "NSEC3", "NSEC3PARAM", "TLSA", "CDS", "CDNSKEY", "SVCB", "HTTPS", "SPF", "CAA", "ANY",
}

// dnsName reports whether s is a name of 255 bytes at most (RFC 1035, section 2.3.4).
func dnsName(s string) bool {
	if s == "." {
		return true
	}
	if s = strings.TrimSuffix(s, "."); s == "" || len(s) > 253 || !printable(s) || strings.Contains(s, "\\") {
		return false
	}
	return !slices.ContainsFunc(strings.Split(s, "."), func(l string) bool { return l == "" || len(l) > 63 })
}

func (v *view) smtpProbe(in *instance, c *spec.Check) {
	c.SMTP = &spec.SMTPCheck{Helo: in.string("helo"), STARTTLS: in.boolean("starttls")}
	if c.SMTP.Helo == "" || !hostText(c.SMTP.Helo) {
		in.fail("helo", "helo cannot be that", "It is the name of a host, or an address in brackets.")
	}
	if c.SMTP.STARTTLS && c.TLS == nil {
		c.TLS = &spec.TLS{}
	}
}

func (v *view) udpProbe(in *instance, c *spec.Check) {
	o := v.expect(in)
	c.UDP = &spec.UDPCheck{
		Payload: in.payload(), Reply: strings.ToLower(o.string("reply")),
		MinReply: o.int("min_bytes"), MaxReply: o.int("max_bytes"),
	}
	c.UDP.RequireReply = o.boolean("any") || c.UDP.Reply != "" || c.UDP.MinReply > 0 || c.UDP.MaxReply > 0
	digits := strings.Trim(c.UDP.Reply, "0123456789abcdefx") == ""
	if !digits || len(c.UDP.Reply)%2 != 0 || len(c.UDP.Reply) > 2*maxSend {
		o.fail("reply", "reply cannot be that", "It is pairs of hex digits, in which x is any digit, such as \"0001xx80\".")
	}
	if c.UDP.MaxReply > 0 && (c.UDP.MaxReply < c.UDP.MinReply || c.UDP.MaxReply < len(c.UDP.Reply)/2) {
		o.fail("max_bytes", "max_bytes cannot be that", "No answer has %d bytes at most and %d at the least.", c.UDP.MaxReply, max(c.UDP.MinReply, len(c.UDP.Reply)/2))
	}
}

func (v *view) grpcProbe(in *instance, c *spec.Check) {
	c.GRPC = &spec.GRPCCheck{Service: in.word("service"), Authority: in.word("authority")}
}

func (v *view) redisProbe(in *instance, c *spec.Check) {
	c.Redis = &spec.RedisCheck{User: in.word("user"), Password: in.secret("password", "the password"), Role: v.expect(in).string("role")}
	if c.Redis.User != "" && in.body.Attributes["password"] == nil {
		in.fail("user", "user does not fit", "AUTH needs a password: write password = secret(\"name\").")
	}
}

func (v *view) sqlProbe(in *instance, c *spec.Check) {
	c.SQL = &spec.SQLCheck{User: in.word("user"), Password: in.secret("password", "the password"), Database: in.word("database")}
	switch {
	case c.SQL.User != "":
	case in.body.Attributes["password"] != nil:
		in.fail("password", "password does not fit", "Nobody logs in without a user.")
	case c.SQL.Database != "":
		in.fail("database", "database does not fit", "Nobody logs in without a user.")
	}
}

func (v *view) execProbe(in *instance, c *spec.Check) {
	c.Exec = &spec.ExecCheck{Command: in.strings("command")}
	cmd := c.Exec.Command
	switch {
	case !in.written("command"):
	case len(cmd) == 0:
		in.fail("command", "command is empty", "It names a program: [\"/usr/local/bin/probe\", \"{address}\", \"{port}\"].")
	case checkPath(cty.StringVal(cmd[0])) != "":
		in.fail("command", "command cannot be that", "%.80q is not a clean absolute path: no PATH is searched, and nothing is given to a shell.", cmd[0])
	case len(strings.Join(cmd, " ")) > maxSend || strings.Contains(strings.Join(cmd, ""), "\x00"):
		in.fail("command", "command cannot be that", "It has more than %d bytes, or a NUL byte.", maxSend)
	}
	v.placeholders(in, "command", strings.Join(cmd, " "), "address", "port", "server", "pool")
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

// placeholders refuses {words} that stand for nothing.
func (v *view) placeholders(in *instance, attr, s string, known ...string) {
	for _, p := range placeholder.FindAllString(s, -1) {
		if name := strings.Trim(p, "{}"); !slices.Contains(known, name) {
			in.fail(attr, attr+" cannot be that", "%s stands for nothing; {%s} do.%s", p, strings.Join(known, "}, {"), DidYouMean(name, known))
			return
		}
	}
}

func (v *view) pluginProbe(in *instance, c *spec.Check) {
	c.Plugin = &spec.PluginCheck{Plugin: in.pluginName()}
	c.Plugin.Config = v.config(in, c.Plugin.Plugin)
}

func (v *view) fileProbe(in *instance, c *spec.Check) {
	c.File = &spec.FileCheck{Path: in.string("file")}
	if in.written("file") && checkPath(cty.StringVal(c.File.Path)) != "" {
		in.fail("file", "file cannot be that", "%.200q is not a clean absolute path.", c.File.Path)
	}
	v.placeholders(in, "file", c.File.Path, "server", "pool")
}

func (v *view) bfdProbe(in *instance, c *spec.Check) {
	c.Rise, c.Fall = 1, in.int("multiplier")
	if c.Interval = in.duration("interval"); in.body.Attributes["interval"] == nil {
		c.Interval = bfdInterval
	}
	if c.Interval > time.Minute {
		in.fail("interval", "interval cannot be that", "%s is out of range for BFD: from 10ms to 1m.", c.Interval)
	}
	c.Timeout = c.Interval
}

// expect reads expect = { ... }, of which a type has some fields.
func (v *view) expect(in *instance) object {
	o := in.object("expect")
	k := slices.IndexFunc(checkTypes, func(t checkType) bool { return t.name == in.name })
	for _, name := range sortedKeys(o.fields) {
		if known := checkTypes[k].expect; !slices.Contains(known, name) {
			o.fail(name, name+" does not fit", "expect of a check of type %q has no use for it. What fits is %s.", in.name, strings.Join(known, ", "))
		}
	}
	return o
}

// payload reads send or send_hex.
func (in *instance) payload() []byte {
	text, digits := in.body.Attributes["send"] != nil, in.body.Attributes["send_hex"] != nil
	var out []byte
	if s := in.string("send"); s != "" {
		out = []byte(s)
	}
	switch {
	case text && digits:
		in.fail("send_hex", "send_hex does not fit", "The check has send already.")
	case digits:
		b, err := hex.DecodeString(in.string("send_hex"))
		if out = b; err != nil {
			in.fail("send_hex", "send_hex cannot be that", "It is pairs of hex digits, such as \"0d0a\".")
		}
	}
	if len(out) > maxSend {
		in.fail("send", "send cannot be that", "It has %d bytes; at most %d are sent.", len(out), maxSend)
	}
	return out
}

// pattern reads a text that is looked for.
func (o object) pattern(field string) string {
	s := o.string(field)
	if o.written(field) && (s == "" || len(s) > maxPattern) {
		o.fail(field, field+" cannot be that", "A text of 1 to %d bytes is needed.", maxPattern)
	}
	return s
}

// regex reads a pattern, which has to be one of RE2: it takes linear time whatever it meets.
func (o object) regex(field string) string {
	s := o.pattern(field)
	if _, err := regexp.Compile(s); err != nil {
		o.fail(field, field+" cannot be that", "%.200q is no pattern of RE2: %v. It knows neither look-around nor back references.", s, err)
		return ""
	}
	return s
}

// word reads a text that is printable.
func (in *instance) word(attr string) string {
	s := in.string(attr)
	if !printable(s) || in.written(attr) && s == "" {
		in.fail(attr, attr+" cannot be that", "%.80q is empty, or has spaces or control characters.", s)
	}
	return s
}
