package compile

import (
	"bytes"
	"errors"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hareconcile/hareconcile/internal/gitsource/gittest"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/revision"
)

// ownMounts is set where the test may mount what it likes.
const ownMounts = "COMPILE_TEST_OWN_MOUNTS"

// TestADiskThatIsFullOrReadOnly has data_dir on a small file system. Whatever cannot be
// written keeps what is there, is no refusal of the commit, and is made good by itself.
func TestADiskThatIsFullOrReadOnly(t *testing.T) {
	if os.Getenv(ownMounts) == "" {
		nstest.Need(t, "root")
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), ownMounts+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	r := gittest.New(t)
	cfg := config(t, r, r.CommitFile(file, cluster(1)))
	mount := func(flags uintptr, data string) {
		t.Helper()
		if err := syscall.Mount("tmpfs", cfg.DataDir, "tmpfs", flags, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(0, "size=1m,mode=0700")
	t.Cleanup(func() { _ = syscall.Unmount(cfg.DataDir, syscall.MNT_DETACH) })
	p, store := newPipeline(cfg), revision.NewStore(cfg.DataDir)
	one := next(t, p, nil)
	if err := store.SaveGood(one); err != nil {
		t.Fatal(err)
	}
	stays := func(when string) {
		t.Helper()
		for range 2 {
			rev, err := p.Next(t.Context(), one)
			var no *revision.Refused
			if rev != nil || err == nil || errors.As(err, &no) {
				t.Errorf("Next %s = %v, %v, want an error that is no refusal", when, rev, err)
			}
			t.Logf("%s: %v", when, err)
		}
		big := *one
		big.Policies = map[string][]byte{"big": make([]byte, 2<<20)}
		if err := store.SaveGood(&big); err == nil {
			t.Errorf("SaveGood %s succeeded", when)
		}
		if kept, err := store.LoadGood(); err != nil || kept.Commit != one.Commit {
			t.Errorf("LoadGood %s = %v, %v, want %s", when, kept, err, one.Commit)
		}
	}
	noise := make([]byte, 3<<20)
	rand.New(rand.NewSource(1)).Read(noise)
	r.Write("noise", string(noise))
	r.Commit("Add what has no room")
	stays("on a full disk")
	if err := store.SaveGood(one); err != nil {
		t.Errorf("a fetch that failed keeps the disk full: %v", err)
	}
	r.Git("reset", "-q", "--hard", one.Commit)
	two := next(t, p, one)
	if two != nil {
		t.Errorf("Next once there is room = %v, want nothing new", two)
	}

	mount(syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	second := r.CommitFile(file, cluster(2))
	stays("on a read-only disk")
	mount(syscall.MS_REMOUNT, "size=1m")
	if two := next(t, p, one); two == nil || two.Commit != second {
		t.Errorf("Next on a disk that is well = %+v, want %s", two, second)
	}
	left := []string{}
	_ = filepath.WalkDir(cfg.DataDir, func(path string, _ os.DirEntry, _ error) error {
		if base := filepath.Base(path); strings.HasPrefix(base, "tmp_") || strings.HasPrefix(base, "good.json.") ||
			strings.HasSuffix(base, ".new") || strings.HasSuffix(base, ".old") {
			left = append(left, path)
		}
		return nil
	})
	if len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}
