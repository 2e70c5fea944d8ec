package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Cgroups is where the kernel shows control groups; anybody may read who is in one.
const Cgroups = "/sys/fs/cgroup"

// ErrNone is what the error is of a unit that has no such process.
var ErrNone = errors.New("no such process is part of it")

// maxMembers bounds what is read of a list of processes.
const maxMembers = 64 << 10 // bytes

// Unit returns the main process of a systemd service in system.slice: the one that is as it
// should be and whose parent is not. That takes neither D-Bus nor privileges.
func Unit(cgroups, name string, is func(Stat) bool) (int, error) {
	members, err := unitMembers(cgroups, name)
	if err != nil {
		return 0, fmt.Errorf("read the processes of %s: %w", name, err)
	}
	for _, pid := range members {
		s, err := Look(pid)
		if err == nil && is(s) && !slices.Contains(members, s.Parent) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("look at %s: %w", name, ErrNone)
}

// unitMembers reads the list of a unit, in each of the places where systemd keeps its groups.
func unitMembers(cgroups, name string) ([]int, error) {
	err := fs.ErrNotExist
	for _, hierarchy := range []string{"", "unified", "systemd"} {
		var f *os.File
		if f, err = os.Open(filepath.Join(cgroups, hierarchy, "system.slice", name, "cgroup.procs")); err != nil {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(f, maxMembers))
		_ = f.Close() // it was only read
		if err != nil {
			return nil, err
		}
		b = b[:bytes.LastIndexByte(b, '\n')+1] // a pid at the bound may be cut off
		return numbers(string(b)), nil
	}
	return nil, err
}
