package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/hcl"
)

const pluginCluster = `cluster "c" {
  node "a" { address = "192.0.2.1" }
  node "b" { address = "192.0.2.2" }
}
tracker "web" {
  plugin = "probe"
  config = { address = "${node.address}:80" }
}
`

// clusterWith returns a folder with a cluster.hcl.
func clusterWith(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cluster.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPluginLock(t *testing.T) {
	agent, plugins := pluginHost(t)
	dir := clusterWith(t, pluginCluster)
	file := filepath.Join(dir, hcl.LockFile)
	lock := func() result { return run(t, "", "plugin", "lock", "-agent", agent, dir) }
	list := func() result { return run(t, "", "plugin", "list", "-agent", agent, dir) }

	list().want(t, 0, "^probe +0.1.0 +sha256:[0-9a-f]{12} +/.*probe +not locked +tracker.web$", "")
	lock().want(t, 0, `\+ probe 0.1.0 sha256:[0-9a-f]{64}\nwrote .*lock.hcl\nwrote .*probe.schema.json`, "")
	lock().want(t, 0, "^Nothing to do", "")
	list().want(t, 0, "matches +tracker.web$", "")
	run(t, "", "validate", dir).want(t, 0, "valid", "")

	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody has a host of another kind, and turned certificates off.
	text := strings.Replace(string(first), "hashes = {", "hashes = {\n    linux_m68k = \"sha256:"+strings.Repeat("0", 64)+"\"", 1)
	text = strings.Replace(text, "automtls = true", "automtls = false", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	lock().want(t, 0, "lock.hcl|^Nothing", "") // at most the layout changes
	binary := filepath.Join(plugins, "hareconcile-plugin-probe")
	b, err := os.ReadFile(binary)
	if err == nil {
		err = os.WriteFile(binary, append(b, 0), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	list().want(t, 0, "differs +tracker.web$", "")
	lock().want(t, 0, "^~ probe 0.1.0: sha256:[0-9a-f]{64} -> sha256:[0-9a-f]{64}$", "")
	got, ds := hcl.ParseLock(mustRead(t, file))
	if p := got.Plugins["probe"]; ds.HasErrors() || len(p.Hashes) != 2 || p.AutoMTLS {
		t.Errorf("the lock is %v, %v, want two hashes and no certificates", got, ds)
	}

	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(mustRead(t, file)), `"0.1.0"`, `"0.0.9"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	lock().want(t, 0, "^~ probe 0.0.9 -> 0.1.0 sha256:.*\n  the hash for linux_m68k was of 0.0.9 and is gone", "")
	if err := os.WriteFile(filepath.Join(dir, "cluster.hcl"), []byte("cluster \"c\" {\n  node \"a\" { address = \"192.0.2.1\" }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lock().want(t, 0, "^- probe 0.1.0: nothing names it$", "")
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPluginLockIsRefused(t *testing.T) {
	agent, _ := pluginHost(t)
	other := clusterWith(t, strings.ReplaceAll(pluginCluster, `"probe"`, `"other"`))
	run(t, "", "plugin", "lock", "-agent", agent, other).
		want(t, 1, "", "lock plugin other, which tracker.web names: binary: .*no such file")
	run(t, "", "plugin", "list", "-agent", agent, other).want(t, 0, "other, which tracker.web names, is not on this host", "")
	run(t, "", "plugin", "list", "-json", "-agent", agent, other).want(t, 0, `"missing": \{\n    "other": \[`, "")
	broken := clusterWith(t, pluginCluster)
	if err := os.WriteFile(filepath.Join(broken, hcl.LockFile), []byte("plugin \"x\" {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", "plugin", "lock", "-agent", agent, broken).want(t, 1, "", "lock.hcl:1,")
	run(t, "", "plugin", "lock", "-agent", agent, clusterWith(t, "cluster {")).want(t, 1, "", "cluster.hcl:1,")
}
