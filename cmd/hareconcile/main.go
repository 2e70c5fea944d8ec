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
		{"validate", "check a cluster's files", "[-json] [-var NAME=VALUE] [DIR]", runValidate},
		{"fmt", "format files", "[-check] [-diff] [-recursive] [-write=false] [-list=false] [FILE|DIR|-]...", runFmt},
		{"plan", "show what apply would do", "[-out FILE] [-json] [-detailed-exitcode] [-node NODE] [-against SNAPSHOT] " +
			"[-var NAME=VALUE] [-config FILE] [-no-color] [DIR]", runPlan},
		{"apply", "make this host what its cluster file says", "[-auto-approve] [-json] [-config FILE] [PLAN|DIR]", runApply},
		{"show", "print a saved plan, or what hareconcile manages here", "[-json] [-no-color] [-config FILE] [PLAN]", runShow},
		{"snapshot", "save what is on this host, to plan for it elsewhere", "[-out FILE] [-config FILE]", runSnapshot},
		{"status", "print what this host's agent is doing", "[-cluster] [-json] [-watch] [-config FILE]", runStatus},
		{"drain", "take a server out of its pool on this node, gently", "[-deadline LONG] [-wait] [-force] [-list] [-json] [-config FILE] [POOL/SERVER]", runDrain},
		{"undrain", "take a drained server back", "[-json] [-config FILE] POOL/SERVER", runUndrain},
		{"reconcile", "have the agent look at its source now", "[-wait] [-timeout LONG] [-config FILE]", runReconcile},
		{"history", "print what became of revisions on this node", "[-n MANY] [-json] [-config FILE]", runHistory},
		{"events", "print what happened on this node, and what happens", "[-f] [-n MANY] [-kind KINDS] [-json] [-config FILE]", runEvents},
		{"rollback", "go back to the good revision before this one", "[-auto-approve] [-config FILE] [COMMIT]", runRollback},
		{"retry", "let a revision in quarantine be tried again", "[-ignore NODE] [-config FILE] [COMMIT]", runRetry},
		{"suspend", "take no new revision and correct nothing for a while", "-reason WHY [-for LONG] [-config FILE]", runSuspend},
		{"resume", "end a suspension", "[-config FILE]", runResume},
		{"handover", "give up mastership on purpose", "[-instance NAME] [-hold LONG] [-wait] [-timeout LONG] [-force] [-release] [-config FILE]", runHandover},
		{"node-key", "print this node's key for the cluster file", "[-json] [-config FILE]", runNodeKey},
		{"agent", "follow a git repository and keep this host as it says", "[-config FILE] [-v]", runAgent},
		{"init", "make a git repository that refuses bad pushes", "[-branch NAME] [-path FOLDER]... [-signers FILE] [-hook-only] DIR.git", runInit},
		{"hook", "judge a push, in a git server's hook", "pre-receive [-path FOLDER]... [-signers FILE] [-timeout LONG]", runHook},
		{"lab", "try a cluster on this machine", "up|exec|run|status|push|stop|start|kill|cut|mend|down ...", runLab},
		{"plugin", "find, lock, try, test and start plugins", "list|lock|check|verify|new ...", runPlugin},
		{"version", "print the version", "[-json]", runVersion},
		{"completion", "print a shell's completion script", "bash|zsh|fish", runCompletion},
		{"help", "explain a command", "[COMMAND]", runHelp},
		{"internal", "", "STAGE", runInternal},
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
