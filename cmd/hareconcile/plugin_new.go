package main

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/internal/lab"
	"github.com/hareconcile/hareconcile/internal/pluginhost"
	"github.com/hareconcile/hareconcile/plugins/proto"
)

// scaffold is what a new plugin starts as.
//
//go:embed scaffold/*.tmpl
var scaffold embed.FS

// A scaffolded plugin is what the templates know.
type scaffolded struct {
	Name, Binary, Module string
	SDK                  string // folder of hareconcile's source; empty is none
	Release              string // the version to require; empty is none yet
}

var modulePath = regexp.MustCompile(`^[A-Za-z0-9._~/-]{1,200}$`)

func pluginNew(_ context.Context, e *env, flags *flag.FlagSet, args []string) error {
	module := flags.String("module", "", "the `PATH` of the Go module (default example.com/hareconcile-plugin-NAME)")
	dir := flags.String("dir", "", "the `DIR` to write to, which has to be new or empty (default hareconcile-plugin-NAME)")
	sdk := flags.String("sdk", "", "the `DIR` of hareconcile's source, to build with that instead of a release (default for a program in the bin of its source: that)")
	if err := pluginArgs(e, flags, args, 1); err != nil {
		return err
	}
	s := scaffolded{Name: flags.Arg(0), Binary: proto.BinaryPrefix + flags.Arg(0), Module: *module}
	if !pluginhost.ValidName.MatchString(s.Name) {
		return fmt.Errorf("%q cannot be a plugin: a name has lower case letters, digits and dashes", clean(s.Name))
	}
	if s.Module == "" {
		s.Module = "example.com/" + s.Binary
	}
	if !modulePath.MatchString(s.Module) {
		return fmt.Errorf("%q is no path of a Go module", clean(s.Module))
	}
	if err := s.source(*sdk); err != nil {
		return err
	}
	target := cmp.Or(*dir, s.Binary)
	if err := writeScaffold(target, s); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "Wrote %s.%s Next:\n\n", target, s.against())
	fmt.Fprintf(e.stdout, "  cd %s\n  go mod tidy\n  go test ./...\n  go build -trimpath -o %s .\n", lab.Quote(target), s.Binary)
	fmt.Fprintf(e.stdout, "  hareconcile plugin verify -config '{\"address\": \"127.0.0.1:80\"}' ./%s\n\nREADME.md there says how it gets to the agents.\n", s.Binary)
	return nil
}

// source finds what the plugin is built with: the source in dir, the release that this
// program is, or the source that it was built in.
func (s *scaffolded) source(dir string) error {
	switch {
	case dir != "":
		abs, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		if err := hasSDK(abs); err != nil {
			return fmt.Errorf("-sdk: %s is not hareconcile's source: %w", abs, err)
		}
		s.SDK = abs
	case !strings.Contains(build.Version, "-"):
		s.Release = "v" + strings.TrimPrefix(build.Version, "v")
	default:
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		// make puts it into bin.
		if root := filepath.Dir(filepath.Dir(exe)); hasSDK(root) == nil {
			s.SDK = root
		}
	}
	return nil
}

func hasSDK(dir string) error {
	_, err := os.Stat(filepath.Join(dir, "plugins", "sdk", "sdk.go"))
	return err
}

// against says what the plugin is built with, where that is not what people expect.
func (s *scaffolded) against() string {
	switch {
	case s.SDK != "":
		return " It is built with the source in " + s.SDK + "."
	case s.Release == "":
		return " This program is no release, so it is built with the newest one;\nto build with a checkout of hareconcile, write it anew with -sdk DIR."
	}
	return ""
}

// writeScaffold writes the files, or nothing if the folder has any.
func writeScaffold(dir string, s scaffolded) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	have, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(have) > 0 {
		return fmt.Errorf("%s is not empty: it has %s", dir, have[0].Name())
	}
	all, err := template.ParseFS(scaffold, "scaffold/*.tmpl")
	if err != nil {
		return err
	}
	names, err := fs.Glob(scaffold, "scaffold/*.tmpl")
	if err != nil {
		return err
	}
	for _, name := range names {
		var b bytes.Buffer
		base := filepath.Base(name)
		err = errors.Join(all.ExecuteTemplate(&b, base, s),
			os.WriteFile(filepath.Join(dir, strings.TrimSuffix(base, ".tmpl")), b.Bytes(), 0o644))
		if err != nil {
			return err
		}
	}
	return nil
}
