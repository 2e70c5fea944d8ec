package hcl

import (
	"fmt"
	"slices"
	"strings"
)

// maxCandidates bounds the names that a suggestion looks at.
const maxCandidates = 1000

// DidYouMean returns " Did you mean ...?" if one of the names is near what was written.
func DidYouMean(written string, names []string) string {
	if s := nearest(written, names); s != "" {
		return fmt.Sprintf(" Did you mean %q?", s)
	}
	return ""
}

// suggest is DidYouMean for a name in b. A word of keepalived's may be an attribute where it
// was written as a block, or the other way round, and its place may be another block.
func (b *block) suggest(written string, names []string) string {
	if s := DidYouMean(written, names); s != "" || keepalived[written] == "" {
		return s
	}
	if s := DidYouMean(written, slices.Concat(b.attrNames(), b.blockNames())); s != "" {
		return s
	}
	return fmt.Sprintf(" keepalived's %s is %q of another block.", written, keepalived[written])
}

// nearest returns the name that is written with the fewest edits, or "" if none is near.
func nearest(written string, names []string) string {
	if len(written) > 64 {
		return ""
	}
	if ours := keepalived[written]; slices.Contains(names, ours) {
		return ours
	}
	best, least := "", max(1, min(3, (len(written)+1)/2))+1
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	for _, n := range sorted[:min(len(sorted), maxCandidates)] {
		if gap := len(n) - len(written); gap >= least || -gap >= least {
			continue
		}
		if d := distance(strings.ToLower(written), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is the number of insertions, deletions and replacements between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// article puts a or an before a noun.
func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiouAEIOU") {
		return "an " + noun
	}
	return "a " + noun
}

// oneOf lists choices for a sentence: "a", "b" or "c".
func oneOf(choices []string) string {
	quoted := make([]string, len(choices))
	for i, c := range choices {
		quoted[i] = fmt.Sprintf("%q", c)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}
