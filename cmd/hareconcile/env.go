package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// The exit codes, one table for all commands.
const (
	exitOK           = 0
	exitError        = 1
	exitChanges      = 2 // only with -detailed-exitcode
	exitUnknown      = 2 // only of plugin check: what was asked for cannot be said
	exitUnformatted  = 3
	exitDenied       = 4
	exitStale        = 5
	exitLocked       = 6
	exitRolledBack   = 7
	exitRollbackDied = 8
	exitRefused      = 9
)

// An env is what a command has of the world: its streams and what they are connected to.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       bool // stdin is a terminal
	color          bool // stdout is a terminal that wants colours
	live           bool // stderr is a terminal whose last line can be written again
}

func newEnv() *env {
	out, errs := int(os.Stdout.Fd()), int(os.Stderr.Fd())
	return &env{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		terminal: term.IsTerminal(int(os.Stdin.Fd())),
		color:    term.IsTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		live:     term.IsTerminal(errs) && os.Getenv("TERM") != "dumb",
	}
}

// A codeError is an error with an exit code of its own.
type codeError struct {
	code int
	err  error
}

// Error implements error.
func (c *codeError) Error() string { return c.err.Error() }

// Unwrap returns the error without its code.
func (c *codeError) Unwrap() error { return c.err }

// coded returns an error that makes the process exit with code.
func coded(code int, format string, a ...any) error {
	return &codeError{code, fmt.Errorf(format, a...)}
}

// errSaid makes the process exit with 1 when everything was already said.
var errSaid = errors.New("already reported")

// exit says err, unless that was already done, and returns the exit code for it.
func (e *env) exit(err error) int {
	var c *codeError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errSaid):
		if errors.As(err, &c) {
			return c.code
		}
		return exitError
	}
	fmt.Fprintf(e.stderr, "Error: %v\n", err)
	if errors.As(err, &c) {
		return c.code
	}
	return exitError
}

// flags returns a FlagSet for the named command that explains itself from the table.
// Package flag takes -x and --x alike.
func (e *env) flags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // Parse repeats its error there; parse says it once
	fs.Usage = func() {}
	return fs
}

// parse parses args, allows at most most positional arguments, and reports what is wrong with them.
func (e *env) parse(fs *flag.FlagSet, args []string, most int) error {
	err := parseMixed(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		writeUsage(e.stdout, fs)
		return err
	}
	if err == nil && fs.NArg() > most {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(most))
	}
	if err != nil {
		return fmt.Errorf("%w\n\nFor usage, run: hareconcile %s -help", err, fs.Name())
	}
	return nil
}

// parseMixed parses flags before, between and after positional arguments; "--" ends them.
func parseMixed(fs *flag.FlagSet, args []string) error {
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			return err
		}
		if fs.NArg() == 0 {
			break
		}
		if n := len(args) - fs.NArg(); n > 0 && args[n-1] == "--" {
			rest = append(rest, fs.Args()...)
			break
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
	return fs.Parse(append([]string{"--"}, rest...))
}

// writeJSON writes v as indented JSON.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
