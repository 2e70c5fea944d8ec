package spawn

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Guarded returns an error if users other than root and this process's own can write to path.
func Guarded(path string, info os.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner != 0 && int(owner) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, want root", path, owner)
	}
	if info.Mode()&0o022 != 0 {
		return fmt.Errorf("%s can be written by its group or by others (mode %04o)", path, info.Mode().Perm())
	}
	return nil
}

// Program returns where path leads through links, if nobody but root and this process's own
// user can make another program of it: every folder and link on the way and the file itself
// are theirs. A file that changes its user when it is run is refused.
func Program(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%s is no absolute path", path)
	}
	resolved, info, err := resolve(path)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is no regular file", path)
	case info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0:
		return "", fmt.Errorf("%s is setuid or setgid", path)
	case info.Mode()&0o111 == 0:
		return "", fmt.Errorf("%s is not executable", path)
	}
	return resolved, nil
}

// maxLinks is how many links the kernel follows in one path (path_resolution(7)).
const maxLinks = 40

// resolve follows path as the kernel does, and looks at each step who may change it.
func resolve(path string) (resolved string, info os.FileInfo, err error) {
	resolved = "/"
	rest := strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			resolved = filepath.Dir(resolved)
			continue
		}
		next := filepath.Join(resolved, name)
		if info, err = os.Lstat(next); err == nil {
			err = owned(next, info)
		}
		if err != nil {
			return "", nil, err
		}
		if info.Mode().Type() != os.ModeSymlink {
			resolved = next
			continue
		}
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return "", nil, fmt.Errorf("link %s leads nowhere", next)
		}
		if filepath.IsAbs(target) {
			resolved = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	info, err = os.Lstat(resolved)
	return resolved, info, err
}

// owned is Guarded for what may be on the way to a program. Nobody can write to a link, and
// in a folder with the sticky bit nobody can replace what is another's (inode(7)).
func owned(path string, info os.FileInfo) error {
	if info.Mode().Type() != os.ModeSymlink && (!info.IsDir() || info.Mode()&os.ModeSticky == 0) {
		return Guarded(path, info)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, want root", path, owner)
	}
	return nil
}
