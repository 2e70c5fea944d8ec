package uml

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// moduleRoot is where modprobe finds the guest kernel's modules: a folder of the guest's
// /run, because the host may have no /lib/modules to mount over.
const moduleRoot = "/run/uml"

// InGuest reports whether this process is the first one of a guest.
func InGuest() bool { return os.Getpid() == 1 && os.Getenv(bootEnv) != "" }

// GuestSetup makes the guest usable; it is the first step of its first process. It mounts
// the kernel's file systems, a fresh /run and the shared folders, loads modules, brings lo
// up, and applies the Config's environment and folder. /tmp stays the host's and cannot be
// written: TMPDIR names a folder that can.
func GuestSetup(modules ...string) error {
	b, err := readBoot()
	if err != nil {
		return err
	}
	if b.Dir != "" {
		if err := os.Chdir(b.Dir); err != nil {
			return fmt.Errorf("enter the guest's working folder: %w", err)
		}
	}
	if err := mountAll(b.Mounts); err != nil {
		return err
	}
	if err := setEnv(b.Env); err != nil {
		return err
	}
	if err := linkModules(); err != nil {
		return err
	}
	for _, m := range modules {
		if err := run("modprobe", "-d", moduleRoot, m); err != nil {
			return err
		}
	}
	return run("ip", "link", "set", "lo", "up")
}

// Halt stops the guest. It does not return.
func Halt() {
	syscall.Sync()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	os.Exit(1) // only reached outside a guest
}

func readBoot() (boot, error) {
	var b boot
	raw, err := os.ReadFile(os.Getenv(bootEnv))
	if err != nil {
		return b, fmt.Errorf("read the guest's boot file: %w", err)
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return b, fmt.Errorf("read the guest's boot file: %w", err)
	}
	return b, nil
}

// mountAll mounts what a distribution's init would, and the shared folders.
func mountAll(shared []Mount) error {
	type entry struct{ what, fstype, where, data string }
	list := []entry{
		{"proc", "proc", "/proc", ""},
		{"sysfs", "sysfs", "/sys", ""},
		{"devtmpfs", "devtmpfs", "/dev", ""},
		{"devpts", "devpts", "/dev/pts", "mode=620,ptmxmode=666"},
		{"tmpfs", "tmpfs", "/dev/shm", ""},
		{"tmpfs", "tmpfs", "/run", "mode=755"},
	}
	for _, m := range shared {
		list = append(list, entry{"none", "hostfs", m.Guest, m.Host})
	}
	for _, e := range list {
		// Below a file system that cannot be written the mount itself tells what is missing.
		_ = os.MkdirAll(e.where, 0o755)
		err := syscall.Mount(e.what, e.where, e.fstype, 0, e.data)
		if err != nil && !(errors.Is(err, syscall.EBUSY) && e.fstype == e.what) {
			return fmt.Errorf("mount %s on %s in the guest: %w", e.fstype, e.where, err)
		}
	}
	for name, target := range map[string]string{
		"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0",
		"/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, name); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("link %s in the guest: %w", name, err)
		}
	}
	for _, dir := range []string{"/run/lock", "/run/netns", "/run/tmp"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make %s in the guest: %w", dir, err)
		}
	}
	return nil
}

// setEnv gives the process a usable environment: the kernel's own has no PATH.
func setEnv(env []string) error {
	base := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "TMPDIR=/run/tmp",
	}
	for _, kv := range append(base, env...) {
		k, v, _ := strings.Cut(kv, "=")
		if err := os.Setenv(k, v); err != nil {
			return fmt.Errorf("set %s in the guest: %w", k, err)
		}
	}
	return nil
}

// linkModules shows modprobe, and the kernel's own requests for modules, where they are.
func linkModules() error {
	raw, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return fmt.Errorf("read the guest's release: %w", err)
	}
	release := strings.TrimSpace(string(raw))
	dir := filepath.Join(moduleRoot, "lib/modules")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the guest's module folder: %w", err)
	}
	modules := filepath.Join("/usr/lib/uml/modules", release)
	if err := os.Symlink(modules, filepath.Join(dir, release)); err != nil {
		return fmt.Errorf("link the guest's modules: %w", err)
	}
	helper := filepath.Join(moduleRoot, "modprobe")
	script := "#!/bin/sh\nexec modprobe -d " + moduleRoot + " \"$@\"\n"
	if err := os.WriteFile(helper, []byte(script), 0o755); err != nil {
		return fmt.Errorf("write the guest's module helper: %w", err)
	}
	if err := os.WriteFile("/proc/sys/kernel/modprobe", []byte(helper), 0o644); err != nil {
		return fmt.Errorf("set the guest's module helper: %w", err)
	}
	return nil
}

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s in the guest: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
