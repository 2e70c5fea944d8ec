package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/hareconcile/hareconcile/hcl"
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
	var names []string
	for _, c := range commands() {
		if c.summary != "" {
			names = append(names, c.name)
		}
	}
	fmt.Fprintf(e.stderr, "Error: There is no command %q.%s\n\nTo see all commands, run: hareconcile help\n",
		name, hcl.DidYouMean(name, names))
	return exitError
}
