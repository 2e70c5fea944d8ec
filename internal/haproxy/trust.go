package haproxy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// Who can write to the repository must not thereby read and write any file as root: the agent
// and haproxy's master are root's. So a definition may name only files in folders that are
// haproxy's anyway, and as text only lines of which it is known what they do. The host's owner
// can allow more in agent.hcl, and nobody else can.

// folders are those in which any definition may name files.
var folders = []string{"/etc/haproxy", "/var/lib/haproxy"}

// publicFolders are those of which anybody may read the files.
var publicFolders = []string{"/etc/ssl/certs"}

// In socketFolder are sockets, and no files: Debian lets haproxy's own user write there, who
// would say by a link what root reads and writes. In namedFolders sockets are haproxy*.sock.
var (
	socketFolder = "/run/haproxy"
	namedFolders = []string{"/run", "/run/hareconcile"}
)

// A Concern is something in a definition that needs the consent of the host's owner.
type Concern struct {
	Origin spec.Origin
	What   string // a sentence
	Allow  string // what agent.hcl says where it is allowed
}

// Concerns returns what in h goes beyond what trust allows, in the order of the definition.
func Concerns(h spec.HAProxy, trust spec.HAProxyTrust) []Concern {
	c := &concerned{trust: trust}
	c.file(h.Origin, "config_dir", h.ConfigDir+"/"+FileName, false)
	c.socket(h.Origin, "runtime_socket", h.RuntimeSocket)
	c.socket(h.Origin, "master_socket", h.MasterSocket)
	for _, d := range h.Defaults {
		c.lines(d.Origin, "", d.Directives...)
	}
	for _, f := range h.Frontends {
		c.frontend(f)
	}
	for _, b := range h.Backends {
		c.backend(b)
	}
	for _, m := range h.Maps {
		c.file(m.Origin, "path", m.Path, false)
		if path.Ext(m.Path) == ".cfg" && !trust.RawLines {
			c.add(m.Origin, "path is "+m.Path+", which haproxy may load as a configuration: it loads all .cfg of a folder.", consentToLines)
		}
	}
	for _, x := range h.Certificates {
		c.file(x.Origin, "path", x.Path, true)
	}
	for _, s := range h.RawSections {
		c.section(h.Origin, s)
	}
	return c.found
}

const consentToLines = "haproxy { raw_lines = true }"

type concerned struct {
	trust spec.HAProxyTrust
	found []Concern
}

func (c *concerned) add(o spec.Origin, what, allow string) {
	c.found = append(c.found, Concern{o, what, allow})
}

func (c *concerned) frontend(f spec.HAProxyFrontend) {
	for _, b := range f.Binds {
		if b.TLS != nil {
			for _, crt := range b.TLS.Certificates {
				c.file(b.Origin, "crt", strings.TrimSuffix(crt, "/"), true)
			}
		}
		c.part(b.Origin, b.Params...)
	}
	c.lines(f.Origin, "", f.Directives...)
	for _, r := range f.Routes {
		c.part(r.Origin, r.Backend, r.When)
	}
	c.lines(f.Origin, "", strings.Split(f.Raw, "\n")...)
}

func (c *concerned) backend(b spec.HAProxyBackend) {
	c.part(b.Origin, b.Balance)
	c.part(b.Origin, b.Hash)
	if b.Check != nil {
		c.part(b.Origin, b.Check.Expect)
	}
	c.lines(b.Origin, "", b.Directives...)
	for _, s := range b.Servers {
		c.part(s.Origin, s.Params...)
	}
	c.lines(b.Origin, "", strings.Split(b.Raw, "\n")...)
}

// section looks at a text of whole sections.
func (c *concerned) section(o spec.Origin, text string) {
	section := ""
	for line := range strings.SplitSeq(text, "\n") {
		if first := firstWord(line); RawSection(first) {
			section = first
			continue
		}
		c.lines(o, section, line)
	}
}

// lines looks at lines of a section that is written by hand, or of a proxy.
func (c *concerned) lines(o spec.Origin, section string, lines ...string) {
	for _, l := range lines {
		words, _ := Words(l)
		if len(words) == 0 || c.trust.RawLines {
			continue
		}
		if problem := strange(section, words); problem != "" {
			c.line(o, l, problem)
			continue
		}
		c.words(o, l, words)
	}
}

// part looks at a part of a line, of which several texts may be pieces.
func (c *concerned) part(o spec.Origin, pieces ...string) {
	part := strings.Join(pieces, " ")
	if words, _ := Words(part); len(words) > 0 && !c.trust.RawLines {
		c.words(o, part, words)
	}
}

// file looks at a file or folder that attr names.
func (c *concerned) file(o spec.Origin, attr, name string, reads bool) {
	if !below(name, c.allowed(reads)) {
		c.add(o, fmt.Sprintf("%s names %.200q, and a definition may name files below %s only.", attr, name, strings.Join(c.allowed(reads), ", ")), consentTo(name))
	}
}

func (c *concerned) socket(o spec.Origin, attr, name string) {
	if !below(name, append(c.allowed(false), socketFolder)) && !namedSocket(name) {
		c.add(o, fmt.Sprintf("%s is %.200q, and a definition may name sockets below %s only, or haproxy*.sock in %s.",
			attr, name, strings.Join(append(c.allowed(false), socketFolder), ", "), strings.Join(namedFolders, ", ")), consentTo(name))
	}
}

// consentTo is what agent.hcl says where a file may be named.
func consentTo(name string) string {
	if !Sendable(name) || path.Clean(name) != name || !path.IsAbs(name) {
		return consentToLines
	}
	return fmt.Sprintf("haproxy { folders = [%q] }", path.Dir(name))
}

// allowed returns the folders in which files may be named: to be read, or to be written too.
func (c *concerned) allowed(reads bool) []string {
	out := slices.Concat(folders, c.trust.Folders)
	if reads {
		out = append(out, publicFolders...)
	}
	return out
}

// below reports whether name is a clean path in one of some folders.
func below(name string, folders []string) bool {
	return Sendable(name) && path.Clean(name) == name && slices.ContainsFunc(folders, func(dir string) bool {
		return strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
	})
}

// namedSocket reports whether a path is that of a socket which can be nobody else's.
func namedSocket(name string) bool {
	base := path.Base(name)
	return Sendable(name) && path.Clean(name) == name && slices.Contains(namedFolders, path.Dir(name)) &&
		strings.HasPrefix(base, "haproxy") && strings.HasSuffix(base, ".sock")
}

// Sendable reports whether a name can be a word of a command on haproxy's sockets, which has
// blanks between words, semicolons between commands, and no way to quote that all releases know.
func Sendable(name string) bool {
	return name != "" && len(name) < 512 && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`;\"'<#`, r)
	})
}
