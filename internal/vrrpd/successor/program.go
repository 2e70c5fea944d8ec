package successor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Program is what goes on as this process.
type Program struct {
	Path string
	Args []string // the first is the program's name
}

// OnDisk is the program that this process was started as, in the version that is there now.
func OnDisk() (Program, error) {
	path := os.Args[0] // as systemd gives it, through whatever symbolic links
	if !filepath.IsAbs(path) {
		exe, err := os.Executable()
		if err != nil {
			return Program{}, fmt.Errorf("find the program on disk: %w", err)
		}
		path = exe
	}
	return Program{path, os.Args}, nil
}

// Running is the very program that runs now, even if it is not on disk any more.
func Running() Program { return Program{"/proc/self/exe", os.Args} }

const (
	// TryFlag makes a program read a legacy from its standard input, and exit with 0 if it
	// could go on with that.
	TryFlag   = "-try"
	tryFor    = 4 * time.Second // a client waits for five
	tryOutput = 1 << 10         // bytes worth telling
)

// Try runs the program in a child to learn whether it could go on with the legacy. It
// returns what the program says of itself.
func Try(ctx context.Context, p Program, l *Legacy) (string, error) {
	f, err := l.write()
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.Seek(0, 0); err != nil {
		return "", fmt.Errorf("rewind legacy: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	var out tail
	cmd := exec.CommandContext(ctx, p.Path, TryFlag)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, &out, &out
	cmd.WaitDelay = time.Second // for output that a grandchild keeps open
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", fmt.Errorf("try %s: %w: %s", p.Path, err, out.line())
	}
	return out.line(), nil
}

// A tail keeps the end of what is written to it.
type tail struct{ b []byte }

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b[max(0, len(b)-tryOutput):]...)
	t.b = t.b[max(0, len(t.b)-tryOutput):]
	return len(b), nil
}

// line is the text in one line.
func (t *tail) line() string {
	return strings.ToValidUTF8(string(bytes.Join(bytes.Fields(t.b), []byte(" "))), "?")
}

// Exec makes the program go on as this process. It returns only if that is not possible,
// and then everything is as before. The calling goroutine must be locked to its thread,
// whose scheduling policy becomes that of all threads of the program.
func Exec(p Program, l *Legacy) error {
	f, err := l.write()
	if err != nil {
		return err
	}
	defer f.Close()
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, envName+"=") })
	fd := int(f.Fd())
	env = append(env, envName+"="+strconv.Itoa(fd))

	// No child may get what is kept open for the successor.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	fds := append(l.files(), fd)
	defer func() {
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
	}()
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("keep file %d open: %w", fd, err)
		}
	}
	unblock, err := blockSignals()
	if err != nil {
		return err
	}
	defer unblock()
	return fmt.Errorf("exec %s: %w", p.Path, syscall.Exec(p.Path, p.Args, env))
}

// blockSignals keeps the signals by which a service manager upgrades and stops vrrpd: until
// the successor asks for them they are neither lost nor deadly. Package os/signal receives
// on a thread with a mask of its own. The Go runtime lets no program block SIGTERM or
// SIGINT, which therefore kill a successor in its first milliseconds.
func blockSignals() (unblock func(), err error) {
	var set, before unix.Sigset_t
	for _, s := range []unix.Signal{unix.SIGUSR1, unix.SIGUSR2} {
		set.Val[0] |= 1 << uint(s-1) // below 32, and so in the first word on every machine
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &before); err != nil {
		return nil, fmt.Errorf("block signals: %w", err)
	}
	return func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }, nil
}

// Rename gives the process the name of its program again, which is lost where that was
// not started by its path.
func (p Program) Rename() error {
	if len(p.Args) == 0 {
		return errors.New("rename process: no name")
	}
	if err := os.WriteFile("/proc/self/comm", []byte(filepath.Base(p.Args[0])), 0); err != nil {
		return fmt.Errorf("rename process: %w", err)
	}
	return nil
}
