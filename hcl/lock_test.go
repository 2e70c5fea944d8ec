package hcl

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hareconcile/hareconcile/internal/spec"
)

var locked = spec.Lock{Plugins: map[string]spec.LockedPlugin{
	"haproxy": {Version: "1.2.3", AutoMTLS: true, Hashes: map[string]string{
		"linux_amd64": "sha256:" + strings.Repeat("0a", 32), "linux_arm64": "sha256:" + strings.Repeat("b1", 32),
	}},
	"diary": {Version: "0.1.0-rc.1+x", Hashes: map[string]string{"linux_amd64": "sha256:" + strings.Repeat("f", 64)}},
}}

const lockedText = `# Written by "hareconcile plugin lock". Of the plugins that are listed here, agents run these binaries only.

plugin "diary" {
  version = "0.1.0-rc.1+x"
  hashes = {
    linux_amd64 = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
  }
  automtls = false
}

plugin "haproxy" {
  version = "1.2.3"
  hashes = {
    linux_amd64 = "sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
    linux_arm64 = "sha256:b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1"
  }
  automtls = true
}
`

func TestLockIsWrittenAndRead(t *testing.T) {
	text := FormatLock(locked)
	if d := cmp.Diff(lockedText, string(text)); d != "" {
		t.Errorf("FormatLock (-want +got):\n%s", d)
	}
	got, ds := ParseLock(text)
	if d := cmp.Diff(locked, got); d != "" || len(ds) > 0 {
		t.Errorf("ParseLock (-want +got):\n%s%v", d, ds)
	}
}

func TestLockOfNothing(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", string(FormatLock(spec.Lock{}))} {
		got, ds := ParseLock([]byte(text))
		if len(ds) > 0 || len(got.Plugins) != 0 {
			t.Errorf("ParseLock(%q) = %v, %v, want no plugin", text, got, ds)
		}
	}
}

// TestLockSaysWhetherCertificatesAreUsed: who writes nothing about it gets the safe choice.
func TestLockSaysWhetherCertificatesAreUsed(t *testing.T) {
	text := strings.Replace(string(FormatLock(locked)), "automtls = true", "", 1)
	got, ds := ParseLock([]byte(text))
	if len(ds) > 0 || !got.Plugins["haproxy"].AutoMTLS || got.Plugins["diary"].AutoMTLS {
		t.Errorf("ParseLock = %v, %v, want certificates for haproxy only", got, ds)
	}
}

// TestLockMistakes holds one file per mistake, as TestMistakes does for the other files.
func TestLockMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/locks/*.txtar")
	if err != nil || len(files) < 8 {
		t.Fatalf("found %d mistakes, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			tree, want := split(a)
			lock, ds := ParseLock(tree[LockFile])
			if len(lock.Plugins) > 0 || !ds.HasErrors() {
				t.Errorf("ParseLock = %v, %v, want an error", lock, ds)
			}
			got := text(ds)
			if *update {
				a.Files[len(a.Files)-1].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("diagnostics (-want +got):\n%s", d)
			}
		})
	}
}

// TestLockIsNotOfTheCluster: a pattern for all files of a folder does not mean the lock.
func TestLockIsNotOfTheCluster(t *testing.T) {
	_, ds := Compile(Tree{
		"cluster.hcl": []byte("include {\n  paths = [\"*.hcl\"]\n}\ncluster \"c\" {\n  node \"a\" {\n    address = \"192.0.2.1\"\n  }\n}\n"),
		"more.hcl":    []byte("# nothing\n"),
		LockFile:      []byte(lockedText),
	}, Options{})
	if ds.HasErrors() {
		t.Error(text(ds))
	}
}

// FuzzLock wants an end, a lock or a reason, and a lock that survives being written.
func FuzzLock(f *testing.F) {
	f.Add([]byte(lockedText))
	f.Add([]byte(`plugin "a" { hashes = { linux_amd64 = 1 } }`))
	f.Add([]byte(`plugin "a" "b" {}`))
	f.Add([]byte(`plugin "a" { version = "${x}" }`))
	f.Fuzz(func(t *testing.T, b []byte) {
		lock, ds := ParseLock(b)
		checkDiagnostics(t, ds)
		if ds.HasErrors() {
			return
		}
		once := FormatLock(lock)
		again, ds := ParseLock(once)
		if d := cmp.Diff(lock, again); d != "" || len(ds) > 0 {
			t.Fatalf("a lock that was written is read as another:\n%s%s", d, text(ds))
		}
		if !bytes.Equal(once, FormatLock(again)) {
			t.Fatal("a lock is written in two ways")
		}
	})
}
