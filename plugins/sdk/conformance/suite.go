// Package conformance tests whether a program is a plugin that the agent can rely on. The
// program is a binary in any language; it is started as the agent starts it.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Test is one thing that the agent relies on.
type Test struct {
	Name string // a claim, such as "it keeps to deadlines"
	run  func(ctx context.Context, o Options) (note string, err error)
}

// An Outcome is what came of one Test.
type Outcome struct {
	Name     string        `json:"name"`
	Passed   bool          `json:"passed"`
	Problems []string      `json:"problems,omitempty"`
	Note     string        `json:"note,omitempty"` // what was measured
	Took     time.Duration `json:"took_ns"`
}

// Tests returns all tests, in an order in which the first that fails explains the others.
func Tests() []Test {
	return []Test{
		{"-describe prints the schema", described},
		{"by hand it says what it is", byHand},
		{"its first output is the handshake", handshaken},
		{"it is healthy and is what -describe says", identified},
		{"mistakes in a configuration are named", mistakes},
		{"it checks what it was configured for", checked},
		{"it keeps to deadlines", deadlines},
		{"what changes is told", watched},
		{"1,000 checks leave nothing behind", leaks},
		{"after a crash it starts again", crashes},
		{"it leaves no process behind", gone},
	}
}

// testTimeout bounds one test.
const testTimeout = 2 * time.Minute

// Run runs the test with a plugin.
func (t Test) Run(ctx context.Context, o Options) Outcome {
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	began := time.Now()
	note, err := t.run(ctx, o)
	return Outcome{t.Name, err == nil, problems(err), note, time.Since(began)}
}

// problems takes a join of errors apart.
func problems(err error) (out []string) {
	if err == nil {
		return nil
	}
	if join, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range join.Unwrap() {
			out = append(out, problems(e)...)
		}
		return out
	}
	return []string{err.Error()}
}

// A list collects what is wrong.
type list []error

func (l *list) addf(format string, args ...any) { *l = append(*l, fmt.Errorf(format, args...)) }

func (l *list) err() error { return errors.Join(*l...) }
