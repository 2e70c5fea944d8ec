// Package hook judges pushes where they arrive: in the pre-receive hook of a git server
// (githooks(5)), as the nodes that follow the repository will.
package hook

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// maxUpdates bounds how many refs one push may change.
const maxUpdates = 1000

// maxLine is longer than any line that git writes: two hashes and a ref's name.
const maxLine = 8 << 10

// An Update is a ref that a push changes.
type Update struct {
	Old, New string // hashes; empty if the ref is new, or deleted
	Ref      string // such as "refs/heads/main"
}

// Updates reads what git tells a pre-receive hook on its standard input.
func Updates(r io.Reader) ([]Update, error) {
	var out []Update
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		old, rest, _ := strings.Cut(lines.Text(), " ")
		tip, ref, ok := strings.Cut(rest, " ")
		u := Update{Old: old, New: tip, Ref: ref}
		if !ok || !hash(&u.Old) || !hash(&u.New) || !strings.HasPrefix(ref, "refs/") {
			return nil, fmt.Errorf("read the push: %.200q is not what git writes (githooks(5))", lines.Text())
		}
		if len(out) == maxUpdates {
			return nil, fmt.Errorf("the push changes more than %d refs; push fewer at once", maxUpdates)
		}
		out = append(out, u)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the push: %w", err)
	}
	return out, nil
}

// hash reports whether s is a hash, and makes the one that stands for nothing empty.
func hash(s *string) bool {
	if len(*s) != 40 && len(*s) != 64 || strings.Trim(*s, "0123456789abcdef") != "" {
		return false
	}
	if strings.Trim(*s, "0") == "" {
		*s = ""
	}
	return true
}
