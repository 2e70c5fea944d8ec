package pluginhost

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/hareconcile/hareconcile/plugins/proto"
)

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)

// find returns the path of a plugin's binary. Nobody but root and the host's own user may
// be able to change the binary or its folder.
func find(dir, name string) (string, error) {
	if !validName.MatchString(name) {
		return "", fmt.Errorf("%q is no name of a plugin", name)
	}
	folder, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("plugin folder: %w", err)
	}
	if !folder.IsDir() {
		return "", fmt.Errorf("plugin folder %s is no folder", dir)
	}
	if err := guarded(dir, folder); err != nil {
		return "", err
	}
	path := filepath.Join(dir, proto.BinaryPrefix+name)
	file, err := os.Lstat(path)
	if err != nil {
		return "", fmt.Errorf("binary: %w", err)
	}
	switch {
	case !file.Mode().IsRegular():
		return "", fmt.Errorf("binary %s is no regular file", path)
	case file.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0:
		return "", fmt.Errorf("binary %s is setuid or setgid", path)
	case file.Mode()&0o111 == 0:
		return "", fmt.Errorf("binary %s is not executable", path)
	}
	return path, guarded(path, file)
}

// guarded returns an error if users other than root and the host's own can write to path.
func guarded(path string, info os.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner != 0 && int(owner) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, want root", path, owner)
	}
	if info.Mode()&0o022 != 0 {
		return fmt.Errorf("%s can be written by its group or by others (mode %04o)", path, info.Mode().Perm())
	}
	return nil
}
