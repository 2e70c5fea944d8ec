package pluginhost

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// secretKey marks a reference in a configuration: {"$secret": "name"}.
const secretKey = "$secret"

// Where secrets are: systemd's LoadCredential= first, then files that root keeps.
const (
	credentialsEnv = "CREDENTIALS_DIRECTORY"
	secretsDir     = "/etc/hareconcile/secrets"
)

func secretDirs() []string {
	dirs := []string{secretsDir}
	if d := os.Getenv(credentialsEnv); filepath.IsAbs(d) {
		dirs = append([]string{d}, dirs...)
	}
	return dirs
}

// resolve puts secrets in the place of the references in a configuration, and returns the
// secrets too. They go to the plugin and nowhere else.
func resolve(dirs []string, config []byte) (out []byte, secrets []string, err error) {
	if !bytes.Contains(config, []byte(secretKey)) {
		return config, nil, nil
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(config))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	v, err = replace(v, func(name string) (string, error) {
		s, err := readSecret(dirs, name)
		if s != "" {
			secrets = append(secrets, s)
		}
		return s, err
	})
	if err != nil {
		return nil, nil, err
	}
	out, err = json.Marshal(v)
	return out, secrets, err
}

// replace walks through JSON; the decoder has bounded its depth.
func replace(v any, secret func(name string) (string, error)) (any, error) {
	var err error
	switch x := v.(type) {
	case map[string]any:
		if name, ok := x[secretKey].(string); ok && len(x) == 1 {
			return secret(name)
		}
		for k := range x {
			if x[k], err = replace(x[k], secret); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range x {
			if x[i], err = replace(x[i], secret); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

var secretName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,126}$`)

const maxSecret = 16 << 10

// readSecret returns a secret without the line's end that editors add.
func readSecret(dirs []string, name string) (string, error) {
	if !secretName.MatchString(name) {
		return "", fmt.Errorf("%q is no name of a secret", name)
	}
	for _, dir := range dirs {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would block
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("secret %s: %w", name, err)
		}
		defer func() { _ = f.Close() }() // it was only read
		info, err := f.Stat()
		switch {
		case err != nil:
			return "", fmt.Errorf("secret %s: %w", name, err)
		case !info.Mode().IsRegular():
			return "", fmt.Errorf("secret %s: %s is no regular file", name, f.Name())
		case info.Mode()&0o007 != 0:
			return "", fmt.Errorf("secret %s: %s is open to everybody (mode %04o)", name, f.Name(), info.Mode().Perm())
		}
		b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
		if err != nil {
			return "", fmt.Errorf("secret %s: %w", name, err)
		}
		if len(b) > maxSecret {
			return "", fmt.Errorf("secret %s is longer than %d bytes", name, maxSecret)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	return "", fmt.Errorf("there is no secret %s in %s", name, strings.Join(dirs, " or "))
}

// A redactor takes secrets out of what a plugin says: it may well complain about one.
type redactor struct {
	mu      sync.Mutex
	known   map[string]bool
	longest []string // the keys of known, and a secret before those that are a part of it
}

// What a redactor remembers. Rotated secrets stay until the process ends.
const (
	maxSecrets = 1000
	shortest   = 6 // bytes of a line of a secret that counts by itself
)

func (r *redactor) learn(secrets []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range secrets {
		if r.known[secret] {
			continue
		}
		if r.known == nil || len(r.known) >= maxSecrets {
			r.known = map[string]bool{}
		}
		for _, form := range forms(secret) {
			r.known[form] = true
		}
		r.longest = slices.SortedFunc(maps.Keys(r.known), func(a, b string) int {
			return cmp.Or(len(b)-len(a), strings.Compare(a, b))
		})
	}
}

// forms returns how a plugin may print a secret: as it is, quoted, and line by line.
func forms(secret string) []string {
	quoted := strconv.Quote(secret)
	out := []string{secret, quoted[1 : len(quoted)-1]}
	if b, err := json.Marshal(secret); err == nil {
		out = append(out, string(b[1:len(b)-1]))
	}
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); len(line) >= shortest {
			out = append(out, line)
		}
	}
	return out
}

func (r *redactor) clean(s string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range r.longest {
		s = strings.ReplaceAll(s, secret, "(secret)")
	}
	return s
}
