package compile

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/gitsource"
)

// maxKeys bounds a file of keys, in bytes.
const maxKeys = 1 << 20

// trust reads who has to have signed commits; nil where no signature is asked for. The files
// are read each time, so that a key that is taken out counts no more.
func (p *Pipeline) trust() (*gitsource.Verification, error) {
	if p.cfg.SignersFile == "" && len(p.cfg.Keys) == 0 {
		return nil, nil
	}
	v := &gitsource.Verification{Now: time.Now()}
	if p.cfg.SignersFile != "" {
		b, err := keys(p.cfg.SignersFile)
		if err != nil {
			return nil, err
		}
		v.Allowed = b
	}
	for _, name := range p.cfg.Keys {
		b, err := keys(name)
		if err != nil {
			return nil, err
		}
		v.Keys = append(v.Keys, b)
	}
	return v, nil
}

// keys reads a file that nobody but its owner, who is root or this user, may write: whoever
// writes it decides what this host runs.
func keys(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read whose commits count: %w", err)
	}
	owner := st.Sys().(*syscall.Stat_t).Uid
	if st.Mode().Perm()&0o022 != 0 || owner != 0 && int(owner) != os.Geteuid() {
		return nil, fmt.Errorf("%s says whose commits count, and others than root may write it (mode %04o, user %d): chown root it, and chmod go-w it", name, st.Mode().Perm(), owner)
	}
	b, err := disk.ReadLinked(name, maxKeys)
	if err != nil {
		return nil, fmt.Errorf("read whose commits count: %w", err)
	}
	return b, nil
}
