package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// outputLine is the guest's end of the line on which its program's output leaves.
const outputLine = "/dev/ttyS1"

// InGuest reports whether this process is the first one of a guest.
func InGuest() bool {
	_, err := os.Stat(bootFile)
	return os.Getpid() == 1 && err == nil
}

// Main is what the first process of a guest does: it mounts file systems, loads modules,
// runs itself once more with the Config's arguments, and halts the guest.
func Main() {
	status, err := first()
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	if out, err := os.OpenFile(outputLine, os.O_WRONLY, 0); err == nil {
		fmt.Fprintf(out, "\n%s%d\n", statusLine, status)
		_ = out.Close() // waits until everything is sent
	}
	syscall.Sync()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART) // QEMU runs with -no-reboot
	select {}                                            // a first process must not end
}

func first() (status int, err error) {
	b, err := os.ReadFile(bootFile)
	if err != nil {
		return 1, err
	}
	var c boot
	if err := json.Unmarshal(b, &c); err != nil {
		return 1, err
	}
	if err := setup(c); err != nil {
		return 1, err
	}
	out, err := os.OpenFile(outputLine, os.O_WRONLY, 0)
	if err != nil {
		return 1, err
	}
	defer out.Close()
	cmd := exec.Command("/init", c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	return await(cmd.Process.Pid)
}

// await waits for a child and meanwhile buries what other processes left behind.
func await(pid int) (status int, err error) {
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 1, err
		case got == pid && ws.Exited():
			return ws.ExitStatus(), nil
		case got == pid:
			return 1, fmt.Errorf("the program was ended by %v", ws.Signal())
		}
	}
}

func setup(c boot) error {
	for _, kv := range []string{"PATH=/usr/sbin:/usr/bin", "HOME=/root", "TMPDIR=/tmp", "LANG=C"} {
		k, v, _ := strings.Cut(kv, "=")
		if err := os.Setenv(k, v); err != nil {
			return err
		}
	}
	for _, m := range []struct{ fstype, where string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"}, {"tmpfs", "/dev/shm"},
	} {
		_ = os.MkdirAll(m.where, 0o755)
		if err := syscall.Mount(m.fstype, m.where, m.fstype, 0, ""); err != nil && !errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("mount %s on %s: %w", m.fstype, m.where, err)
		}
	}
	if err := os.Symlink("/proc/self/fd", "/dev/fd"); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Mkdir("/run/netns", 0o755); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte("guest")); err != nil {
		return err
	}
	for _, m := range c.Modules {
		if err := run("modprobe", m); err != nil {
			return err
		}
	}
	return run("ip", "link", "set", "lo", "up")
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
