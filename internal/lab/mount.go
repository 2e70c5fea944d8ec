package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The folders of a host that are its own are tmpfs. The rest is the real file system, which
// nothing in a lab can write.

// private keeps the calling thread's mounts from anybody else.
func private() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}

func mount(what, where, fstype, data string) error {
	if err := unix.Mount(what, where, fstype, 0, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", fstype, where, err)
	}
	return nil
}

// bind shows the folder that fd has open, even one that is covered by now, at where.
func bind(fd int, where string) error {
	if err := os.MkdirAll(where, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/thread-self/fd/%d", fd), where, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", where, err)
	}
	return nil
}

// freshRun gives the thread an empty /run in which only the folder keep is what it was.
func freshRun(keep string) error {
	fd, err := unix.Open(keep, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", keep, err)
	}
	defer unix.Close(fd)
	if err := mount("tmpfs", "/run", "tmpfs", "mode=755"); err != nil {
		return err
	}
	for _, dir := range []string{"/run/lock", "/run/tmp"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod("/run/tmp", 0o777|os.ModeSticky); err != nil {
		return err
	}
	return bind(fd, keep)
}

// readOnly makes a mount one that cannot be written.
func readOnly(where string) error {
	if err := unix.Mount("", where, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", where, err)
	}
	return nil
}

// ownRoots are the folders below which a host can have what the machine has not.
var ownRoots = []string{"/etc", "/run", "/var/lib"}

// ownable reports whether a host can have a folder of its own at path.
func ownable(path string) bool {
	return slices.ContainsFunc(ownRoots, func(root string) bool { return strings.HasPrefix(path, root+"/") })
}

// own returns the names in the folder root that the host's files and folders are at or below.
func (h hostPlan) own(root string) []string {
	paths := slices.Clone(h.Folders)
	for _, f := range h.Files {
		paths = append(paths, f.Path)
	}
	var out []string
	for _, p := range paths {
		if rest, ok := strings.CutPrefix(p, root+"/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			out = append(out, name)
		}
	}
	return out
}

// realPath is where a host finds what the machine has at path, once ownFolder covered that.
func realPath(path string) string { return filepath.Join("/run/lab/real", path) }

// ownFolder replaces dir by a folder of links to what is in it, so that names can be added
// to it, and those in own be left out, where the real one cannot be written.
func ownFolder(dir string, own ...string) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(fd)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	links := map[string]string{}
	real := realPath(dir)
	for _, e := range entries {
		links[e.Name()] = filepath.Join(real, e.Name())
		if e.Type()&os.ModeSymlink != 0 { // a relative one would lead elsewhere from there
			if links[e.Name()], err = os.Readlink(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for _, name := range own {
		delete(links, name)
	}
	if err := bind(fd, real); err != nil {
		return err
	}
	if err := mount("tmpfs", dir, "tmpfs", "mode=755"); err != nil {
		return err
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// isolate prepares the mounts of the lab's first process on a real host: everything that is
// not the lab's folder becomes read-only, and /proc shows the lab's own processes.
func isolate(dir string, uml bool) error {
	if err := private(); err != nil {
		return err
	}
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", dir, err)
	}
	ro := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &ro); err != nil {
		return fmt.Errorf("make the file system read-only: %w", err)
	}
	rw := unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, dir, 0, &rw); err != nil {
		return fmt.Errorf("make %s writable: %w", dir, err)
	}
	if err := mount("proc", "/proc", "proc", ""); err != nil {
		return err
	}
	if err := mount("tmpfs", "/dev/shm", "tmpfs", ""); err != nil {
		return err
	}
	if uml {
		// The guest's memory is a file here; a distribution's /run is too small for it.
		if err := mount("tmpfs", filepath.Join(dir, guestFolder), "tmpfs", "mode=700,size=3G"); err != nil {
			return err
		}
	}
	return freshRun(dir)
}
