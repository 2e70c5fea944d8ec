// Package successor lets another program go on as this process: the same process id, with
// the sockets, the lock and the state of its predecessor.
package successor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
)

// Version is the version of Legacy. A program refuses others.
const Version = 1

// maxLegacy bounds the text of a Legacy in bytes.
const maxLegacy = 64 << 20

// A Legacy is what a process leaves to the program that goes on in its place.
type Legacy struct {
	Version  int             `json:"version"`
	State    json.RawMessage `json:"state"`    // as in the state file
	Lock     int             `json:"lock"`     // file descriptor of the lock, which is held
	Listener int             `json:"listener"` // file descriptor of the channel's listener; -1 is none
	Sockets  wire.Handed     `json:"sockets"`
	Stopped  time.Duration   `json:"stopped"` // since boot, when the last loop ended
	// Realtime says that the process asked for SCHED_RR, which outlives the program.
	Realtime bool `json:"realtime"`
}

// ErrVersion means that a legacy was written by a program too different from this one.
var ErrVersion = errors.New("unknown version")

// Read reads a legacy.
func Read(r io.Reader) (*Legacy, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxLegacy))
	if err != nil {
		return nil, fmt.Errorf("read legacy: %w", err)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("read legacy: %w", err)
	}
	if head.Version != Version {
		return nil, fmt.Errorf("read legacy: %w %d, want %d", ErrVersion, head.Version, Version)
	}
	l := &Legacy{Lock: -1, Listener: -1, Sockets: wire.Handed{Frames: -1}}
	if err := json.Unmarshal(b, l); err != nil {
		return nil, fmt.Errorf("read legacy: %w", err)
	}
	return l, nil
}

// envName names the variable that tells a successor the file descriptor of its legacy.
const envName = "HARECONCILE_VRRPD_LEGACY"

// Inherit returns what a predecessor left to this process, nil if there is none. It marks
// files to be closed on exec again; sockets are left to wire.Inherit.
func Inherit() (*Legacy, error) {
	text := os.Getenv(envName)
	if text == "" {
		return nil, nil
	}
	if err := os.Unsetenv(envName); err != nil {
		return nil, fmt.Errorf("inherit: %w", err)
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("inherit: %s=%q: %w", envName, text, err)
	}
	// Only memory that nobody can write any more is a legacy.
	if seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || seals&unix.F_SEAL_WRITE == 0 {
		return nil, fmt.Errorf("inherit: file %d is no legacy (%v)", fd, err)
	}
	f := os.NewFile(uintptr(fd), "legacy")
	defer f.Close()
	l, err := Read(io.NewSectionReader(f, 0, maxLegacy))
	if err != nil {
		return nil, err
	}
	for _, fd := range []int{l.Lock, l.Listener} {
		if fd >= 0 {
			unix.CloseOnExec(fd)
		}
	}
	return l, nil
}

// files are the file descriptors that have to stay open.
func (l *Legacy) files() []int {
	fds := []int{l.Lock}
	if l.Listener >= 0 {
		fds = append(fds, l.Listener)
	}
	for _, fd := range l.Sockets.All() {
		if fd >= 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

// write puts a legacy into sealed memory.
func (l *Legacy) write() (*os.File, error) {
	l.Version = Version
	b, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode legacy: %w", err)
	}
	fd, err := unix.MemfdCreate("legacy", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make memory for the legacy: %w", err)
	}
	f := os.NewFile(uintptr(fd), "legacy")
	if _, err = f.Write(b); err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write legacy: %w", err)
	}
	return f, nil
}
