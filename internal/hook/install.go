package hook

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hareconcile/hareconcile/internal/disk"
)

// mark is how a hook that Install made is told from others.
const mark = "# made by hareconcile init"

// Create makes a bare repository with the given branch at dir, which must not be one yet.
func Create(ctx context.Context, dir, branch string) error {
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
		return fmt.Errorf("%s is a repository already; to put the hook into it, add -hook-only", dir)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	r := repo{"/"}
	if _, err := r.git(ctx, "init", "-q", "--bare", "-b", branch, "--", dir); err != nil {
		return err
	}
	for _, c := range [][2]string{
		{"receive.fsckObjects", "true"}, // what nodes fetch is checked when it comes, and not when it is needed
		{"receive.maxInputSize", "1g"},  // no node takes more
	} {
		if _, err := r.git(ctx, "--git-dir", dir, "config", c[0], c[1]); err != nil {
			return err
		}
	}
	return nil
}

// Install makes a command line of this program the pre-receive hook of the repository at dir.
// Its words are quoted for sh(1). A hook of somebody else's stays, and is an error.
func Install(dir string, words []string) error {
	if _, err := os.Stat(filepath.Join(dir, "objects")); err != nil {
		return fmt.Errorf("%s is no bare repository: %w", dir, err)
	}
	name := filepath.Join(dir, "hooks", "pre-receive")
	old, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !strings.Contains(string(old), mark):
		return fmt.Errorf("%s is there and not by hareconcile init; add to it: %s", name, strings.Join(words, " "))
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf(`#!/bin/sh
%[1]s
# It refuses what nodes would refuse. Standard input and environment are git's (githooks(5)).
if [ ! -x %[2]s ]; then
	echo %[2]s "is missing on this server, so the push cannot be judged" >&2
	exit 1
fi
exec %[3]s
`, mark, words[0], strings.Join(words, " "))
	return disk.ReplaceAs(name, []byte(text), disk.Access{Mode: 0o755, UID: -1, GID: -1})
}
