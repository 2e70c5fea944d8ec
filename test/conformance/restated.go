package conformance

import "fmt"

// A change makes another clause of one that a later RFC has almost so.
type change func(*Clause)

// restated is a clause of RFC 9568 that an older RFC has in the same sense.
func restated(id string, changes ...change) Clause {
	for _, c := range rfc9568 {
		if c.ID == id {
			if c.Who == "active" {
				c.Who = "master"
			}
			for _, f := range changes {
				f(&c)
			}
			return c
		}
	}
	panic(fmt.Sprintf("RFC 9568 has no clause %q", id))
}

func as(id string) change         { return func(c *Clause) { c.ID = id } }
func level(l Level) change        { return func(c *Clause) { c.Level = l } }
func text(s string) change        { return func(c *Clause) { c.Text = s } }
func note(s string) change        { return func(c *Clause) { c.Note = s } }
func gap(s string) change         { return func(c *Clause) { c.Gap, c.Option, c.Single = s, "", "" } }
func option(s string) change      { return func(c *Clause) { c.Option = s } }
func seen(c *Clause)              { c.Unseen = false }
func positive(t ...string) change { return func(c *Clause) { c.Positive = t } }
func negative(t ...string) change { return func(c *Clause) { c.Negative = t } }
func election(rows ...string) change { // of version 2
	return func(c *Clause) {
		c.Positive = nil
		for _, r := range rows {
			c.Positive = append(c.Positive, core+"TestVersion2Election/"+r)
		}
	}
}
