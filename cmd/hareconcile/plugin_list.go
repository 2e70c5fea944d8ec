package main

import (
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

	"github.com/hareconcile/hareconcile/internal/pluginhost"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/plugins/proto"
	"github.com/hareconcile/hareconcile/plugins/sdk/conformance"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// How a binary is to the lock file.
const (
	lockMatches = "matches"
	lockDiffers = "differs"
	lockMissing = "not locked"
)

// A listedPlugin is a plugin of this host.
type listedPlugin struct {
	Name    string   `json:"name"`
	Version string   `json:"version,omitempty"`
	Path    string   `json:"path"`
	Hash    string   `json:"hash,omitempty"`
	Lock    string   `json:"lock,omitempty"` // matches, differs or not locked; only with DIR
	UsedBy  []string `json:"used_by,omitempty"`
	Problem string   `json:"problem,omitempty"` // why the agent would not run it
}

// pluginListing is what plugin list -json prints.
type pluginListing struct {
	FormatVersion string         `json:"format_version"`
	Dir           string         `json:"dir"`
	Plugins       []listedPlugin `json:"plugins"`
	// Missing are plugins that the cluster uses and this host does not have.
	Missing map[string][]string `json:"missing,omitempty"`
}

func pluginList(ctx context.Context, e *env, flags *flag.FlagSet, args []string) error {
	agent := agentFlag(flags)
	asJSON := flags.Bool("json", false, "print JSON")
	if err := pluginArgs(e, flags, args, 0); err != nil {
		return err
	}
	r, err := newPluginRunner(e, *agent)
	if err != nil {
		return err
	}
	defer r.close()
	var users map[string][]string
	var lock spec.Lock
	dir := flags.Arg(0)
	if dir != "" {
		if users, err = pluginUsers(e, dir); err != nil {
			return err
		}
		if lock, _, err = readLock(e, dir); err != nil {
			return err
		}
	}
	out := pluginListing{planfile.FormatVersion, r.dir, []listedPlugin{}, map[string][]string{}}
	entries, err := os.ReadDir(r.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for name, by := range users {
		out.Missing[name] = by
	}
	for _, entry := range entries {
		name, ok := strings.CutPrefix(entry.Name(), proto.BinaryPrefix)
		if !ok || !pluginhost.ValidName.MatchString(name) {
			continue
		}
		p := r.look(ctx, name)
		p.UsedBy = users[name]
		if dir != "" {
			p.Lock = lockState(lock, p)
		}
		delete(out.Missing, name)
		out.Plugins = append(out.Plugins, p)
	}
	if *asJSON {
		return writeJSON(e.stdout, out)
	}
	return writePlugins(e, out, dir != "")
}

// look returns what there is to know about one plugin.
func (r *pluginRunner) look(ctx context.Context, name string) listedPlugin {
	p := listedPlugin{Name: name, Path: filepath.Join(r.dir, proto.BinaryPrefix+name)}
	path, hash, err := r.find(name)
	if err == nil {
		p.Hash = hash
		d, _, derr := conformance.Describe(ctx, r.options(path, "", false))
		p.Version, err = d.Version, derr
	}
	if err != nil {
		p.Problem = clean(err.Error())
	}
	return p
}

func lockState(lock spec.Lock, p listedPlugin) string {
	locked, ok := lock.Plugins[p.Name]
	switch {
	case !ok:
		return lockMissing
	case p.Hash == "" || locked.Hashes[pluginhost.Platform] != p.Hash:
		return lockDiffers
	}
	return lockMatches
}

func writePlugins(e *env, l pluginListing, cluster bool) error {
	if len(l.Plugins) == 0 {
		fmt.Fprintf(e.stdout, "There is no plugin in %s.\n", clean(l.Dir))
	}
	t := newTable(e.stdout)
	if len(l.Plugins) > 0 {
		head := []any{"NAME", "VERSION", "HASH", "PATH"}
		if cluster {
			head = append(head, "LOCK", "USED BY")
		}
		t.row(head...)
	}
	for _, p := range l.Plugins {
		cells := []any{p.Name, p.Version, shortHash(p.Hash), p.Path}
		if cluster {
			cells = append(cells, p.Lock, strings.Join(p.UsedBy, ", "))
		}
		t.row(cells...)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range l.Plugins {
		if p.Problem != "" {
			fmt.Fprintf(e.stdout, "Warning: the agent does not run %s: %s\n", p.Name, p.Problem)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.Missing)) {
		fmt.Fprintf(e.stdout, "Warning: %s, which %s names, is not on this host.\n", clean(name), clean(strings.Join(l.Missing[name], ", ")))
	}
	return nil
}

// shortHash is enough of a hash to tell two apart.
func shortHash(h string) string { return h[:min(len(h), len("sha256:")+12)] }
