package haproxy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/reconcile"
)

// checking bounds a run of haproxy that checks a configuration.
const checking = 60 * time.Second

// check has haproxy check what its master would load with text in the place of m's file, or
// without the file if text is nil. It is ErrRefused if haproxy would not start with it, or if
// it raises an alert that what is on disk does not raise: some are not fatal, and the line they
// are about is ignored. New warnings are logged.
// Maps that are still to be written are taken from maps, by path.
func (n *node) check(ctx context.Context, mr master, m Managed, text *string, maps map[string]string) error {
	dir, err := os.MkdirTemp("", "hareconcile-haproxy-")
	if err != nil {
		return fmt.Errorf("check the configuration of haproxy: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a copy of what is on disk
	args, err := stage(dir, mr, m, text, maps)
	if err != nil {
		return fmt.Errorf("check the configuration of haproxy: %w", err)
	}
	found, err := run(ctx, mr, args)
	for i := range found {
		for path := range maps {
			found[i].Text = strings.ReplaceAll(found[i].Text, staged(dir, path), path)
		}
		found[i].Text = elide(strings.ReplaceAll(found[i].Text, dir, filepath.Dir(m.Path)))
	}
	if err != nil {
		var failed *exec.ExitError
		if !errors.As(err, &failed) || ctx.Err() != nil {
			return fmt.Errorf("check the configuration of haproxy: %w", err)
		}
		return fmt.Errorf("%w: `haproxy -c` says that haproxy would not load it: %s", reconcile.ErrRefused, quote(found))
	}
	if len(found) == 0 {
		return nil
	}
	before, _ := run(ctx, mr, haproxy.CheckArgs(mr.argv, func(name string) string { return name }))
	for i := range before {
		before[i].Text = elide(before[i].Text)
	}
	found = slices.DeleteFunc(found, func(f haproxy.Message) bool { return slices.Contains(before, f) })
	for _, f := range found {
		n.Log.Warn("haproxy warns of its configuration", "path", m.Path, "message", f.Text)
	}
	found = slices.DeleteFunc(found, func(f haproxy.Message) bool { return !f.Alert })
	if len(found) > 0 {
		return fmt.Errorf("%w: haproxy would load it and ignore part of it: %s", reconcile.ErrRefused, quote(found))
	}
	return nil
}

// stage makes a copy in dir of the folder of m's file, with text in the place of the file, and
// returns the arguments with which haproxy checks that.
func stage(dir string, mr master, m Managed, text *string, maps map[string]string) ([]string, error) {
	folder, base := filepath.Dir(m.Path), filepath.Base(m.Path)
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() == base || filepath.Ext(e.Name()) != ".cfg" {
			continue
		}
		if err := os.Symlink(filepath.Join(folder, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	if text != nil {
		with, err := stageMaps(dir, *text, maps)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, base), []byte(with), 0o600); err != nil {
			return nil, err
		}
	}
	args := haproxy.CheckArgs(mr.argv, func(name string) string {
		switch path := absolute(mr.cwd, name); {
		case sameFile(path, m.Path):
			return filepath.Join(dir, base)
		case sameFile(filepath.Join(path, base), m.Path):
			return dir
		}
		return name
	})
	if text != nil && !mr.loads(m.Path) {
		args = append(args, "-f", dir)
	}
	return args, nil
}

// stageMaps writes maps as they will be, and returns text with their paths.
func stageMaps(dir, text string, maps map[string]string) (string, error) {
	for path, lines := range maps {
		if !mentions(text, path) {
			continue
		}
		name := staged(dir, path)
		if err := os.WriteFile(name, []byte(lines), 0o600); err != nil {
			return "", err
		}
		text = replacePath(text, path, name)
	}
	return text, nil
}

// staged returns where a map is while it is checked.
func staged(dir, path string) string { return filepath.Join(dir, sum(path)[:16]+".map") }

// elide shortens a message to what is quoted of it. haproxy begins with the place, and the reason
// is at the end.
func elide(s string) string {
	const most, end = 300, 180
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-end-5], "") + " ... " + strings.ToValidUTF8(s[len(s)-end:], "")
}

// mentions reports whether a path is in text.
func mentions(text, path string) bool { return replacePath(text, path, "") != text }

// replacePath replaces a path in text, and not the beginning or the end of another one.
func replacePath(text, path, by string) string {
	var out strings.Builder
	inName := func(b byte) bool { return b > ' ' && !strings.ContainsRune(`,()'"@=`, rune(b)) }
	for from := 0; ; {
		i := strings.Index(text[from:], path)
		if i < 0 {
			out.WriteString(text[from:])
			return out.String()
		}
		start, end := from+i, from+i+len(path)
		out.WriteString(text[from:start])
		if start > 0 && inName(text[start-1]) || end < len(text) && inName(text[end]) {
			out.WriteString(path)
		} else {
			out.WriteString(by)
		}
		from = end
	}
}

// release refuses a haproxy that is older than the definition is meant for. The program on disk
// is asked: a reload starts that one.
func release(ctx context.Context, mr master, lowest string) error {
	_, err := run(ctx, mr, []string{"-cc", "version_atleast(" + lowest + ")"})
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed) && ctx.Err() == nil:
		return fmt.Errorf("%w: %s is older than %s, which requires = \">= %s\" asks for", reconcile.ErrRefused, mr.exe, lowest, lowest)
	case err != nil:
		return fmt.Errorf("ask haproxy for its release: %w", err)
	}
	return nil
}

// maxOutput bounds what is read of haproxy's output.
const maxOutput = 1 << 20

// run has haproxy check a configuration.
func run(ctx context.Context, mr master, args []string) ([]haproxy.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, checking)
	defer cancel()
	cmd := exec.CommandContext(ctx, mr.exe, args...)
	cmd.Dir, cmd.Env = mr.cwd, mr.env
	cmd.WaitDelay = time.Second
	var out limited
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return haproxy.ParseMessages(out.String()), err
}

// limited keeps the first maxOutput bytes.
type limited struct{ bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	l.Buffer.Write(b[:min(len(b), maxOutput-l.Len())])
	return len(b), nil
}

// quote returns the messages that say most, in few words.
func quote(ms []haproxy.Message) string {
	return cmp.Or(haproxy.Reasons(ms), "and gives no reason")
}
