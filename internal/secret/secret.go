// Package secret reads the secrets of this host, which configurations know by name only.
package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// Where secrets are: systemd's LoadCredential= first, then files that root keeps.
const (
	credentialsEnv = "CREDENTIALS_DIRECTORY"
	folder         = "/etc/hareconcile/secrets"
)

// Max is how long a secret may be, in bytes.
const Max = 16 << 10

var valid = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,126}$`)

// Dirs are the folders in which secrets are looked for, in order.
func Dirs() []string {
	dirs := []string{folder}
	if d := os.Getenv(credentialsEnv); filepath.IsAbs(d) {
		dirs = append([]string{d}, dirs...)
	}
	return dirs
}

// Read returns a secret from the first of the folders that has it, without the line's end
// that editors add. Files that everybody may open are refused.
func Read(dirs []string, name string) (string, error) {
	if !valid.MatchString(name) {
		return "", fmt.Errorf("%q is no name of a secret", name)
	}
	for _, dir := range dirs {
		s, err := ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("secret %s: %w", name, err)
		}
		return s, nil
	}
	return "", fmt.Errorf("there is no secret %s in %s", name, strings.Join(dirs, " or "))
}

// ReadFile is Read for a file that the host's own configuration names.
func ReadFile(name string) (string, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would block
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is no regular file", name)
	case info.Mode()&0o007 != 0:
		return "", fmt.Errorf("%s is open to everybody (mode %04o)", name, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, Max+1))
	if err != nil {
		return "", err
	}
	if len(b) > Max {
		return "", fmt.Errorf("%s is longer than %d bytes", name, Max)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
