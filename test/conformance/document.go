package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// statuses are in the order of the summary, with what they mean.
var statuses = []struct {
	status  Status
	meaning string
}{
	{Proven, "a positive and a negative test"},
	{ProvenOne, "one test, and the reason why there cannot be another"},
	{ProvenOption, "both tests, with a setting that is not the default; the reason says why it is not"},
	{NotApplicable, "it is about something that is not there; the reason says what"},
	{Differs, "it is not met, on purpose or not yet; the reason says why"},
}

const introduction = `# VRRP: what the RFCs demand, and what proves it

This file is generated: ` + "`go test ./test/conformance -update`" + ` writes it, and the same test without
` + "`-update`" + ` fails if it is stale, if a clause has no tests and no reason, or if a test that it names is
not there.

Each row is one MUST or MUST NOT. *must* in lower case is a demand that the RFC has so; *step* is a step of
the state machine in a section without a keyword. The demand is in our words. A test is
` + "`package.Test`" + `, or ` + "`package.Test/name`" + ` for a subtest or a row of its table. The positive test
sees the demand met; the negative one sees that what it forbids, or whatever else it excludes, does not
happen. Where a clause differs they see what is the case instead. R1, R2 and so on are the reasons of the
three lists before the tables. Tests that need a network namespace run where they can; ` + "`HARECONCILE_TEST_REQUIRE=all`" + ` makes
them fail elsewhere.

**Sources.** The texts of the RFCs were not at hand in full when this was written. The clauses were taken
from published lists of their requirements by section, with the sections read in excerpts; the errata 8298,
8299 and 8300 of RFC 9568 were read as published, and 7947, 7949 and 8301 in summaries. Rows whose exact
wording was not seen are marked with † after the level; their sense is that of the lists.

**What is beyond the RFCs.** An advert has an effect only if it comes from a known peer, if its interval is
within a factor of four of our own (RFC 9568, section 6.4.2, would follow any), and, where authentication
is configured, if it is signed. Priority 0 shortens a backup's wait only if the master that it follows, or
nobody that it knows, sent it. A process that slept listens before it sends. Two owners of one address do
not stay two: the one with the lower address yields, or, if it does not, the other one. FAULT, unicast,
delays and groups are not in the RFCs. None of that is in the tables, except where a row has to say so.
`

// Markdown is the generated document.
func Markdown() string {
	var b strings.Builder
	b.WriteString(introduction)
	b.WriteString("\n## Summary\n\n| | meaning |")
	docs := Documents()
	for _, d := range docs {
		fmt.Fprintf(&b, " RFC %d |", d.RFC)
	}
	b.WriteString(" all |\n|---|---|" + strings.Repeat("---:|", len(docs)+1) + "\n")
	row := func(name, meaning string, count func(Clause) bool) {
		fmt.Fprintf(&b, "| %s | %s |", name, meaning)
		all := 0
		for _, d := range docs {
			n := 0
			for _, c := range d.Clauses {
				if count(c) {
					n++
				}
			}
			all += n
			fmt.Fprintf(&b, " %d |", n)
		}
		fmt.Fprintf(&b, " %d |\n", all)
	}
	row("**clauses**", "", func(Clause) bool { return true })
	for _, s := range statuses {
		row(string(s.status), s.meaning, func(c Clause) bool { return c.Status() == s.status })
	}
	all := reasons(docs)
	writeReasons(&b, all)
	for _, d := range docs {
		writeDocument(&b, d, all)
	}
	return b.String()
}

// A reason is one that clauses share, with their names.
type reason struct {
	why     string
	clauses []string
}

// reasons are those of gaps and options, numbered in the order of the tables.
func reasons(docs []Document) []reason {
	var out []reason
	for _, d := range docs {
		for _, c := range d.Clauses {
			why := c.Gap + c.Option
			if why == "" {
				continue
			}
			at := slices.IndexFunc(out, func(r reason) bool { return r.why == why })
			if at < 0 {
				at, out = len(out), append(out, reason{why: why})
			}
			out[at].clauses = append(out[at].clauses, d.name(c))
		}
	}
	return out
}

// writeReasons lists what is not there, or not so by default, so that nobody has to look
// for it.
func writeReasons(b *strings.Builder, all []reason) {
	for _, kind := range []struct{ title, prefix string }{
		{"What differs", differs}, {"What needs an option", "with "}, {"What is not there", notApplicable},
	} {
		fmt.Fprintf(b, "\n## %s\n\n", kind.title)
		for i, r := range all {
			if why, ok := strings.CutPrefix(r.why, kind.prefix); ok {
				if kind.prefix == "with " {
					why = r.why
				}
				fmt.Fprintf(b, "- **R%d.** %s. *RFC %s.*\n", i+1, capital(why), strings.Join(r.clauses, "; RFC "))
			}
		}
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func writeDocument(b *strings.Builder, d Document, all []reason) {
	fmt.Fprintf(b, "\n## RFC %d: %s\n\n%s\n\n", d.RFC, d.Title, d.Note)
	b.WriteString("| clause | level | who | demand | status | positive | negative |\n|---|---|---|---|---|---|---|\n")
	for _, c := range d.Clauses {
		status := string(c.Status())
		if at := slices.IndexFunc(all, func(r reason) bool { return r.why == c.Gap+c.Option }); at >= 0 {
			status += fmt.Sprintf(" (R%d)", at+1)
		}
		for _, why := range []string{c.Single, c.Note} {
			if why != "" {
				status += ": " + why
			}
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", c.ID, c.level(), c.Who, escape(c.Text), escape(status), tests(c.Positive), tests(c.Negative))
	}
}

// level is the clause's, with a dagger if its wording was not seen.
func (c Clause) level() string {
	switch {
	case c.Unseen:
		return string(c.Level) + " †"
	case c.Level == Lower || c.Level == Step:
		return "*" + string(c.Level) + "*"
	}
	return string(c.Level)
}

// tests are names in a cell, without what all of them begin with.
func tests(list []string) string {
	if len(list) == 0 {
		return "—"
	}
	out := make([]string, len(list))
	for i, name := range list {
		out[i] = "`" + escape(strings.TrimPrefix(name, "internal/")) + "`"
	}
	return strings.Join(out, "<br>")
}

// escape keeps a text in its cell.
func escape(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
