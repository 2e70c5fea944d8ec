package hcl

import (
	"strings"
	"testing"
)

// TestCompileCarriesTheLock: the lock file beside cluster.hcl is part of the cluster, and a
// mistake in it refuses the whole.
func TestCompileCarriesTheLock(t *testing.T) {
	tree := Tree{mainFile: []byte("cluster \"x\" {\n  node \"a\" { address = \"192.0.2.1\" }\n}\n")}
	if c, ds := Compile(tree, Options{}); c == nil || c.Lock != nil {
		t.Fatalf("Compile without a lock file = %+v, %v, want a cluster without a lock", c, ds)
	}
	hash := "sha256:" + strings.Repeat("a1", 32)
	tree[LockFile] = []byte("plugin \"haproxy\" {\n  version = \"1\"\n  hashes = { linux_amd64 = \"" + hash + "\" }\n}\n")
	c, ds := Compile(tree, Options{})
	if c == nil || c.Lock == nil || c.Lock.Plugins["haproxy"].Hashes["linux_amd64"] != hash || !c.Lock.Plugins["haproxy"].AutoMTLS {
		t.Fatalf("Compile = %+v, %v, want the lock", c, ds)
	}
	tree[LockFile] = []byte("plugin \"haproxy\" {}\n")
	if c, ds := Compile(tree, Options{}); c != nil || !ds.HasErrors() || ds[0].File != LockFile {
		t.Errorf("Compile with a broken lock file = %v, %v, want an error in it", c, ds)
	}
}
