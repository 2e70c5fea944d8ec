package pluginhost

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// TestWhatHappensToTheBinaryMeanwhile replaces, opens up and deletes the binary of a plugin
// that runs: the process goes on, and the next one is started only from a binary that is
// as it should be.
func TestWhatHappensToTheBinaryMeanwhile(t *testing.T) {
	good, err := os.ReadFile(filepath.Join(folder, "hareconcile-plugin-good"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, quiet)
	b.cfg.Dir = filepath.Join(b.dir, "plugins") // read when a tracker is set
	if err := os.Mkdir(b.cfg.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.cfg.Dir, "hareconcile-plugin-good")
	install := func(content []byte) error {
		if err := os.WriteFile(file+".new", content, 0o755); err != nil {
			return err
		}
		return os.Rename(file+".new", file)
	}
	if err := install(good); err != nil {
		t.Fatal(err)
	}
	a := b.track("a", "good")
	a.Hold = 0
	b.Set([]spec.Tracker{a})
	b.await("a", reconcile.Up, "it says up")
	for _, tt := range []struct {
		name, says string
		spoil      func() error
	}{
		{"replaced by garbage", "exec format error", func() error { return install([]byte("garbage")) }},
		{"opened to everybody", "can be written by its group or by others", func() error { return os.Chmod(file, 0o777) }},
		{"not executable", "is not executable", func() error { return os.Chmod(file, 0o644) }},
		{"deleted", "no such file", func() error { return os.Remove(file) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.t = t
			pid := b.pid("good", 0)
			if err := tt.spoil(); err != nil {
				t.Fatal(err)
			}
			for _, v := range []reconcile.Verdict{reconcile.Down, reconcile.Up} { // it still answers
				b.say(string(v))
				b.await("a", v, "it says "+string(v))
			}
			if now := b.pid("good", 0); now != pid {
				t.Fatalf("the process was replaced: %d, then %d", pid, now)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			b.await("a", reconcile.Down, "") // on_unknown
			until(t, "the reason is told", func() bool {
				_, message := b.check(t.Context(), a)
				return strings.Contains(message, tt.says)
			})
			if err := install(good); err != nil {
				t.Fatal(err)
			}
			b.await("a", reconcile.Up, "it says up")
		})
	}
}
