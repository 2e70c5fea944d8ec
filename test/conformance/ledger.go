// Package conformance is the ledger of what the RFCs on VRRP demand of this project.
package conformance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Level says how an RFC puts a demand.
type Level string

// The levels.
const (
	Must    Level = "MUST"
	MustNot Level = "MUST NOT"
	// Lower is a demand in lower case: before RFC 8174 authors meant these now and then, and
	// RFC 9568 has most of them in capitals.
	Lower Level = "must"
	// Step is a step of the state machine in a section that has no keyword.
	Step Level = "step"
)

// A Clause is one demand of one RFC. Its ID begins with the section.
type Clause struct {
	ID    string
	Level Level
	Who   string // whom it is about
	// Unseen says that the exact wording was not seen, but its sense.
	Unseen bool
	Text   string // what it demands, in our words
	// Positive and Negative are the tests that see it met, and that see what must not be not
	// happening: "PACKAGE.TEST", or "PACKAGE.TEST/NAME" for a subtest or a row of its table.
	Positive, Negative []string
	// Single says why one polarity is all that there can be.
	Single string
	// Option says with which setting it is met, where the default differs, and why.
	Option string
	// Gap says why it is not met: "not applicable because ..." or "differs because ...".
	Gap string
	// Note adds what a reader should know.
	Note string
}

// Section is that of the RFC.
func (c Clause) Section() string {
	section, _, _ := strings.Cut(c.ID, " ")
	return section
}

// A Status says what became of a clause.
type Status string

// The statuses, from the best.
const (
	Proven        Status = "proven"
	ProvenOne     Status = "proven, one polarity"
	ProvenOption  Status = "proven, by option"
	NotApplicable Status = "not applicable"
	Differs       Status = "differs"
	Unproven      Status = "unproven"
)

const (
	notApplicable = "not applicable because "
	differs       = "differs because "
)

// Status judges the clause by what is written of it.
func (c Clause) Status() Status {
	both, one := len(c.Positive) > 0 && len(c.Negative) > 0, len(c.Positive)+len(c.Negative) > 0
	switch {
	case strings.HasPrefix(c.Gap, notApplicable):
		return NotApplicable
	case strings.HasPrefix(c.Gap, differs):
		return Differs
	case c.Gap != "":
		return Unproven
	case both && c.Option != "":
		return ProvenOption
	case both:
		return Proven
	case one && c.Single != "":
		return ProvenOne
	}
	return Unproven
}

// A Document is one RFC.
type Document struct {
	RFC     int
	Title   string
	Note    string // what the reader of its table should know
	Clauses []Clause
}

// Documents are all RFCs of the ledger, the one that is in force first.
func Documents() []Document {
	docs := []Document{
		{
			RFC: 9568, Title: "VRRP version 3 for IPv4 and IPv6 (2024)", Clauses: rfc9568,
			Note: "It is in force. The errata 7947, 7949, 8298, 8299, 8300 and 8301 are taken as part of it.",
		},
		{
			RFC: 5798, Title: "VRRP version 3 for IPv4 and IPv6 (2010)", Clauses: rfc5798,
			Note: "RFC 9568 obsoletes it. keepalived and FRR are written after it.",
		},
		{
			RFC: 3768, Title: "VRRP version 2 (2004)", Clauses: rfc3768,
			Note: "RFC 5798 obsoletes it. Version 2 is there to join pairs that speak it.",
		},
	}
	for _, d := range docs {
		slices.SortStableFunc(d.Clauses, func(a, b Clause) int { return compareSections(a.Section(), b.Section()) })
	}
	return docs
}

// compareSections orders "5.1.2" before "5.1.10", and appendices last.
func compareSections(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
}

// name is how a clause is called everywhere.
func (d Document) name(c Clause) string { return fmt.Sprintf("%d %s", d.RFC, c.ID) }
