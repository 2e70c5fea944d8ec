package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hareconcile/hareconcile/internal/lab"
)

// A labVerb is one row of lab's own table.
type labVerb struct {
	name    string
	args    string
	summary string
	run     func(ctx context.Context, e *env, args []string) error
}

func labVerbs() []labVerb {
	return []labVerb{
		{"up", "DIR", "build the lab of the cluster.hcl and lab.hcl in DIR", labUp},
		{"exec", "[-lab DIR] HOST -- CMD...", "run a command on a host, with its streams and exit code", labExec},
		{"run", "DIR -- CMD...", "up, run a command here, and down; the exit code is the command's", labRun},
		{"status", "[-json] [DIR]", "print hosts and what runs on them", labStatus},
		{"push", "[-m MESSAGE] [DIR]", "commit DIR as it is now to the lab's repository", labPush},
		{"stop", "[-lab DIR] HOST SERVICE", "stop a service of a host", labStop},
		{"start", "[-lab DIR] HOST SERVICE", "start it again", labStart},
		{"kill", "[-lab DIR] HOST SERVICE", "kill -9 a service; the supervisor restarts it", labKill},
		{"cut", "[-lab DIR] HOST", "take a host's network away", labCut},
		{"mend", "[-lab DIR] HOST", "give it back", labMend},
		{"down", "[DIR]", "remove the lab and all that it made, also after a crash", labDown},
	}
}

func runLab(ctx context.Context, e *env, args []string) int {
	if len(args) == 0 || strings.TrimLeft(args[0], "-") == "help" || args[0] == "-h" {
		w := e.stdout
		if len(args) == 0 {
			w = e.stderr
		}
		writeLabHelp(w)
		if len(args) == 0 {
			return exitError
		}
		return exitOK
	}
	for _, v := range labVerbs() {
		if v.name == args[0] {
			return e.exit(v.run(ctx, e, args[1:]))
		}
	}
	return e.exit(fmt.Errorf("lab has no command %q\n\nTo see them, run: hareconcile lab", args[0]))
}

func writeLabHelp(w io.Writer) {
	fmt.Fprint(w, "Usage: hareconcile lab COMMAND\n\nA lab is a cluster on this machine: try a cluster.hcl before you push it.\n\nCommands:\n")
	for _, v := range labVerbs() {
		fmt.Fprintf(w, "  %-32s %s\n", v.name+" "+v.args, v.summary)
	}
}

// labFlags parses the arguments of a lab command, of which it takes at least least and at most most.
func labFlags(e *env, verb string, args []string, least, most int, define func(*flag.FlagSet)) (*flag.FlagSet, error) {
	fs := flag.NewFlagSet("lab", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	if define != nil {
		define(fs)
	}
	err := parseMixed(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		writeLabHelp(e.stdout)
		return nil, err
	}
	if err == nil && (fs.NArg() < least || fs.NArg() > most) {
		err = errors.New("wrong number of arguments")
	}
	if err != nil {
		for _, v := range labVerbs() {
			if v.name == verb {
				err = fmt.Errorf("%w\n\nUsage: hareconcile lab %s %s", err, v.name, v.args)
			}
		}
		return nil, err
	}
	return fs, nil
}

func labUp(ctx context.Context, e *env, args []string) error {
	fs, err := labFlags(e, "up", args, 1, 1, nil)
	if err != nil {
		return err
	}
	c, err := lab.Up(ctx, fs.Arg(0), labOptions(e))
	if err != nil {
		return err
	}
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "The lab is up: %d hosts. They pull %s (branch main).\n\n", len(s.Hosts), s.Repository)
	fmt.Fprintf(e.stdout, "  hareconcile lab exec %s -- hareconcile status\n", s.Hosts[0].Name)
	fmt.Fprintf(e.stdout, "  git push %s HEAD:main\n  hareconcile lab push %s\n  hareconcile lab down %s\n",
		s.Repository, lab.Quote(fs.Arg(0)), lab.Quote(fs.Arg(0)))
	return nil
}

func labOptions(e *env) lab.Options {
	return lab.Options{Say: func(s string) { fmt.Fprintln(e.stderr, s) }, Report: e.stderr}
}

// labRun is up, a command on the outside, and down.
func labRun(ctx context.Context, e *env, args []string) error {
	fs, err := labFlags(e, "run", args, 2, len(args), nil)
	if err != nil {
		return err
	}
	c, err := lab.Up(ctx, fs.Arg(0), labOptions(e))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, fs.Arg(1), fs.Args()[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.stdin, e.stdout, e.stderr
	cmd.Env = append(os.Environ(), lab.EnvName+"="+c.Name())
	// A terminal's Ctrl-C reaches the command by itself; anything else is passed on.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	runErr := cmd.Run()
	_, err = lab.Down(context.WithoutCancel(ctx), c.Name())
	var exit *exec.ExitError
	if errors.As(runErr, &exit) {
		code := exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			code = 128 + int(ws.Signal())
		}
		runErr = &codeError{code, errSaid}
	}
	return errors.Join(runErr, err)
}

func labDown(ctx context.Context, e *env, args []string) error {
	fs, err := labFlags(e, "down", args, 0, 1, nil)
	if err != nil {
		return err
	}
	name, err := labName(fs.Arg(0))
	if up, left := lab.Names(); fs.NArg() == 0 && len(up) == 0 && len(left) == 1 {
		name, err = left[0], nil // one that ended by itself
	}
	if err != nil {
		return err
	}
	found, err := lab.Down(ctx, name)
	if err != nil {
		return err
	}
	if !found {
		fmt.Fprintln(e.stdout, "There was no such lab.")
		return nil
	}
	fmt.Fprintln(e.stdout, "The lab is gone.")
	return nil
}

// labName returns the lab that a command means: the one of a cluster's folder if that is
// given, of the environment, of the current folder, or the only one there is.
func labName(dir string) (string, error) {
	if dir != "" {
		return lab.NameOf(dir)
	}
	if name := os.Getenv(lab.EnvName); name != "" {
		return name, nil
	}
	if name, err := lab.NameOf("."); err == nil {
		if _, err := lab.Open(name); err == nil {
			return name, nil
		}
	}
	switch names, _ := lab.Names(); len(names) {
	case 0:
		return "", errors.New("no lab is up; build one with: hareconcile lab up DIR")
	case 1:
		return names[0], nil
	default:
		return "", fmt.Errorf("several labs are up (%s); say which with -lab DIR", strings.Join(names, ", "))
	}
}

func openLab(dir string) (*lab.Client, error) {
	name, err := labName(dir)
	if err != nil {
		return nil, err
	}
	c, err := lab.Open(name)
	if errors.Is(err, lab.ErrDown) && dir != "" {
		return nil, fmt.Errorf("the lab of %s is not up; build it with: hareconcile lab up %s", dir, lab.Quote(dir))
	}
	return c, err
}

func labPush(ctx context.Context, e *env, args []string) error {
	message := ""
	fs, err := labFlags(e, "push", args, 0, 1, func(fs *flag.FlagSet) { fs.StringVar(&message, "m", "", "") })
	if err != nil {
		return err
	}
	dir := "."
	if fs.NArg() == 1 {
		dir = fs.Arg(0)
	}
	c, err := openLab(fs.Arg(0))
	if err != nil {
		return err
	}
	if message == "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		message = "Push " + filepath.Base(abs)
	}
	commit, err := c.Push(ctx, dir, message)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "Pushed %.7s %q.\n", commit, message)
	return nil
}

// labStage runs a part of a lab, if that is what `hareconcile internal` was asked for.
func labStage(ctx context.Context, args []string) (int, bool) {
	if len(args) != 2 || !slices.Contains([]string{lab.StageInit, lab.StageGuest, lab.StageForge}, args[0]) {
		return 0, false
	}
	return lab.Main(ctx, args[0], args[1]), true
}
