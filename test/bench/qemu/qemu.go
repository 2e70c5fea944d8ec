// Package qemu runs this very program in a kernel that has IPVS, on two emulated processors.
// User-Mode Linux boots as quickly, but makes system calls dear beside computing; here
// everything is slower by the same factor, so ratios are those of a real machine.
package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Program is the emulator that Debian's package qemu-system-x86 installs.
const Program = "qemu-system-x86_64"

// A Config describes one guest.
type Config struct {
	// Self is this program as a static binary. It becomes the guest's first process, whose
	// main calls Main, and then the one that runs with Args.
	Self string
	Args []string
	// Programs are packed with their shared libraries; names are looked up in PATH.
	Programs []string
	// Files are other files of the host by their path in the guest.
	Files map[string]string
	// Modules are loaded, after those that they need.
	Modules []string
	// Env is added to the environment of Args.
	Env []string
	// Mem is the guest's memory as QEMU reads it; default "2G".
	Mem string
	// Stdout gets what the guest's program prints, and Console what else the guest says.
	Stdout, Console io.Writer
}

// boot is what the guest's first process reads.
type boot struct {
	Args    []string `json:"args"`
	Env     []string `json:"env"`
	Modules []string `json:"modules"`
}

// bootFile is where the first process finds it.
const bootFile = "/hareconcile-boot.json"

// statusLine is the last line that the guest prints, with the exit status behind it.
const statusLine = "hareconcile guest: exit status "

// A Kernel is one that was unpacked of Debian's package, by kernel.sh.
type Kernel struct {
	Image   string // the file to boot
	Modules string // the folder with modules.dep
}

// Lookup finds the emulator and the kernel, or says what has to be done.
func Lookup() (Kernel, error) {
	if _, err := exec.LookPath(Program); err != nil {
		return Kernel{}, fmt.Errorf("no %s (sh test/deps.sh bench): %w", Program, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Kernel{}, err
	}
	found, err := filepath.Glob(filepath.Join(cache, "hareconcile", "kernel", "lib", "modules", "*", "modules.dep"))
	if err != nil || len(found) == 0 {
		return Kernel{}, errors.Join(errors.New("no kernel for the guest (sh test/bench/kernel.sh)"), err)
	}
	dir := filepath.Dir(found[len(found)-1])
	release := filepath.Base(dir)
	image := filepath.Join(cache, "hareconcile", "kernel", "boot", "vmlinuz-"+release)
	if _, err := os.Stat(image); err != nil {
		return Kernel{}, err
	}
	return Kernel{image, dir}, nil
}

// Run boots a guest, waits for its program and halts it. A program that fails is an error.
// The end of ctx kills the guest.
func Run(ctx context.Context, c Config) error {
	kernel, err := Lookup()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hareconcile-qemu-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	initramfs := filepath.Join(dir, "initramfs")
	if err := pack(initramfs, kernel, c); err != nil {
		return fmt.Errorf("pack the guest's files: %w", err)
	}
	cmd := exec.CommandContext(ctx, Program, arguments(kernel, c, initramfs)...)
	cmd.Stderr = c.Console
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	// A terminal's Ctrl-C is for this program, and its end is the guest's.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("boot a guest: %w", err)
	}
	status, err := relay(out, c.Stdout)
	if waitErr := cmd.Wait(); status < 0 {
		return fmt.Errorf("the guest ended without a result: %w", errors.Join(err, waitErr, context.Cause(ctx)))
	}
	if status > 0 {
		return fmt.Errorf("the guest's program ended with status %d", status)
	}
	return nil
}

// arguments are those of QEMU: no devices but two serial lines, the console to its standard
// error and the program's output to its standard output. The processor has no AES and AVX:
// QEMU emulates these many times as slowly as other instructions, and Go's maps, unlike
// anything in C, hash by AES where they can (one Diff of 6,000 objects: 4 times as slow).
func arguments(k Kernel, c Config, initramfs string) []string {
	mem := c.Mem
	if mem == "" {
		mem = "2G"
	}
	return []string{
		"-accel", "tcg,thread=multi", "-cpu", "qemu64", "-smp", "2", "-m", mem,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-chardev", "file,id=console,path=/dev/stderr", "-serial", "chardev:console",
		"-chardev", "file,id=out,path=/dev/stdout", "-serial", "chardev:out",
		"-kernel", k.Image, "-initrd", initramfs,
		// The emulated time stamp counter is the host's, though the guest cannot know.
		"-append", "console=ttyS0 quiet rdinit=/init panic=-1 mitigations=off tsc=reliable clocksource=tsc",
	}
}

// relay copies lines until the one with the exit status, which it returns; -1 if there is none.
func relay(r io.Reader, w io.Writer) (status int, err error) {
	status = -1
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), statusLine); ok {
			if n, err := strconv.Atoi(text); err == nil {
				status = n
			}
		} else if w != nil {
			if _, err := io.WriteString(w, strings.ReplaceAll(line, "\r\n", "\n")); err != nil {
				return status, err
			}
		}
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return status, err
		}
	}
}

// encode returns the boot file of c.
func (c Config) encode() ([]byte, error) {
	return json.Marshal(boot{c.Args, c.Env, c.Modules})
}
