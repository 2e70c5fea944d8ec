// Check judges the source as `make test` does before any test: gofmt, go vet, staticcheck
// with every check, and generated documents that are up to date. It runs them all and
// fails if one of them has something to say.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// generated is what `go generate ./hcl` writes.
const generated = "docs/reference"

func main() {
	failed := false
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"gofmt", format},
		{"go vet", func() error { return command("go", "vet", "./...") }},
		{"staticcheck", func() error { return command("go", "tool", "staticcheck", "-checks", "all,-ST1000", "./...") }},
		{"generate", func() error { return upToDate(generated, "go", "generate", "./hcl") }},
	} {
		if err := c.run(); err != nil {
			fmt.Printf("FAIL  %s\n%v\n", c.name, err)
			failed = true
			continue
		}
		fmt.Printf("ok    %s\n", c.name)
	}
	if failed {
		os.Exit(1)
	}
}

// command runs a program that says nothing when all is well.
func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s%w", out, err)
	}
	return nil
}

// format lists files that gofmt would change.
func format() error {
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	out, err := exec.Command("gofmt", append([]string{"-l"}, files...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		return fmt.Errorf("gofmt would change:\n%s", out)
	}
	return nil
}

// upToDate runs a generator and reports what it changed below dir.
func upToDate(dir, name string, args ...string) error {
	before, err := contents(dir)
	if err != nil {
		return err
	}
	if err := command(name, args...); err != nil {
		return err
	}
	after, err := contents(dir)
	if err != nil {
		return err
	}
	var stale []string
	for path, b := range after {
		if !bytes.Equal(before[path], b) {
			stale = append(stale, path)
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("%s was not up to date and is now; look at the change and commit it", strings.Join(stale, ", "))
	}
	return nil
}

func contents(dir string) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == dir {
			return nil // nothing is generated yet
		}
		if err != nil || d.IsDir() {
			return err
		}
		out[path], err = os.ReadFile(path)
		return err
	})
	return out, err
}
