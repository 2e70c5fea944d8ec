package spawn

import (
	"fmt"
	"os"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// An Account is whom a program runs as.
type Account struct {
	name     string
	UID, GID int
	groups   []uint32 // also the supplementary ones: a plugin may need a group to reach a socket
	switched bool     // it is not this process's own
}

// fallback is used where the configured user does not exist.
const fallback = "nobody"

// AccountFor returns the account to run programs as: the named user's, or else nobody's, if
// this process is root, and its own otherwise.
func AccountFor(name string) (Account, error) {
	if os.Geteuid() != 0 {
		return Account{name: strconv.Itoa(os.Geteuid()), UID: os.Geteuid(), GID: os.Getegid()}, nil
	}
	for _, n := range []string{name, fallback} {
		u, err := osuser.Lookup(n)
		if err != nil {
			continue
		}
		a, err := fromUser(u)
		if err != nil {
			return Account{}, fmt.Errorf("user %s: %w", n, err)
		}
		return a, nil
	}
	return Account{}, fmt.Errorf("there is neither a user %q nor %q to run programs as", name, fallback)
}

func fromUser(u *osuser.User) (Account, error) {
	a := Account{name: u.Username, switched: true}
	var err error
	if a.UID, err = strconv.Atoi(u.Uid); err != nil {
		return Account{}, err
	}
	if a.GID, err = strconv.Atoi(u.Gid); err != nil {
		return Account{}, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return Account{}, err
	}
	for _, g := range groups {
		id, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return Account{}, err
		}
		a.groups = append(a.groups, uint32(id))
	}
	return a, nil
}

// Credential returns what the child changes to, or nil if it stays who this process is.
func (a Account) Credential() *syscall.Credential {
	if !a.switched {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID), Groups: a.groups}
}

// Reaches returns an error if the account may not pass through the folders above path, so
// that a plugin's own failure to listen there does not have to be guessed at.
func (a Account) Reaches(path string) error {
	if !a.switched || a.UID == 0 {
		return nil
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		pass := info.Mode()&0o001 != 0
		if int(st.Uid) == a.UID {
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

func (a Account) inGroup(gid uint32) bool {
	return int(gid) == a.GID || slices.Contains(a.groups, gid)
}
