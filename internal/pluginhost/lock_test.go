package pluginhost

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// ownFolder gives the bench a folder of plugins of its own, with the good one in it.
func (b *bench) ownFolder() (file string, good []byte) {
	b.t.Helper()
	good, err := os.ReadFile(filepath.Join(folder, "hareconcile-plugin-good"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.cfg.Dir = filepath.Join(b.dir, "plugins") // read when a tracker is set
	if err := os.Mkdir(b.cfg.Dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	file = filepath.Join(b.cfg.Dir, "hareconcile-plugin-good")
	b.install(file, good)
	return file, good
}

// install puts another file in the place of one.
func (b *bench) install(file string, content []byte) {
	b.t.Helper()
	if err := os.WriteFile(file+".new", content, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		b.t.Fatal(err)
	}
}

func hashOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// lockOf is a lock file with an entry for the good plugin.
func lockOf(p spec.LockedPlugin) *spec.Lock {
	return &spec.Lock{Plugins: map[string]spec.LockedPlugin{"good": p}}
}

func TestLockedPlugins(t *testing.T) {
	good, err := os.ReadFile(filepath.Join(folder, "hareconcile-plugin-good"))
	if err != nil {
		t.Fatal(err)
	}
	right := map[string]string{Platform: hashOf(good)}
	for _, tt := range []struct {
		name string
		lock *spec.Lock
		says string
	}{
		{"the hash and the version are right", lockOf(spec.LockedPlugin{Version: "1", Hashes: right, AutoMTLS: true}), "it says up"},
		{"without certificates", lockOf(spec.LockedPlugin{Version: "1", Hashes: right}), "it says up"},
		{"no entry", &spec.Lock{}, "it says up"},
		{"another hash", lockOf(spec.LockedPlugin{Version: "1", Hashes: map[string]string{Platform: hashOf(nil)}, AutoMTLS: true}), "not the one in the lock file"},
		{"a hash of another platform", lockOf(spec.LockedPlugin{Version: "1", Hashes: map[string]string{"plan9_mips": hashOf(good)}, AutoMTLS: true}), "no hash of it for " + Platform},
		{"another version", lockOf(spec.LockedPlugin{Version: "2", Hashes: right, AutoMTLS: true}), "it is version 1, and the lock file says 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, quiet)
			b.Host.Set([]spec.Tracker{b.track("a", "good")}, tt.lock)
			until(t, "the report says "+tt.says, func() bool { return strings.Contains(b.report("a").Detail, tt.says) })
			if tt.says == "it says up" {
				b.await("a", reconcile.Up, tt.says)
				env := read(t, b.pid("good", 0), "environ")
				locked, ok := tt.lock.Plugins["good"]
				if want := !ok || locked.AutoMTLS; strings.Contains(env, "PLUGIN_CLIENT_CERT=") != want {
					t.Errorf("certificates: %t, want %t", !want, want)
				}
			}
		})
	}
}

// TestSwappedBinaryNeverRuns starts a plugin again and again while somebody renames an evil
// binary into its place and back.
func TestSwappedBinaryNeverRuns(t *testing.T) {
	b := newBench(t, quiet)
	file, good := b.ownFolder()
	witness := filepath.Join(b.dir, "witness")
	if err := os.Mkdir(witness, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(witness, 0o777); err != nil {
		t.Fatal(err)
	}
	evil := file + ".evil"
	script := "#!/bin/sh\n: > " + witness + "/ran\n"
	if err := os.WriteFile(evil, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	sp := newSpawner()
	var all sync.WaitGroup
	all.Go(sp.run)
	defer func() { close(sp.requests); all.Wait() }()
	b.Host.Set(nil, lockOf(spec.LockedPlugin{Version: "1", Hashes: map[string]string{Platform: hashOf(good)}, AutoMTLS: true}))
	b.starts = newBucket(1000, 1000)
	s := &supervisor{name: "good", host: b.Host, spawner: sp, sink: newSink(quiet)}
	over := make(chan struct{})
	var renamer sync.WaitGroup
	renamer.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C: // an exchange: one of the two is always there (renameat2(2))
				_ = exchange(file, evil)
			}
		}
	})
	ran, refused := 0, 0
	for range nstest.Trials(20, 200) {
		ses, err := s.start(t.Context())
		switch {
		case err == nil:
			ran++
			ses.close()
		case strings.Contains(err.Error(), "not the one in the lock file"):
			refused++
		default:
			t.Errorf("start: %v", err)
		}
	}
	close(over)
	renamer.Wait()
	t.Logf("%d starts of the good one, %d of the evil one refused", ran, refused)
	if _, err := os.Stat(filepath.Join(witness, "ran")); err == nil || ran == 0 || refused == 0 {
		t.Errorf("the evil binary ran: %t, %d ran, %d refused; want both, and the evil one never", err == nil, ran, refused)
	}
}

func TestLimits(t *testing.T) {
	b := newBench(t, quiet)
	b.Set([]spec.Tracker{b.track("a", "good")})
	b.await("a", reconcile.Up, "")
	pid := b.pid("good", 0)
	limits := read(t, pid, "limits")
	for name, want := range map[string]string{"Max data size": "134217728", "Max core file size": "0", "Max open files": "1024"} {
		found := false
		for line := range strings.Lines(limits) {
			if rest, ok := strings.CutPrefix(line, name); ok {
				f := strings.Fields(rest)
				found = f[0] == want && f[1] == want
			}
		}
		if !found {
			t.Errorf("%s is not %s:\n%s", name, want, limits)
		}
	}
	if cmdline := read(t, pid, "cmdline"); cmdline != filepath.Join(folder, "hareconcile-plugin-good")+"\x00" {
		t.Errorf("command line %q, want the plugin's path alone", cmdline)
	}
	if pgid, err := syscall.Getpgid(pid); err != nil || pgid != pid {
		t.Errorf("process group %d, %v, want its own", pgid, err)
	}
	if status := read(t, pid, "status"); !strings.Contains(status, "CapBnd:\t0000000000000000\n") && os.Geteuid() == 0 {
		t.Errorf("it could get capabilities:\n%s", status)
	}
}

func TestMemoryHogIsKilledAndUnknown(t *testing.T) {
	b := newBench(t, quiet)
	b.Set([]spec.Tracker{b.track("a", "hog")})
	until(t, "the hog has ended", func() bool {
		r := b.report("a")
		return r.Status == "unknown" && r.Code == CodePlugin && strings.Contains(r.Detail, "exit status 2")
	})
}
