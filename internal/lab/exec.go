package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// exec runs a command on a host with the connection as its standard streams, and returns
// its exit code: 128 and the signal's number if a signal ended it, as a shell says it.
func (d *daemon) exec(ctx context.Context, q request, r *bufio.Reader, w *frameWriter) (int, error) {
	h, err := d.host(q.Host)
	if err != nil {
		return 0, err
	}
	if q.Command == nil || len(q.Command.Argv) == 0 {
		return 0, errors.New("no command to run")
	}
	cmd := &exec.Cmd{Args: q.Command.Argv, Env: d.commandEnv(q.Command.Env), Dir: d.workDir(h, q.Command.Dir)}
	if cmd.Path, err = h.lookPath(q.Command.Argv[0], cmd.Env); err != nil {
		return 127, err
	}
	start := startPipes
	if q.Command.TTY {
		start = startTTY
	}
	s, err := start(h, cmd, q.Command, w)
	if err != nil {
		return 126, err
	}
	// Until the command has been waited for, its process group's number is nobody else's.
	var mu sync.Mutex
	running := true
	kill := func(sig syscall.Signal) {
		mu.Lock()
		defer mu.Unlock()
		if running {
			_ = syscall.Kill(-cmd.Process.Pid, sig)
		}
	}
	stop := context.AfterFunc(ctx, func() { kill(syscall.SIGKILL) })
	defer stop()
	go s.input(r, w, kill) // ends with the connection, which the caller closes after the reply
	err = wait(cmd)
	mu.Lock()
	running = false
	mu.Unlock()
	s.finish()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 1, err
}

// commandEnv puts the lab's own binaries first and keeps the client's terminal and language.
func (d *daemon) commandEnv(client []string) []string {
	env := []string{"PATH=" + d.cfg.Bin + ":" + systemPath, "HOME=/root", "TMPDIR=/run/tmp"}
	for _, kv := range client {
		k, _, _ := strings.Cut(kv, "=")
		switch {
		case k == "TERM", k == "LANG", k == "NO_COLOR", strings.HasPrefix(k, "LC_"):
			env = append(env, kv)
		}
	}
	return env
}

// workDir returns the client's folder if the host has it.
func (d *daemon) workDir(h *host, dir string) string {
	err := h.do(func() error {
		fi, err := os.Stat(dir)
		if err == nil && !fi.IsDir() {
			err = errors.New("no folder")
		}
		return err
	})
	if err != nil || !filepath.IsAbs(dir) {
		return "/"
	}
	return dir
}

// lookPath finds a program as execvp(3) does, on the host.
func (h *host) lookPath(name string, env []string) (path string, err error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	dirs, _ := strings.CutPrefix(env[0], "PATH=")
	err = h.do(func() error {
		for _, dir := range filepath.SplitList(dirs) {
			path = filepath.Join(dir, name)
			if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
				return nil
			}
		}
		return fmt.Errorf("%s: command not found", name)
	})
	return path, err
}
