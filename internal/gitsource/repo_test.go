package gitsource

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A workRepo is a repository on disk, worked on with the real git.
type workRepo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T) workRepo {
	t.Helper()
	w := workRepo{t, filepath.Join(t.TempDir(), "work")}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.git("init", "-q", "-b", "main")
	w.git("config", "uploadpack.allowAnySHA1InWant", "true")
	return w
}

func (w workRepo) git(args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "git", append([]string{"-C", w.dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w workRepo) write(name, content string) {
	w.t.Helper()
	name = filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// commit records everything and returns the hash.
func (w workRepo) commit(subject string) string {
	w.t.Helper()
	w.git("add", "-A")
	w.git("commit", "-q", "--allow-empty", "-m", subject)
	return w.git("rev-parse", "HEAD")
}

// commitFile writes one file and commits it.
func (w workRepo) commitFile(name, content string) string {
	w.t.Helper()
	w.write(name, content)
	return w.commit("Change " + name)
}

// source returns what fetches w over file://.
func (w workRepo) source() Config {
	return Config{Dir: filepath.Join(w.t.TempDir(), "copy.git"), URL: "file://" + w.dir, Branch: "main", Timeout: 20 * time.Second}
}

func fetch(t *testing.T, c Config) string {
	t.Helper()
	tip, err := Fetch(t.Context(), c, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return tip
}

func fetchError(t *testing.T, c Config, want string) {
	t.Helper()
	tip, err := Fetch(t.Context(), c, func(string) {})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Fetch = %q, %v, want an error that says %q", tip, err, want)
	}
}
