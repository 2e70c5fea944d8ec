package main

import (
	"context"
	"flag"
	"fmt"
	"io"
)

func runHelp(_ context.Context, e *env, args []string) int {
	if len(args) == 0 {
		writeHelp(e.stdout)
		return exitOK
	}
	c, ok := lookup(args[0])
	if !ok {
		return unknownCommand(e, args[0])
	}
	if c.name == "help" {
		writeHelp(e.stdout)
		return exitOK
	}
	return c.run(context.Background(), e, []string{"-help"})
}

func writeHelp(w io.Writer) {
	fmt.Fprint(w, "Usage: hareconcile COMMAND [OPTIONS]\n\nCommands:\n")
	for _, c := range commands() {
		if c.summary != "" {
			fmt.Fprintf(w, "  %-11s %s\n", c.name, c.summary)
		}
	}
	fmt.Fprint(w, "\nRun \"hareconcile COMMAND -help\" for a command's options; -x and --x are the same.\n")
}

// writeUsage explains one command: its row in the table and its flags.
func writeUsage(w io.Writer, fs *flag.FlagSet) {
	c, _ := lookup(fs.Name())
	fmt.Fprintf(w, "Usage: hareconcile %s %s\n\n%s.\n", c.name, c.args, sentence(c.summary))
	any := false
	fs.VisitAll(func(*flag.Flag) { any = true })
	if any {
		fmt.Fprint(w, "\nOptions:\n")
		fs.SetOutput(w)
		fs.PrintDefaults()
	}
}

// sentence makes a summary start like a sentence.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return string(s[0]&^0x20) + s[1:]
}

func unknownCommand(e *env, name string) int {
	hint := ""
	if near := nearest(name); near != "" {
		hint = fmt.Sprintf(" Did you mean %q?", near)
	}
	fmt.Fprintf(e.stderr, "Error: There is no command %q.%s\n\nTo see all commands, run: hareconcile help\n", name, hint)
	return exitError
}

// nearest returns the command that name is most likely a slip of, or "".
func nearest(name string) string {
	best, at := "", 3
	for _, c := range commands() {
		if d := distance(name, c.name); c.summary != "" && d < at && d < len(c.name)-1 {
			best, at = c.name, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace to get from a to b, and
// 99 for names that are too long to be slips.
func distance(a, b string) int {
	if len(a) > 32 {
		return 99
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
