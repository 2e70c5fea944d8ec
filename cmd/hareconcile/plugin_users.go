package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// pluginUsers returns what of the cluster in dir uses each plugin: trackers, and checks of
// pools, on any node. Schemas are left out of it, because they may be older than the
// plugins that are about to be locked.
func pluginUsers(e *env, dir string) (map[string][]string, error) {
	tree, err := hcl.ReadTree(dir)
	if err != nil {
		return nil, err
	}
	for name := range tree {
		if strings.HasSuffix(name, ".schema.json") {
			delete(tree, name)
		}
	}
	c, ds := hcl.Compile(tree, hcl.Options{})
	if ds.HasErrors() {
		return nil, e.diagnose(ds)
	}
	users := map[string][]string{}
	for _, n := range c.Nodes {
		if c, ds = hcl.Compile(tree, hcl.Options{Node: n.Name}); ds.HasErrors() {
			return nil, e.diagnose(ds)
		}
		usersOf(c, users)
	}
	for name, list := range users {
		slices.Sort(list)
		users[name] = slices.Compact(list)
	}
	return users, nil
}

// usersOf adds what one node's view of a cluster uses.
func usersOf(c *spec.Cluster, users map[string][]string) {
	for _, t := range c.Trackers {
		if t.Plugin != "" {
			users[t.Plugin] = append(users[t.Plugin], "tracker."+t.Name)
		}
	}
	for _, p := range c.Pools {
		for _, check := range p.Checks {
			if check.Plugin != nil {
				users[check.Plugin.Plugin] = append(users[check.Plugin.Plugin], "pool."+p.Name)
			}
		}
	}
}

// readLock reads the lock file of a cluster's folder; the lock is empty if there is none.
func readLock(e *env, dir string) (lock spec.Lock, text []byte, err error) {
	text, err = readIfThere(filepath.Join(dir, hcl.LockFile))
	if err != nil {
		return lock, nil, err
	}
	lock, ds := hcl.ParseLock(text)
	return lock, text, e.diagnose(ds)
}
