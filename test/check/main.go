// Check judges the source as `make test` does before any test: gofmt, go vet and staticcheck
// with every check. It runs them all and fails if one of them has something to say.
// Generated documents are compared by the tests of what generates them.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	failed := false
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"gofmt", format},
		{"go vet", func() error { return command("go", "vet", "./...") }},
		{"staticcheck", func() error { return command("go", "tool", "staticcheck", "-checks", "all,-ST1000", "./...") }},
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
