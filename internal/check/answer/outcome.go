// Package answer judges what servers say. It is pure: bytes come in, an Outcome goes out.
package answer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// An Outcome is what one look at a server told.
type Outcome struct {
	// Err says in few words why the server failed; nil is a pass.
	Err error
	// Message is what a passing server said, in few words.
	Message  string
	Degraded bool // it passes, but not as it should
	// Weight is what a dynamic check says of the server's weight, where HasWeight is set.
	Weight    int
	HasWeight bool
	// Unmeasured says that Err is of this host, and nothing can be said of the server.
	Unmeasured bool
}

// What a server may send in answer before nobody reads on.
const (
	MaxHeader = 64 << 10
	MaxBody   = 64 << 10
)

// How a connection fails a server that says nothing wrong.
var (
	ErrNothing = errors.New("connection closed without an answer")
	ErrMiddle  = errors.New("connection closed in the middle of the answer")
	ErrHead    = fmt.Errorf("its header is longer than %d KiB", MaxHeader>>10)
)

// MaxWeight is the highest weight that a check may give (ipvsadm -w).
const MaxWeight = 65535

// MaxLine bounds what is shown of a server's words, in bytes.
const MaxLine = 200

// Line returns the first line of foreign text, printable and short.
func Line(s string) string {
	s, _, cut := strings.Cut(strings.Trim(s, "\r\n"), "\n")
	if len(s) > MaxLine {
		s, cut = s[:MaxLine], true
	}
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
	if cut {
		s += "..."
	}
	return s
}

// Weight reads a weight that a server or a file gives.
func Weight(s string) (w int, ok bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if err != nil || n > MaxWeight {
		return 0, false
	}
	return int(n), true
}
