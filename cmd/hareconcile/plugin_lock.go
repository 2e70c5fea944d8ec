package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/pluginhost"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/plugins/sdk/conformance"
)

func pluginLock(ctx context.Context, e *env, flags *flag.FlagSet, args []string) error {
	agent := agentFlag(flags)
	if err := pluginArgs(e, flags, args, 0); err != nil {
		return err
	}
	dir := flags.Arg(0)
	if dir == "" {
		dir = "."
	}
	users, err := pluginUsers(e, dir)
	if err != nil {
		return err
	}
	old, text, err := readLock(e, dir)
	if err != nil {
		return err
	}
	r, err := newPluginRunner(e, *agent)
	if err != nil {
		return err
	}
	defer r.close()
	next := spec.Lock{Plugins: map[string]spec.LockedPlugin{}}
	files := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		p, schema, err := r.lockOne(ctx, name, old)
		if err != nil {
			return fmt.Errorf("lock plugin %s, which %s names: %w", clean(name), clean(strings.Join(users[name], ", ")), err)
		}
		next.Plugins[name] = p
		files[name+".schema.json"] = schema
	}
	if len(next.Plugins) > 0 || len(text) > 0 {
		files[hcl.LockFile] = hcl.FormatLock(next)
	}
	writeLockChanges(e, old, next)
	return writeChanged(e, dir, files)
}

// lockOne returns the entry of one plugin and its schema. Hashes of other platforms stay as
// long as the version does.
func (r *pluginRunner) lockOne(ctx context.Context, name string, old spec.Lock) (spec.LockedPlugin, []byte, error) {
	none := spec.LockedPlugin{}
	path, hash, err := r.find(name)
	if err != nil {
		return none, nil, err
	}
	d, text, err := conformance.Describe(ctx, r.options(path, "", false))
	if err != nil {
		return none, nil, err
	}
	if d.Name != name {
		return none, nil, fmt.Errorf("%s calls itself %q", path, clean(d.Name))
	}
	p := spec.LockedPlugin{Version: d.Version, Hashes: map[string]string{}, AutoMTLS: true}
	if before, ok := old.Plugins[name]; ok {
		p.AutoMTLS = before.AutoMTLS
		if before.Version == d.Version {
			maps.Copy(p.Hashes, before.Hashes)
		}
	}
	p.Hashes[pluginhost.Platform] = hash
	// What comes from a plugin has to be readable by whoever reads the lock.
	if _, ds := hcl.ParseLock(hcl.FormatLock(spec.Lock{Plugins: map[string]spec.LockedPlugin{name: p}})); ds.HasErrors() {
		return none, nil, fmt.Errorf("%s describes itself wrongly: %s: %s", path, ds[0].Summary, ds[0].Detail)
	}
	return p, append(bytes.TrimRight(text, "\n"), '\n'), nil
}

// writeLockChanges prints what becomes of each plugin.
func writeLockChanges(e *env, old, next spec.Lock) {
	names := slices.Collect(maps.Keys(next.Plugins))
	for name := range old.Plugins {
		if _, stays := next.Plugins[name]; !stays {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		was, before := old.Plugins[name]
		is, after := next.Plugins[name]
		switch {
		case !after:
			fmt.Fprintf(e.stdout, "- %s %s: nothing names it\n", name, was.Version)
		case !before:
			fmt.Fprintf(e.stdout, "+ %s %s %s\n", name, is.Version, is.Hashes[pluginhost.Platform])
		case was.Version != is.Version:
			fmt.Fprintf(e.stdout, "~ %s %s -> %s %s\n", name, was.Version, is.Version, is.Hashes[pluginhost.Platform])
			for _, p := range slices.Sorted(maps.Keys(was.Hashes)) {
				if p != pluginhost.Platform {
					fmt.Fprintf(e.stdout, "  the hash for %s was of %s and is gone: run plugin lock on such a host, too\n", p, was.Version)
				}
			}
		case was.Hashes[pluginhost.Platform] != is.Hashes[pluginhost.Platform]:
			from := was.Hashes[pluginhost.Platform]
			if from == "" {
				from = "no hash for " + pluginhost.Platform
			}
			fmt.Fprintf(e.stdout, "~ %s %s: %s -> %s\n", name, is.Version, from, is.Hashes[pluginhost.Platform])
		}
	}
}

// writeChanged writes the files that are not yet as they should be.
func writeChanged(e *env, dir string, files map[string][]byte) error {
	written := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		have, err := readIfThere(path)
		if err != nil {
			return err
		}
		if have != nil && bytes.Equal(have, files[name]) {
			continue
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return err
		}
		written++
		fmt.Fprintf(e.stdout, "wrote %s\n", path)
	}
	if written == 0 {
		fmt.Fprintln(e.stdout, "Nothing to do: the lock file and the schemas are as they should be.")
	}
	return nil
}

// readIfThere reads a file; nil is one that does not exist.
func readIfThere(path string) ([]byte, error) {
	b, err := readBounded(path, maxSource)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return append([]byte{}, b...), err
}
