package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// maxFile bounds what is read of a file that says "up", "down" or a number.
const maxFile = 64

// newFile reads a file of this host. What is there counts as a measurement only if it is
// one of the words: a file that is gone, empty or half written says nothing.
func newFile(c spec.Check, t Target) (look, error) {
	if c.File == nil || c.File.Path == "" {
		return nil, errors.New("no file is named")
	}
	for _, name := range []string{t.Server, t.Pool} {
		if strings.Contains(c.File.Path, "{") && (strings.Contains(name, "/") || name == "..") {
			return nil, fmt.Errorf("%q cannot be part of a path", name)
		}
	}
	path := strings.NewReplacer("{server}", t.Server, "{pool}", t.Pool).Replace(c.File.Path)
	return func(context.Context) (Outcome, error) {
		b, err := slurp(path, maxFile)
		if err != nil {
			return Outcome{}, own(err)
		}
		return fileSays(string(b), path, c.Dynamic)
	}, nil
}

func fileSays(text, path string, dynamic bool) (Outcome, error) {
	text = strings.TrimSpace(text)
	switch text {
	case "up":
		return Outcome{Message: path + " says up"}, nil
	case "down":
		return Outcome{}, fmt.Errorf("%s says down", path)
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 0 || n > answer.MaxWeight:
		return Outcome{}, own(fmt.Errorf("%s says %q, want up, down or a number to %d", path, answer.Line(text), answer.MaxWeight))
	case n == 0:
		return Outcome{}, fmt.Errorf("%s says 0", path)
	case !dynamic:
		return Outcome{Message: fmt.Sprintf("%s says %d", path, n)}, nil
	}
	return Outcome{Message: fmt.Sprintf("%s says weight %d", path, n), Weight: n, HasWeight: true}, nil
}

// slurp reads a regular file of at most limit bytes. Opening a pipe or a device does not
// block and reading it is refused.
func slurp(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return b, nil
}
