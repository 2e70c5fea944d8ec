package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// What the lab's repository takes from a folder: the same bounds as a node has.
const (
	maxFiles    = 1000
	maxFileSize = 4 << 20
)

// readFiles reads the regular files of a folder, but no repository in it.
func readFiles(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	err = fs.WalkDir(r.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.Name() == ".git":
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !e.Type().IsRegular():
			return nil
		case len(files) == maxFiles:
			return fmt.Errorf("%s holds more than %d files", dir, maxFiles)
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		if fi.Size() > maxFileSize {
			return fmt.Errorf("%s is longer than %d bytes", path, maxFileSize)
		}
		files[path], err = r.ReadFile(path)
		return err
	})
	return files, err
}

// makeRepository makes the bare repository with a first commit of files and returns its hash.
func makeRepository(ctx context.Context, path string, files map[string][]byte, message string) (string, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", err
	}
	if _, err := git(ctx, path, nil, "init", "-q", "--bare", "-b", "main"); err != nil {
		return "", err
	}
	return commit(ctx, path, "refs/heads/main", files, message, false)
}

// commit makes a commit of files, with more on top of the branch main, and has ref name it.
func commit(ctx context.Context, path, ref string, files map[string][]byte, message string, more bool) (string, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "commit %s\ncommitter lab <lab@localhost> %d +0000\ndata %d\n%s\n",
		ref, time.Now().Unix(), len(message), message)
	if more {
		b.WriteString("from refs/heads/main^0\ndeleteall\n")
	}
	for name, content := range files {
		if strings.ContainsAny(name, "\n\"\\") {
			return "", fmt.Errorf("file name %q has a quote or a line break", name)
		}
		fmt.Fprintf(&b, "M 100644 inline %q\ndata %d\n%s\n", name, len(content), content)
	}
	b.WriteString("done\n")
	if _, err := git(ctx, path, &b, "fast-import", "--quiet", "--done", "--force"); err != nil {
		return "", err
	}
	return git(ctx, path, nil, "rev-parse", ref)
}

// Push commits the folder's present content to the lab's repository, on top of what is
// there, and returns the commit.
func (c *Client) Push(ctx context.Context, dir, message string) (string, error) {
	files, err := readFiles(dir)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", dir, err)
	}
	return c.PushFiles(ctx, files, message)
}

// PushFiles is Push with the content given: file names with slashes, relative to the root. The
// lab's key signs it, where agents ask for that.
func (c *Client) PushFiles(ctx context.Context, files map[string][]byte, message string) (string, error) {
	if _, err := os.Stat(filepath.Join(c.dir, signedMark)); err == nil {
		return c.PushSigned(ctx, files, message, c.Signer())
	}
	return c.PushUnsigned(ctx, files, message)
}

// PushUnsigned is PushFiles of a commit that nobody signs.
func (c *Client) PushUnsigned(ctx context.Context, files map[string][]byte, message string) (string, error) {
	return commit(ctx, c.Repository(), "refs/heads/main", files, message, true)
}

// PushSigned is PushFiles with a commit that an ssh key signs (gpg.format in git-config(1)).
// Signer of Client is the lab's own.
func (c *Client) PushSigned(ctx context.Context, files map[string][]byte, message, key string) (string, error) {
	const draft = "refs/lab/draft"
	id, err := commit(ctx, c.Repository(), draft, files, message, true)
	if err != nil {
		return "", err
	}
	signed, err := git(ctx, c.Repository(), bytes.NewBufferString(message),
		"-c", "gpg.format=ssh", "-c", "user.signingkey="+key, "-c", "user.name=lab", "-c", "user.email="+signerName,
		"commit-tree", "-S", "-p", "refs/heads/main", id+"^{tree}")
	if err != nil {
		return "", err
	}
	if _, err := git(ctx, c.Repository(), nil, "update-ref", "refs/heads/main", signed, id+"^"); err != nil {
		return "", err
	}
	return signed, nil
}

// git runs the git of the machine, because the lab's repository is the user's to push to.
func git(ctx context.Context, repo string, in *bytes.Buffer, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--git-dir", repo}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(repo), "GIT_CONFIG_NOSYSTEM=1"}
	if in != nil {
		cmd.Stdin = in
	}
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("the program git is missing (Debian package git)")
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(msg.String()))
	}
	return strings.TrimSpace(out.String()), nil
}
