// Package gittest makes repositories for tests with the real git, and serves them.
package gittest

import (
	"encoding/pem"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Repo is a repository on disk with a work tree and the branch main.
type Repo struct {
	t   *testing.T
	Dir string
}

// New returns an empty repository in a folder of the test's.
func New(t *testing.T) Repo {
	t.Helper()
	r := Repo{t, filepath.Join(t.TempDir(), "work")}
	if err := os.Mkdir(r.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.Git("init", "-q", "-b", "main")
	return r
}

// Git runs git in the repository, apart from this user's configuration, and returns what it printed.
func (r Repo) Git(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", append([]string{"-C", r.Dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Write puts a file into the work tree.
func (r Repo) Write(name, content string) {
	r.t.Helper()
	name = filepath.Join(r.Dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// Link puts a symbolic link into the work tree.
func (r Repo) Link(to, name string) {
	r.t.Helper()
	if err := os.Symlink(to, filepath.Join(r.Dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

// Commit records the work tree and returns the hash.
func (r Repo) Commit(subject string) string {
	r.t.Helper()
	r.Git("add", "-A")
	r.Git("commit", "-q", "--allow-empty", "-m", subject)
	return r.Git("rev-parse", "HEAD")
}

// CommitFile writes one file and commits it.
func (r Repo) CommitFile(name, content string) string {
	r.t.Helper()
	r.Write(name, content)
	return r.Commit("Change " + name)
}

// ServeHTTPS serves r at URL/work/.git through the real git http-backend behind TLS, to who
// shows the token, if it is not empty. Before may answer a request itself by returning true.
// It returns the server and the file of its certificate.
func (r Repo) ServeHTTPS(token string, before func(http.ResponseWriter, *http.Request) bool) (*httptest.Server, string) {
	r.t.Helper()
	out, err := exec.CommandContext(r.t.Context(), "git", "--exec-path").Output()
	if err != nil {
		r.t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: strings.TrimSpace(string(out)) + "/git-http-backend",
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(r.Dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1",
			"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if before != nil && before(w, req) {
			return
		}
		if _, password, _ := req.BasicAuth(); token != "" && password != token {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, req)
	}))
	r.t.Cleanup(s.Close)
	ca := filepath.Join(r.t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return s, ca
}
