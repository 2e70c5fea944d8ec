package secret_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hareconcile/hareconcile/internal/secret"
)

// write puts a secret into a folder.
func write(t *testing.T, dir, name, content string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	write(t, first, "both", "first\n", 0o400)
	write(t, second, "both", "second\n", 0o400)
	write(t, second, "later", "a b\r\n", 0o640)
	write(t, second, "lines", "one\ntwo\n\n", 0o600)
	write(t, second, "longest", strings.Repeat("x", secret.Max), 0o600)
	for name, want := range map[string]string{
		"both": "first", "later": "a b", "lines": "one\ntwo", "longest": strings.Repeat("x", secret.Max),
	} {
		if got, err := secret.Read([]string{first, second}, name); err != nil || got != want {
			t.Errorf("Read(%s) = %.20q, %v, want %.20q", name, got, err, want)
		}
	}
}

// TestReadRefuses: no error tells the secret, and none waits for anybody.
func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "open", "hunter2", 0o604)
	write(t, dir, "writable", "hunter2", 0o602)
	write(t, dir, "long", strings.Repeat("hunter2", secret.Max), 0o600)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"open": "open to everybody (mode 0604)", "writable": "open to everybody", "long": "longer than 16384 bytes",
		"pipe": "no regular file", "folder": "no regular file", "absent": "there is no secret absent in " + dir,
		"": "is no name", "../open": "is no name", ".hidden": "is no name", "a/b": "is no name", strings.Repeat("x", 128): "is no name",
	} {
		got, err := secret.Read([]string{dir}, name)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || got != "" {
			t.Errorf("Read(%.20q) = %q, %v, want an error with %q", name, got, err, want)
		}
	}
}

func TestDirs(t *testing.T) {
	const folder = "/etc/hareconcile/secrets"
	for env, want := range map[string][]string{
		"": {folder}, "relative": {folder}, "/run/credentials/x": {"/run/credentials/x", folder},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", env)
		if got := secret.Dirs(); !slices.Equal(got, want) {
			t.Errorf("Dirs() with %q = %v, want %v", env, got, want)
		}
	}
}
