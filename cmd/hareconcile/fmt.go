package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/hareconcile/hareconcile/hcl"
)

const (
	maxSource = 4 << 20 // bytes of a file to format
	stdinName = "<stdin>"
)

// A formatter is one run of fmt.
type formatter struct {
	e                              *env
	check, diff, list, recurse, wr bool
	changed, bad                   bool
}

func runFmt(ctx context.Context, e *env, args []string) int {
	f := &formatter{e: e}
	fs := e.flags("fmt")
	fs.BoolVar(&f.check, "check", false, "write nothing; exit with 3 if a file is not formatted")
	fs.BoolVar(&f.diff, "diff", false, "print the differences")
	fs.BoolVar(&f.recurse, "recursive", false, "format the files in folders below as well")
	fs.BoolVar(&f.wr, "write", true, "write the files back")
	fs.BoolVar(&f.list, "list", true, "list the files that were not formatted")
	if err := e.parse(fs, args, 10_000); err != nil {
		return e.exit(err)
	}
	f.wr = f.wr && !f.check
	targets := fs.Args()
	if len(targets) == 0 {
		targets = []string{"."}
	}
	for _, t := range targets {
		if err := f.target(ctx, t); err != nil {
			return e.exit(err)
		}
	}
	switch {
	case f.bad:
		return exitError
	case f.check && f.changed:
		return exitUnformatted
	}
	return exitOK
}

// target formats what one argument names.
func (f *formatter) target(ctx context.Context, name string) error {
	if name == "-" {
		return f.stdin()
	}
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		if !isSource(name) {
			return fmt.Errorf("%s is neither a .hcl nor a .hcvars file", name)
		}
		return f.file(name, st.Mode().Perm())
	}
	return filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() && path != name && (!f.recurse || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !d.Type().IsRegular() || !isSource(path) || strings.HasPrefix(d.Name(), "."):
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return f.file(path, info.Mode().Perm())
	})
}

func isSource(name string) bool {
	return strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcvars")
}

func (f *formatter) stdin() error {
	src, err := readAll(f.e.stdin, "standard input", maxSource)
	if err != nil {
		return err
	}
	out, ok := f.format(stdinName, src)
	if !ok || f.check || f.diff {
		return nil
	}
	_, err = f.e.stdout.Write(out)
	return err
}

func (f *formatter) file(name string, mode fs.FileMode) error {
	src, err := readBounded(name, maxSource)
	if err != nil {
		return err
	}
	out, ok := f.format(name, src)
	if !ok || bytes.Equal(src, out) {
		return nil
	}
	if !f.wr {
		return nil
	}
	return os.WriteFile(name, out, mode) // in place: the file keeps its owner and its links
}

// format returns src as it should be, and whether it can be formatted at all.
func (f *formatter) format(name string, src []byte) ([]byte, bool) {
	out, ds := hcl.Format(name, src)
	if err := f.e.diagnose(ds); errors.Is(err, errSaid) {
		f.bad = true
		return nil, false
	}
	if bytes.Equal(src, out) {
		return out, true
	}
	f.changed = true
	if f.list && name != stdinName {
		fmt.Fprintln(f.e.stdout, name)
	}
	if f.diff {
		d := diff.Diff("old/"+name, src, "new/"+name, out)
		_, d, _ = bytes.Cut(d, []byte("\n")) // without the line "diff old new"
		f.e.stdout.Write(d)
	}
	return out, true
}
