package pluginhost

import (
	"fmt"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// An account is whom a plugin runs as.
type account struct {
	name     string
	uid, gid int
	groups   []uint32 // also the supplementary ones: a plugin may need a group to reach a socket
	switched bool     // it is not the host's own
}

// fallback is used where the configured user does not exist.
const fallback = "nobody"

// accountFor returns the account to run plugins as: the named user's if the host is root,
// the host's own otherwise.
func accountFor(name string) (account, error) {
	if os.Geteuid() != 0 {
		return account{name: strconv.Itoa(os.Geteuid()), uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, n := range []string{name, fallback} {
		u, err := osuser.Lookup(n)
		if err != nil {
			continue
		}
		a, err := fromUser(u)
		if err != nil {
			return account{}, fmt.Errorf("user %s: %w", n, err)
		}
		return a, nil
	}
	return account{}, fmt.Errorf("there is neither a user %q nor %q to run plugins as", name, fallback)
}

func fromUser(u *osuser.User) (account, error) {
	a := account{name: u.Username, switched: true}
	var err error
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return account{}, err
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		return account{}, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return account{}, err
	}
	for _, g := range groups {
		id, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return account{}, err
		}
		a.groups = append(a.groups, uint32(id))
	}
	return a, nil
}

// credential returns what the child changes to, or nil if it stays who the host is.
func (a account) credential() *syscall.Credential {
	if !a.switched {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid), Groups: a.groups}
}

// reaches returns an error if the account may not pass through the folders above path, so
// that a plugin's own failure to listen there does not have to be guessed at.
func (a account) reaches(path string) error {
	if !a.switched || a.uid == 0 {
		return nil
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		pass := info.Mode()&0o001 != 0
		if int(st.Uid) == a.uid {
			pass = info.Mode()&0o100 != 0
		} else if a.inGroup(st.Gid) {
			pass = info.Mode()&0o010 != 0
		}
		if !pass {
			return fmt.Errorf("user %s may not pass through %s (mode %04o)", a.name, dir, info.Mode().Perm())
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (a account) inGroup(gid uint32) bool {
	if int(gid) == a.gid {
		return true
	}
	for _, g := range a.groups {
		if g == gid {
			return true
		}
	}
	return false
}
