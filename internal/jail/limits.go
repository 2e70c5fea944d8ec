package jail

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits are what a child may use. The zero value of a number means the default below.
type Limits struct {
	Data uint64        // bytes of memory (RLIMIT_DATA); default 512 MiB
	CPU  time.Duration // processor time (RLIMIT_CPU), in whole seconds; default 10s
	Wall time.Duration // time on the clock; default 20s
	// Network leaves the child in the caller's network namespace. Without it, it gets an
	// empty one.
	Network bool
	// Files lets the child write files and keep the caller's user id, so that it can reach
	// what the caller owns, though without any capability. Without it, a child of root runs
	// as nobody and cannot write a single byte to a file.
	Files bool
	// Dir, if set, is opened before privileges are dropped and becomes the child's working
	// directory, so that nobody can read below it whatever the folders above it allow.
	Dir string
	// Log takes what could not be locked away, at debug level; nil discards it.
	Log *slog.Logger
}

const (
	defaultData = 512 << 20
	defaultCPU  = 10 * time.Second
	defaultWall = 20 * time.Second

	maxMessage  = 64 << 20 // bytes of JSON in either direction
	maxStack    = 64 << 20 // bytes of one goroutine's stack; Go's own default is 1 GB
	maxFileSize = 1 << 30  // bytes of one file, where files may be written
	nobody      = 65534
	limitsEnv   = "HARECONCILE_JAIL"
)

// limits is the part of Limits that the child imposes on itself.
type limits struct {
	Data  uint64        `json:"data"`
	CPU   time.Duration `json:"cpu"`
	Wall  time.Duration `json:"wall"`
	Files bool          `json:"files"`
	Dir   bool          `json:"dir"` // descriptor 3 is the working directory
}

func (l Limits) withDefaults() Limits {
	if l.Data == 0 {
		l.Data = defaultData
	}
	if l.CPU == 0 {
		l.CPU = defaultCPU
	}
	if l.Wall == 0 {
		l.Wall = defaultWall
	}
	if l.Log == nil {
		l.Log = slog.New(slog.DiscardHandler)
	}
	return l
}

func (l Limits) env() string {
	b, err := json.Marshal(limits{Data: l.Data, CPU: l.CPU, Wall: l.Wall, Files: l.Files, Dir: l.Dir != ""})
	if err != nil {
		panic(err) // three numbers and two booleans
	}
	return limitsEnv + "=" + string(b)
}

// impose applies l to this process, for good.
func (l limits) impose() error {
	if l.Dir {
		if err := unix.Fchdir(3); err != nil {
			return fmt.Errorf("enter the working directory: %w", err)
		}
		if err := unix.Close(3); err != nil {
			return err
		}
	}
	syscall.Umask(0o022) // what fetch writes is read by verify as nobody; the folder above is closed
	files, size := uint64(64), uint64(0)
	if l.Files {
		files, size = 256, maxFileSize
	}
	seconds := uint64((l.CPU + time.Second - 1) / time.Second)
	rlimits := []struct {
		name     string
		resource int
		cur, max uint64
	}{
		{"RLIMIT_CORE", unix.RLIMIT_CORE, 0, 0},
		{"RLIMIT_NOFILE", unix.RLIMIT_NOFILE, files, files},
		{"RLIMIT_FSIZE", unix.RLIMIT_FSIZE, size, size},
		{"RLIMIT_CPU", unix.RLIMIT_CPU, seconds, seconds + 1},
		{"RLIMIT_DATA", unix.RLIMIT_DATA, l.Data, l.Data},
	}
	for _, r := range rlimits {
		if r.resource == unix.RLIMIT_DATA && raceEnabled {
			watchMemory(l.Data)
			continue
		}
		if err := lower(r.resource, r.cur, r.max); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	debug.SetMaxStack(maxStack)
	debug.SetMemoryLimit(int64(l.Data / 4 * 3)) // collect harder before the kernel says no
	debug.SetGCPercent(garbage)
	return nil
}

// garbage is how much of it a child may have, in percent of what it uses: it ends soon, and
// collecting took a quarter of its time.
const garbage = 400

// lower sets a limit, but never above what is already in force.
func lower(resource int, cur, hard uint64) error {
	var old unix.Rlimit
	if err := unix.Getrlimit(resource, &old); err != nil {
		return err
	}
	return syscall.Setrlimit(resource, &syscall.Rlimit{Cur: min(cur, old.Max), Max: min(hard, old.Max)})
}
