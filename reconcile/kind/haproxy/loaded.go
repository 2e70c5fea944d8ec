package haproxy

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/haproxy"
)

// Loaded returns all that the haproxy of m loads, with text in the place of our own file, for
// haproxy.Lint to look at. It is nothing where no haproxy runs.
func Loaded(ctx context.Context, m Managed, text string) (haproxy.Loaded, error) {
	n := &node{Config: Config{Proc: "/proc"}}
	mr, err := n.master(ctx, m)
	if err != nil {
		return haproxy.Loaded{}, err
	}
	return loadedBy(mr, m, text)
}

// loadedBy is Loaded of one master.
func loadedBy(mr master, m Managed, text string) (haproxy.Loaded, error) {
	out := haproxy.Loaded{Managed: m.Path, Environment: map[string]bool{}}
	for _, v := range mr.env {
		name, _, _ := strings.Cut(v, "=")
		out.Environment[name] = true
	}
	there := false
	for _, name := range haproxy.ConfigArgs(mr.argv) {
		paths := []string{absolute(mr.cwd, name)}
		if isFolder(paths[0]) {
			var err error
			if paths, err = configs(paths[0], m.Path); err != nil {
				return haproxy.Loaded{}, err
			}
		}
		for _, path := range paths {
			s := haproxy.Source{Path: path, Text: text}
			if sameFile(path, m.Path) {
				s.Path, there = m.Path, true
			} else {
				b, err := disk.Read(path, maxFile)
				if err != nil {
					return haproxy.Loaded{}, err
				}
				s.Text = string(b)
			}
			out.Files = append(out.Files, s)
		}
	}
	if !there {
		out.Files = append(out.Files, haproxy.Source{Path: m.Path, Text: text})
	}
	return out, nil
}

// configs returns the files that haproxy reads of a folder, in its order (management.txt,
// section 3): ours is one of them before it is written.
func configs(dir, ours string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	var out []string
	written := !sameFile(filepath.Join(dir, filepath.Base(ours)), ours)
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || filepath.Ext(name) != ".cfg" {
			continue
		}
		if base := filepath.Base(ours); !written && name >= base {
			written = true
			if name != base {
				out = append(out, filepath.Join(dir, base))
			}
		}
		out = append(out, filepath.Join(dir, name))
	}
	if !written {
		out = append(out, filepath.Join(dir, filepath.Base(ours)))
	}
	return out, nil
}
