package pluginhost

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/hareconcile/hareconcile/internal/spawn"
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
	if err := spawn.Guarded(dir, folder); err != nil {
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
	return path, spawn.Guarded(path, file)
}
