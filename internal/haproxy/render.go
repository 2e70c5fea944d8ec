package haproxy

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// FileName is the name of the managed file in its folder. haproxy reads the files of a folder
// in the order of their names.
const FileName = "50-hareconcile.cfg"

// StructureVariable is the environment variable by which a worker says with which structure
// it was started (management.txt, show env).
const StructureVariable = "HARECONCILE_STRUCT"

// Marker starts the first line of every managed file.
const Marker = "# managed by hareconcile; "

// A File is the managed file as it should be.
type File struct {
	Path string
	// Text is the whole file.
	Text string
	// Structure is the SHA-256, in hexadecimal digits, of what a worker learns by a reload
	// alone: the file without the servers' address, port, weight, maxconn and state, which
	// runtime commands change, and without comments and spare blanks.
	Structure string
}

// Render returns the managed file of h. It is a pure function, and no text of h but raw ones
// adds a line. What would start a section where none may start becomes a line that haproxy
// refuses, so that such a file is never loaded.
func Render(h spec.HAProxy, cluster string) File {
	p := &page{}
	for k := range h.Defaults {
		p.defaults(&h.Defaults[k])
	}
	if hasOrphan(h) {
		p.section("defaults", orphans)
	}
	for k := range h.Frontends {
		p.frontend(&h.Frontends[k], speaksHTTP(h, h.Frontends[k]))
	}
	for k := range h.Backends {
		p.backend(&h.Backends[k])
	}
	for _, raw := range h.RawSections {
		p.rawSection(raw)
	}
	socket := []string{"stats socket", word(h.RuntimeSocket), "mode 660 level admin"}
	if h.RuntimeGroup != "" {
		socket = append(socket, "group", word(h.RuntimeGroup))
	}
	global := "global\n" + indent + join(socket) + "\n"
	sum := sha256.Sum256([]byte(global + p.structure.String()))
	f := File{Path: ManagedPath(h), Structure: hex.EncodeToString(sum[:])}
	f.Text = Marker + "cluster=" + plain(cluster) + " name=" + plain(h.Name) + "\n" +
		global + indent + "setenv " + StructureVariable + " " + f.Structure + "\n" + p.text.String()
	return f
}

// ManagedPath returns the path of the file that h is.
func ManagedPath(h spec.HAProxy) string { return path.Join(h.ConfigDir, FileName) }

// Managed reports whether text is a file that Render made, whoever changed it since.
func Managed(text string) bool { return strings.HasPrefix(text, Marker) }

// A page is a file that is being written, and its structure beside it.
type page struct{ text, structure strings.Builder }

const indent = "    "

// section starts a section.
func (p *page) section(words ...string) {
	line := join(words) + "\n"
	p.text.WriteString("\n" + line)
	p.structure.WriteString(line)
}

// line writes a line of a section.
func (p *page) line(words ...string) { p.change(join(words), join(words)) }

// change writes a line of which only a part is structure.
func (p *page) change(text, structure string) {
	p.text.WriteString(indent + text + "\n")
	p.structure.WriteString(indent + structure + "\n")
}

// verbatim writes lines as people wrote them, or as what haproxy refuses.
func (p *page) verbatim(lines string) {
	for _, l := range strings.Split(strings.Trim(lines, "\n"), "\n") {
		l = strings.TrimSpace(plain(l))
		if startsSection(l) {
			l = refused + l
		}
		p.text.WriteString(strings.TrimRight(indent+l, " ") + "\n")
		if bare := Bare(l); bare != "" {
			p.structure.WriteString(indent + bare + "\n")
		}
	}
}

// rawSection writes sections as people wrote them, or what haproxy refuses.
func (p *page) rawSection(raw string) {
	p.text.WriteString("\n")
	for _, l := range strings.Split(strings.Trim(raw, "\n"), "\n") {
		l = strings.TrimRight(clean(l), " ")
		if first := firstWord(l); startsSection(l) && !RawSection(first) {
			l = refused + strings.TrimSpace(l)
		}
		p.text.WriteString(l + "\n")
		if bare := Bare(l); bare != "" {
			p.structure.WriteString(bare + "\n")
		}
	}
}

func (p *page) directives(lines []string) {
	for _, l := range lines {
		p.verbatim(plain(l))
	}
}

func (p *page) raw(text string) {
	if strings.TrimSpace(text) != "" {
		p.verbatim(text)
	}
}

func (p *page) optional(keyword, value string) {
	if value != "" {
		p.line(keyword, plain(value))
	}
}

// join puts words into a line; what is empty stays out.
func join(words []string) string {
	var kept []string
	for _, w := range words {
		if w = strings.TrimSpace(w); w != "" {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}

func number(n int) string { return strconv.Itoa(n) }
