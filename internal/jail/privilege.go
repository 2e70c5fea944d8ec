package jail

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A rung is one set of rights to start a child with; lost says what the next one gives up.
type rung struct {
	attr syscall.SysProcAttr
	lost string
}

// ladder returns what to try, strictest first.
func ladder(l Limits) []rung {
	base := syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	users := []rung{{attr: base}}
	if os.Geteuid() == 0 && !l.Files {
		as := base
		as.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		users = []rung{{attr: as, lost: "the user id nobody"}, {attr: base}}
	}
	if l.Network {
		return users
	}
	var out []rung
	for _, u := range users {
		u.attr.Cloneflags = syscall.CLONE_NEWNET
		if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
			u.attr.Cloneflags |= syscall.CLONE_NEWUSER
			u.attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
			u.attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		}
		if u.lost == "" {
			u.lost = "an empty network namespace"
		}
		out = append(out, u)
	}
	return append(out, users...)
}

// stripThread takes from this thread what its children must never get back: it empties the
// capability bounding set, which empties root's capabilities at exec (capabilities(7)), and
// sets no_new_privs.
func stripThread() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil // has none to lose
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	if err := clearInheritable(); err != nil {
		return fmt.Errorf("clear inheritable capabilities: %w", err)
	}
	for c := uintptr(0); c < 64; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if err == unix.EINVAL {
			return nil // past the kernel's last capability
		}
		if err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}

func clearInheritable() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return err
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	return unix.Capset(&head, &data[0])
}
