package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hareconcile/hareconcile/internal/disk"
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

// TestAFailureLeavesTheOldFile cannot make the new one, since a folder has its name.
func TestAFailureLeavesTheOldFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := disk.Replace(name, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.Replace(name, []byte("new")); err == nil {
		t.Error("Replace succeeded over a folder")
	}
	if b, _ := disk.Read(name, 9); string(b) != "old" {
		t.Errorf("the file is %q, want the old one", b)
	}
}
