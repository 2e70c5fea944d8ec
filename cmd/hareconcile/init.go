package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hareconcile/hareconcile/internal/compile"
	"github.com/hareconcile/hareconcile/internal/hook"
	"github.com/hareconcile/hareconcile/internal/lab"
)

// runInit makes a repository whose pre-receive hook refuses what nodes would refuse, or puts
// that hook into one that is there.
func runInit(ctx context.Context, e *env, args []string) int {
	fs := e.flags("init")
	var folders listFlag
	fs.Var(&folders, "path", "the `FOLDER` of a cluster in the repository; may be repeated; the root if it is absent")
	branch := fs.String("branch", "main", "the `NAME` of the first branch")
	signers := fs.String("signers", "", "the `FILE` of those who have to have signed every new commit, as allowed_signers_file in agent.hcl")
	only := fs.Bool("hook-only", false, "put the hook into a repository that is there")
	if err := e.parse(fs, args, 1); err != nil {
		return e.exit(err)
	}
	if fs.NArg() == 0 {
		return e.exit(errors.New("name the repository's folder, such as edge.git"))
	}
	dir, err := filepath.Abs(fs.Arg(0))
	if err == nil && !*only {
		err = hook.Create(ctx, dir, *branch)
	}
	if err == nil {
		err = installHook(dir, folders, *signers)
	}
	if err != nil {
		return e.exit(err)
	}
	if *only {
		_, err = fmt.Fprintf(e.stdout, "%s refuses bad pushes from now on.\n", clean(dir))
		return e.exit(err)
	}
	_, err = fmt.Fprintf(e.stdout, "%[1]s is ready, and refuses bad pushes. In the folder of your cluster.hcl:\n\n"+
		"  git init -b %[2]s && git add . && git commit -m 'Begin'\n  git push %[1]s %[2]s\n", clean(lab.Quote(dir)), clean(lab.Quote(*branch)))
	return e.exit(err)
}

// installHook has the hook run this very program.
func installHook(dir string, folders []string, signers string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	words := []string{self, "hook", "pre-receive"}
	for _, f := range folders {
		words = append(words, "-path="+f)
	}
	if signers != "" {
		abs, err := filepath.Abs(signers)
		if err != nil {
			return err
		}
		if _, err := compile.Signers(abs); err != nil { // rather than at the first push
			return err
		}
		words = append(words, "-signers="+abs)
	}
	for k := range words {
		words[k] = lab.Quote(words[k])
	}
	return hook.Install(dir, words)
}
