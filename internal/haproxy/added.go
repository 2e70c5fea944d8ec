package haproxy

import (
	"slices"
	"strings"
)

// A Server is a server line of a managed file.
type Server struct {
	Backend, Name string
	// Runtime are the words that runtime commands change: address, weight, maxconn, disabled;
	// Fixed the others.
	Runtime, Fixed []string
}

// Disabled reports whether the server starts in maintenance.
func (s Server) Disabled() bool { return slices.Contains(s.Runtime, "disabled") }

// Checked reports whether the server is checked.
func (s Server) Checked() bool { return slices.Contains(s.Fixed, "check") }

// AddCommand returns the command that adds the server to a running haproxy (management.txt, add
// server). It is in maintenance then, and not checked yet.
func (s Server) AddCommand() string {
	words := slices.Concat([]string{"add server", s.Backend + "/" + s.Name}, s.Runtime, s.Fixed)
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "disabled" }), " ")
}

// FileStructure returns the fingerprint that a managed file says it has, or "".
func FileStructure(text string) string {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "setenv" && f[1] == StructureVariable {
			return f[2]
		}
	}
	return ""
}

// Servers returns the server lines of the backends of a managed file.
func Servers(text string) []Server {
	s, _ := parseServers(text)
	return s
}

// Added returns the servers that after has and before has not, if the two managed files have
// nothing else that a worker learns by a reload alone, and if a running haproxy takes such
// servers. Values of servers that runtime commands change may differ.
func Added(before, after string) (added []Server, ok bool) {
	old, oldRest := parseServers(before)
	now, nowRest := parseServers(after)
	if oldRest != nowRest {
		return nil, false
	}
	for _, s := range now {
		switch {
		case len(old) > 0 && old[0].Backend == s.Backend && old[0].Name == s.Name && slices.Equal(old[0].Fixed, s.Fixed):
			old = old[1:]
		case len(added) < maxAdded && s.addable(after):
			added = append(added, s)
		default:
			return nil, false
		}
	}
	return added, len(added) > 0 && len(old) == 0
}

// maxAdded is how many servers are worth a command each; one reload brings more.
const maxAdded = 50

// unadded are what `add server` refuses in some release, by the start of the word (management.txt,
// add server; server.c).
var unadded = []string{
	"cookie", "enabled", "init-addr", "log-proto", "max-reuse", "namespace", "non-stick", "redir", "resolve", "socks4", "stick", "track",
}

// addable reports whether a running haproxy may take s, and whether it can be told of it: a
// command knows no quotes.
func (s Server) addable(file string) bool {
	for _, w := range slices.Concat([]string{s.Backend, s.Name}, s.Runtime, s.Fixed) {
		if strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`;\"'<#$`, r) }) {
			return false
		}
	}
	for _, w := range s.Fixed {
		if slices.ContainsFunc(unadded, func(u string) bool { return strings.HasPrefix(w, u) }) {
			return false
		}
	}
	balance, hash := "", ""
	in := ""
	for line := range strings.Lines(file) {
		f := strings.Fields(line)
		switch {
		case len(f) < 2:
		case slices.Contains(sections, f[0]):
			in = f[0] + " " + f[1]
		case in != "backend "+s.Backend:
		case f[0] == "balance":
			balance = strings.Join(f[1:], " ")
		case f[0] == "hash-type":
			hash = strings.Join(f[1:], " ")
		}
	}
	return !StaticBalance(balance, hash)
}

// parseServers splits a managed file, as Render writes it, into server lines and the rest
// without comments, spare blanks and the fingerprint.
func parseServers(text string) (servers []Server, rest string) {
	var kept strings.Builder
	backend := ""
	for line := range strings.Lines(text) {
		words, _ := Words(strings.TrimRight(line, "\n"))
		raw := make([]string, 0, len(words))
		for _, w := range words {
			raw = append(raw, w.Raw)
		}
		switch {
		case len(raw) == 0, len(raw) > 1 && raw[0] == "setenv" && raw[1] == StructureVariable:
			continue
		case slices.Contains(sections, raw[0]):
			backend = ""
			if raw[0] == "backend" && len(raw) > 1 {
				backend = raw[1]
			}
		case backend != "" && raw[0] == "server" && len(raw) > 2:
			servers = append(servers, parseServer(backend, raw))
			continue
		}
		kept.WriteString(strings.Join(raw, " ") + "\n")
	}
	return servers, kept.String()
}

// parseServer reads a server line: name, address, and in this order what runtime commands
// change; what is behind the id is fixed, whatever it is called.
func parseServer(backend string, raw []string) Server {
	s := Server{Backend: backend, Name: raw[1]}
	n := 3
	for _, word := range []string{"weight", "maxconn"} {
		if n+1 < len(raw) && raw[n] == word {
			n += 2
		}
	}
	if n < len(raw) && raw[n] == "disabled" {
		n++
	}
	s.Runtime, s.Fixed = raw[2:n], raw[n:]
	return s
}
