package disk_test

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/nstest"
)

func TestReplaceAndRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "new", "file")
	if b, err := disk.Read(name, 9); b != nil || err != nil {
		t.Fatalf("Read of nothing = %q, %v", b, err)
	}
	for _, text := range []string{"one", "another"} {
		if err := disk.Replace(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := disk.Read(name, 9); string(b) != text || err != nil {
			t.Errorf("Read() = %q, %v, want %q", b, err, text)
		}
	}
	if _, err := disk.Read(name, 6); err == nil {
		t.Error("a file beyond the limit was read")
	}
	st, err := os.Stat(name)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v (%v), want it to be its owner's alone", st.Mode(), err)
	}
}

// TestAFailureLeavesTheOldFile cannot rename the new one, since a folder has its name.
func TestAFailureLeavesTheOldFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.MkdirAll(filepath.Join(name, "old"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.Replace(name, []byte("new")); err == nil {
		t.Error("Replace succeeded over a folder")
	}
	if _, err := os.Stat(filepath.Join(name, "old")); err != nil {
		t.Errorf("what was there: %v", err)
	}
	if left := names(t, filepath.Dir(name)); len(left) != 1 {
		t.Errorf("the folder has %q, want the old name alone", left)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// TestReplaceFollowsNobody: who may write to the folder can lay a link, a FIFO or a file where
// the new one is made, or where it goes. A version that opened NAME.new wrote through the first
// and waited for ever at the second.
func TestReplaceFollowsNobody(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	lay := map[string]func(path string) error{
		"link": func(path string) error { return os.Symlink(victim, path) },
		"fifo": func(path string) error { return syscall.Mkfifo(path, 0o666) },
		"file": func(path string) error { return os.WriteFile(path, []byte("theirs"), 0o666) },
	}
	for kind, f := range lay {
		name := filepath.Join(dir, kind+".map")
		for _, path := range []string{name, name + ".new"} {
			if err := f(path); err != nil {
				t.Fatal(err)
			}
		}
		if err := disk.ReplaceAs(name, []byte("ours"), disk.Access{Mode: 0o644, UID: -1, GID: -1}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		st, err := os.Lstat(name)
		if err != nil || st.Mode() != 0o644 {
			t.Errorf("%s: the file has mode %v (%v), want a regular one of mode 0644", kind, st.Mode(), err)
		}
		if b, err := disk.Read(name, 9); string(b) != "ours" || err != nil {
			t.Errorf("%s: Read() = %q, %v", kind, b, err)
		}
	}
	st, err := os.Stat(victim)
	if err != nil || st.Mode() != 0o600 {
		t.Errorf("the victim has mode %v (%v), want it as it was", st.Mode(), err)
	}
	if b, _ := disk.Read(victim, 9); string(b) != "secret" {
		t.Errorf("the victim is %q, want it as it was", b)
	}
}

// TestWhatAKillLeftIsSwept, and nothing that only looks like it.
func TestWhatAKillLeftIsSwept(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	for _, n := range []string{"file.new-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "file.new", "file.new-short", "other.new-ABCDEFGHIJKLMNOPQRSTUVWXYZ"} {
		if err := os.WriteFile(filepath.Join(dir, n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := disk.Replace(name, []byte("x")); err != nil {
		t.Fatal(err)
	}
	want := []string{"file", "file.new", "file.new-short", "other.new-ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder has %q, want %q", got, want)
	}
}

// TestOwnersAndModes are there from the start.
func TestOwnersAndModes(t *testing.T) {
	nstest.Need(t, "root")
	name := filepath.Join(t.TempDir(), "file")
	if err := disk.ReplaceAs(name, []byte("x"), disk.Access{Mode: 0o640, UID: 1, GID: 2}); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if sys := st.Sys().(*syscall.Stat_t); st.Mode() != 0o640 || sys.Uid != 1 || sys.Gid != 2 {
		t.Errorf("mode %v of %d:%d, want 0640 of 1:2", st.Mode(), sys.Uid, sys.Gid)
	}
}

// TestOnlyRegularFilesAreRead: a FIFO would keep the reader for ever, and a link of somebody
// else would have it read what only root may.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	path := func(n string) string { return filepath.Join(dir, n) }
	for _, err := range []error{
		syscall.Mkfifo(path("fifo"), 0o666), os.Symlink("fifo", path("to-fifo")), os.Symlink("file", path("to-file")),
		os.WriteFile(path("file"), []byte("x"), 0o600), os.Mkdir(path("folder"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []string{"fifo", "to-fifo", "folder", "to-file"} {
		if b, err := disk.Read(path(n), 9); err == nil {
			t.Errorf("Read(%s) = %q, want an error", n, b)
		}
	}
	for _, n := range []string{"fifo", "to-fifo", "folder"} {
		if b, err := disk.ReadLinked(path(n), 9); err == nil {
			t.Errorf("ReadLinked(%s) = %q, want an error", n, b)
		}
	}
	if b, err := disk.ReadLinked(path("to-file"), 9); string(b) != "x" || err != nil {
		t.Errorf("ReadLinked(to-file) = %q, %v", b, err)
	}
}
