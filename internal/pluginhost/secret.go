package pluginhost

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hareconcile/hareconcile/internal/secret"
)

// secretKey marks a reference in a configuration: {"$secret": "name"}.
const secretKey = "$secret"

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
		s, err := secret.Read(dirs, name)
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
func replace(v any, lookup func(name string) (string, error)) (any, error) {
	var err error
	switch x := v.(type) {
	case map[string]any:
		if name, ok := x[secretKey].(string); ok && len(x) == 1 {
			return lookup(name)
		}
		for k := range x {
			if x[k], err = replace(x[k], lookup); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range x {
			if x[i], err = replace(x[i], lookup); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
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
