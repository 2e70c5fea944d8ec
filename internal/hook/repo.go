package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/hareconcile/hareconcile/internal/gitsource"
)

// clusterFile is what makes a folder a cluster's.
const clusterFile = "cluster.hcl"

// A repo is the server's repository, seen as git's hooks see it: their environment has the
// objects of the push, which are in quarantine until the hook has agreed (git-receive-pack(1)).
type repo struct {
	dir string
}

// git runs git with the hook's environment.
func (r repo) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	if err := cmd.Run(); err != nil {
		return "", gitError(args[0], err, msg.String())
	}
	return strings.TrimSpace(out.String()), nil
}

func gitError(verb string, err error, said string) error {
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("the program git is missing (Debian package git)")
	}
	return fmt.Errorf("git %s: %w: %s", verb, err, strings.TrimSpace(said))
}

// commit returns the commit that a hash leads to; empty if that is none, as of a tagged file.
func (r repo) commit(ctx context.Context, hash string) (string, error) {
	id, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", hash+"^{commit}")
	return id, unless(err, 1)
}

// holds reports whether a commit has a cluster's file in a folder.
func (r repo) holds(ctx context.Context, commit, folder string) (bool, error) {
	name := path.Join(".", folder, clusterFile)
	out, err := r.git(ctx, "ls-tree", "--name-only", "--full-tree", commit, "--", name)
	return out != "", err
}

// descends reports whether a commit has another one in its history.
func (r repo) descends(ctx context.Context, commit, from string) (bool, error) {
	_, err := r.git(ctx, "merge-base", "--is-ancestor", from, commit)
	return err == nil, unless(err, 1)
}

// unless takes an exit code of git that is an answer for no error.
func unless(err error, code int) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == code {
		return nil
	}
	return err
}

// maxEntries is more than a node reads; what is beyond is refused when that is counted.
const maxEntries = 20_000

// needed returns the objects of which a node needs to judge a folder of a commit: whole
// repositories may be a thousand times larger.
func (r repo) needed(ctx context.Context, commit, folder string) ([]string, error) {
	line, err := r.git(ctx, "rev-list", "--parents", "-n", "1", commit)
	if err != nil {
		return nil, err
	}
	root, err := r.git(ctx, "rev-parse", commit+"^{tree}")
	if err != nil {
		return nil, err
	}
	out := append(strings.Fields(line), root) // the commit and its parents
	args := []string{"ls-tree", "-r", "-t", "-z", "--full-tree", commit}
	if folder != "" {
		args = append(args, "--", folder)
	}
	list, err := r.git(ctx, args...)
	if err != nil {
		return nil, err
	}
	for n, entry := range strings.Split(strings.TrimSuffix(list, "\x00"), "\x00") {
		if n == maxEntries {
			break
		}
		head, name, _ := strings.Cut(entry, "\t") // MODE TYPE OBJECT, git-ls-tree(1)
		f := strings.Fields(head)
		if len(f) == 3 && (f[1] == "tree" || f[1] == "blob" && gitsource.Counts(name)) {
			out = append(out, f[2])
		}
	}
	return out, nil
}

// history adds the commits of a branch to objects, which are small beside what they hold.
func (r repo) history(ctx context.Context, commit string, objects []string) ([]string, error) {
	all, err := r.git(ctx, "rev-list", commit)
	return append(objects, strings.Fields(all)...), err
}

// known returns up to where the history of an update is not new to the server: where the branch
// was, or where a new one leaves the server's own branch, or else its first commit, which is
// what nodes are told to trust.
func (r repo) known(ctx context.Context, u Update) (string, error) {
	if u.Old != "" && strings.HasPrefix(u.Ref, "refs/heads/") {
		return u.Old, nil
	}
	if base, err := r.git(ctx, "merge-base", u.New, "HEAD"); err == nil && base != "" {
		return base, nil // it fails while the server has no branch, or one of other roots
	}
	roots, err := r.git(ctx, "rev-list", "--max-parents=0", u.New)
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(roots, "\n")
	return first, nil
}

// copyOf makes a bare repository with some objects below a new folder. What judges them runs
// with fewer rights than the server and must not see its other repositories.
func (r repo) copyOf(ctx context.Context, objects []string) (dir string, remove func(), err error) {
	above, err := os.MkdirTemp("", "hareconcile-hook-")
	if err != nil {
		return "", nil, fmt.Errorf("copy the push: %w", err)
	}
	remove = func() { _ = os.RemoveAll(above) }
	dir = filepath.Join(above, "push.git")
	if err := r.pack(ctx, objects, dir); err != nil {
		remove()
		return "", nil, fmt.Errorf("copy the push: %w", err)
	}
	return dir, remove, nil
}

// pack copies objects to a new repository at dir.
func (r repo) pack(ctx context.Context, objects []string, dir string) error {
	clean := func(args ...string) *exec.Cmd { // git, apart from the server's environment
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C"}
		return cmd
	}
	init := clean("init", "-q", "--bare", dir)
	if out, err := init.CombinedOutput(); err != nil {
		return gitError("init", err, string(out))
	}
	from := exec.CommandContext(ctx, "git", "pack-objects", "--stdout", "-q", "--delta-base-offset")
	from.Dir, from.Stdin = r.dir, strings.NewReader(strings.Join(objects, "\n")+"\n")
	to := clean("--git-dir", dir, "index-pack", "--stdin")
	var fromSaid, toSaid bytes.Buffer
	from.Stderr, to.Stderr, to.Stdout = &fromSaid, &toSaid, io.Discard
	pipe, err := from.StdoutPipe()
	if err != nil {
		return err
	}
	to.Stdin = pipe
	if err := from.Start(); err != nil {
		return gitError("pack-objects", err, "")
	}
	toErr := to.Run()
	if err := from.Wait(); err != nil {
		return gitError("pack-objects", err, fromSaid.String())
	}
	if toErr != nil {
		return gitError("index-pack", toErr, toSaid.String())
	}
	return readable(dir)
}

// readable lets the child that reads the copy do so, who is nobody where we are root. The
// folder above is closed to all others.
func readable(dir string) error {
	return filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(name, 0o755)
		}
		return os.Chmod(name, 0o644)
	})
}
