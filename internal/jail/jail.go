// Package jail runs code that reads hostile input in short-lived, limited children of the
// program itself: a child that dies, loops or grows is an error with a reason, not an outage.
//
// The parent gives a child its privileges before the child's first instruction: an empty
// capability bounding set, no_new_privs, an empty network namespace, uid and gid nobody. The
// child then lowers its own resource limits before it reads a byte. A child with
// Limits.Files keeps the caller's uid, which without capabilities opens what that uid owns
// and nothing else. Data passes through pipes only. Where the caller is not root, or lacks
// the right to make a namespace, the rest still holds and the debug log tells.
package jail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
)

// A Stage is the work of one child. It reads its input as JSON from in, says what it is
// busy with through progress, and returns what is to be written as JSON. Its error goes to
// the parent as text.
type Stage func(ctx context.Context, in io.Reader, progress func(string)) (any, error)

// A reply is what a child writes to its standard output.
type reply struct {
	Error string `json:"error,omitempty"`
	Value any    `json:"value,omitempty"`
}

// progressMark starts the lines of a child's standard error that are progress; all others
// are the Go runtime's or the stage's last words.
const progressMark = "> "

// Main is `hareconcile internal STAGE`: it imposes the limits that Run passed and runs one of
// stages. It returns the exit code.
func Main(stage string, stages map[string]Stage) int {
	var l limits
	raw, ok := os.LookupEnv(limitsEnv)
	run := stages[stage]
	switch {
	case !ok:
		fmt.Fprintln(os.Stderr, "hareconcile internal: for use by hareconcile itself only")
		return 1
	case run == nil:
		fmt.Fprintf(os.Stderr, "hareconcile internal: no stage %q\n", stage)
		return 1
	}
	if err := json.Unmarshal([]byte(raw), &l); err != nil {
		fmt.Fprintf(os.Stderr, "hareconcile internal: read limits: %v\n", err)
		return 1
	}
	if err := l.impose(); err != nil {
		fmt.Fprintf(os.Stderr, "hareconcile internal: impose limits: %v\n", err)
		return 1
	}
	// The parent kills by the clock too; this covers a parent without the right to.
	suicide := time.AfterFunc(l.Wall+time.Second, func() { os.Exit(3) })
	defer suicide.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), l.Wall)
	defer cancel()
	value, err := run(ctx, io.LimitReader(os.Stdin, maxMessage), report)
	out := reply{Value: value}
	if err != nil {
		out = reply{Error: err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		fmt.Fprintf(os.Stderr, "hareconcile internal: write result: %v\n", err)
		return 1
	}
	return 0
}

// report tells the parent what the child is busy with, on one line.
func report(what string) {
	what = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(what[:min(len(what), 500)], "?"))
	fmt.Fprintln(os.Stderr, progressMark+what)
}

// decode reads a child's reply into out.
func decode(stage string, b []byte, out any) error {
	r := reply{Value: out}
	if out == nil {
		r.Value = new(json.RawMessage)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("%s: read the child's reply: %w", stage, err)
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	return nil
}
