// Command hareconcile keeps a host as its cluster file says: it plans, applies, shows and
// runs the agent. One file holds one subcommand; main only picks it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// A command is one row of the table: a subcommand and how to run it.
type command struct {
	name    string
	summary string // one line for help; empty hides the command
	args    string // synopsis of flags and arguments
	run     func(ctx context.Context, e *env, args []string) int
}

// commands returns the table of subcommands in the order in which help lists them.
func commands() []command {
	return []command{
		{"version", "print the version", "[-json]", runVersion},
		{"completion", "print a shell's completion script", "bash|zsh|fish", runCompletion},
		{"help", "explain a command", "[COMMAND]", runHelp},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := dispatch(ctx, newEnv(), os.Args[1:])
	stop()
	os.Exit(code)
}

// dispatch runs the subcommand that args name.
func dispatch(ctx context.Context, e *env, args []string) int {
	if len(args) == 0 {
		writeHelp(e.stderr)
		return exitError
	}
	name := args[0]
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	case "-version", "--version":
		name = "version"
	}
	c, ok := lookup(name)
	if !ok {
		return unknownCommand(e, name)
	}
	return c.run(ctx, e, args[1:])
}

// lookup finds a subcommand in the table.
func lookup(name string) (command, bool) {
	for _, c := range commands() {
		if c.name == name {
			return c, true
		}
	}
	return command{}, false
}
