package haproxy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// plainWords are the words that may start a line, by the section, "" for proxies: they read and
// write no file and start no program but as fileWords, addressWords and fileFunctions say
// (configuration.txt of 2.6 to 3.2).
var plainWords = map[string]string{
	"": `acl backlog capture clitcpka-cnt clitcpka-idle clitcpka-intvl compression cookie declare default description disabled
		dispatch email-alert enabled error-log-format errorfile errorfiles errorloc errorloc302 errorloc303 filter
		force-be-switch force-persist fullconn guid hash-balance-factor hash-preserve-affinity http-after-response
		http-check http-error http-request http-response http-reuse http-send-name-header id ignore-persist log
		log-format log-format-sd log-steps log-tag max-keep-alive-queue max-session-srv-conns maxconn monitor
		monitor-net monitor-uri no option persist quic-initial rate-limit redirect retries retry-on source
		srvtcpka-cnt srvtcpka-idle srvtcpka-intvl stats stick stick-table tcp-check tcp-request tcp-response
		timeout transparent unique-id-format unique-id-header use-fcgi-app use-server`,
	"userlist":    "group user",
	"peers":       "bind default-bind default-server disabled enabled log peer server shards table",
	"mailers":     "mailer timeout",
	"resolvers":   "accepted_payload_size hold nameserver parse-resolv-conf resolve_retries timeout",
	"cache":       "max-age max-object-size max-secondary-entries process-vary total-max-size",
	"ring":        "description format maxlen server size timeout",
	"log-forward": "assume-rfc6587-ntf backlog bind dgram-bind log maxconn option timeout",
	"http-errors": "errorfile",
	"fcgi-app":    "acl docroot index log-stderr option pass-header path-info set-param",
}

// plainFilters are the filters that have no file of their own and ask no other program.
var plainFilters = []string{"bwlim-in", "bwlim-out", "cache", "compression", "fcgi-app"}

// fileWords are words behind which a file stands, wherever they are in a line.
var fileWords = []string{
	"file", "lf-file", "errorfile", // http-request return, http-error
	"-f",                                                                                          // acl
	"crt", "crt-list", "ca-file", "ca-sign-file", "ca-verify-file", "crl-file", "tls-ticket-keys", // bind, server
}

// systemCAs is what ca-file has for the authorities of the host (configuration.txt, ca-file).
const systemCAs = "@system-ca"

// addressWords are words behind which an address stands wherever they are, addressStarts those
// that start a line; the number is how many words are between.
var (
	addressStarts = map[string]int{"bind": 0, "dgram-bind": 0, "log": 0, "log-stderr": 0, "dispatch": 0, "source": 0, "peer": 1, "server": 1, "nameserver": 1, "mailer": 1}
	addressWords  = []string{"addr", "agent-addr", "source", "socks4"}
)

// logSockets are the host's own, where any program may log.
var logSockets = []string{"/dev/log", "/run/systemd/journal/dev-log"}

var (
	// foreignAddress is one that is a path, a descriptor or a name outside networks
	// (configuration.txt, address formats), with what stands before it.
	foreignAddress = regexp.MustCompile(`^([a-z0-9]+\+)?(abns|abnsz|fd|sockpair|unix|uxdg|uxst)@`)
	// luaName is a function of Lua where a line may call one.
	luaName = regexp.MustCompile(`(^|[,\[{])lua\.`)
	// fileFunctions are those of expressions that have a file, with what stands before it.
	fileFunctions = regexp.MustCompile(`(^|[^A-Za-z0-9_-])((?:map(?:_[a-z_]+)?|(?:set|del)-map|(?:add|del)-acl)\(|jwt_[a-z_]+\([^(),]*,)([^(),]*)`)
)

// strange says what a line does that nobody but the host's owner may allow, or that it is not
// known; or nothing.
func strange(section string, words []Word) string {
	first, second := words[0].Text, ""
	if len(words) > 1 {
		second = words[1].Text
	}
	if (first == "no" || first == "default") && section == "" {
		if first, second = second, ""; len(words) > 2 {
			second = words[2].Text
		}
	}
	switch {
	case first == "backing-file":
		return "The word backing-file writes to a file."
	case first == "external-check", first == "option" && second == "external-check":
		return "It runs a program."
	case first == "stats" && second == "socket":
		return "It makes a socket, over whatever has its name."
	case first == "server-state-file-name":
		return "The word server-state-file-name reads a file."
	case first == "filter" && !slices.Contains(plainFilters, second):
		return fmt.Sprintf("The filter %.40q is not known to be harmless.", second)
	case !slices.Contains(strings.Fields(plainWords[section]), first):
		return fmt.Sprintf("The word %.40q is not known to be harmless.", first)
	}
	return ""
}

// strangeWord is strange for what a word says wherever it is.
func strangeWord(words []Word) string {
	for i, w := range words {
		switch {
		case foreignAddress.MatchString(w.Text):
			return fmt.Sprintf("The address %.80q is no network's.", w.Text)
		case luaName.MatchString(w.Text):
			return fmt.Sprintf("%.80q is Lua.", w.Text)
		case i > 0 && words[i-1].Text == "namespace" && strings.Contains(w.Text, "/"):
			return fmt.Sprintf("The namespace %.80q is a path.", w.Text)
		}
	}
	return ""
}

// words looks at what the words of a line name.
func (c *concerned) words(o spec.Origin, line string, words []Word) {
	if problem := strangeWord(words); problem != "" {
		c.line(o, line, problem)
		return
	}
	for i, w := range words {
		for _, f := range fileFunctions.FindAllStringSubmatch(w.Text, -1) {
			c.named(o, line, Word{Text: f[3], Variable: w.Variable})
		}
		if i == 0 {
			continue
		}
		switch before := words[i-1].Text; {
		case i == 1 && before == "errorfile": // its first word is the code
		case slices.Contains(fileWords, before), i == 2 && words[0].Text == "errorfile":
			c.named(o, line, w)
		case slices.Contains(addressWords, before):
			c.address(o, line, w)
		}
	}
	if k, ok := addressStarts[words[0].Text]; ok && k+1 < len(words) {
		c.address(o, line, words[k+1])
	}
}

// line says what is wrong with a line.
func (c *concerned) line(o spec.Origin, line, problem string) {
	c.add(o, fmt.Sprintf("%.80q: %s", strings.TrimSpace(line), problem), consentToLines)
}

// named looks at a file that a line reads.
func (c *concerned) named(o spec.Origin, line string, w Word) {
	switch {
	case w.Text == systemCAs:
	case w.Variable:
		c.line(o, line, "The file is a variable's.")
	default:
		c.file(o, fmt.Sprintf("%.80q", strings.TrimSpace(line)), strings.TrimSuffix(w.Text, "/"), true)
	}
}

// address looks at an address in a line: one that starts with a slash is a socket's path.
func (c *concerned) address(o spec.Origin, line string, w Word) {
	for _, a := range strings.Split(w.Text, ",") {
		switch {
		case w.Variable:
			c.line(o, line, "The address is a variable's.")
			return
		case strings.HasPrefix(a, "/") && !slices.Contains(logSockets, a), foreignAddress.MatchString(a):
			c.line(o, line, "The address is no network's.")
		}
	}
}
