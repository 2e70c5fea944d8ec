package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/spawn"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

const (
	syntaxEvery   = 10 * time.Minute
	syntaxTimeout = 30 * time.Second // names are resolved in it
	maxSaid       = 64 << 10
	maxConfFiles  = 10_000
	lowest        = 19 // nice(1)
)

// Where nginx is: what a repository could name, it could run.
var (
	binaries = []string{
		"/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx", "/usr/local/bin/nginx",
		"/usr/local/nginx/sbin/nginx", "/usr/local/openresty/nginx/sbin/nginx",
	}
	confFolders = []string{"/etc/nginx", "/usr/local/etc/nginx", "/usr/local/nginx/conf", "/usr/local/openresty/nginx/conf"}
)

// A syntax runs nginx -t beside the checks and keeps what came of it.
//
// It never decides anything: nginx -t fails where the name of an upstream does not resolve
// for a moment, while the nginx that runs is fine, and passes where a port is taken.
type syntax struct {
	binaries []string // the first that is there is run
	file     string
	ctx      context.Context // of the runs; ended by close
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex
	running bool
	at      time.Time // of the last run
	mtime   time.Time // of the configuration then
	part    sdk.Part
}

func newSyntax(binaries []string, file string) *syntax {
	ctx, cancel := context.WithCancel(context.Background())
	return &syntax{
		binaries: binaries, file: file, ctx: ctx, cancel: cancel,
		part: part("config_test", sdk.Unknown, "CONFIG_UNTESTED", "nginx -t has not ended yet"),
	}
}

func (s *syntax) close() {
	s.mu.Lock() // after which look starts nothing any more
	s.cancel()
	s.mu.Unlock()
	s.wg.Wait()
}

// look returns the part of the last run, and starts another one if it is time for it.
func (s *syntax) look() sdk.Part {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running || s.ctx.Err() != nil {
		return s.part
	}
	mtime := newest(filepath.Dir(s.file))
	now := time.Now()
	if mtime.Equal(s.mtime) && now.Sub(s.at) < syntaxEvery {
		return s.part
	}
	s.running, s.at, s.mtime = true, now, mtime
	s.wg.Go(func() {
		p := s.run()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.part, s.running = p, false
	})
	return s.part
}

// newest returns when something in the folder of the configuration was last changed.
func newest(dir string) time.Time {
	var out time.Time
	left := maxConfFiles
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if left--; left < 0 {
			return fs.SkipAll
		}
		if err != nil {
			return nil // what cannot be read is tested all the same
		}
		if info, err := d.Info(); err == nil && info.ModTime().After(out) {
			out = info.ModTime()
		}
		return nil
	})
	return out
}

// run runs nginx -t once, behind everything else that this machine does.
func (s *syntax) run() sdk.Part {
	const name = "config_test"
	ctx, cancel := context.WithTimeout(s.ctx, syntaxTimeout)
	defer cancel()
	said := &beginning{}
	bin, err := s.program()
	if err != nil {
		return part(name, sdk.Unknown, "CONFIG_UNTESTED", "find nginx: %v", err)
	}
	cmd := exec.CommandContext(ctx, bin, "-t", "-c", s.file)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	if err == nil {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, lowest) // a courtesy
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return part(name, sdk.Pass, "", "nginx -t is content")
	case ctx.Err() != nil, !errors.As(err, &exit):
		return part(name, sdk.Unknown, "CONFIG_UNTESTED", "run nginx -t: %v", err)
	case bytes.Contains(said.b, []byte("(13: Permission denied)")):
		// Only root may open the pid file, the keys and the logs, which nginx -t does.
		return part(name, sdk.Unknown, "CONFIG_UNTESTED", "nginx -t lacks rights: %s", complaint(string(said.b)))
	}
	return part(name, sdk.Warn, "CONFIG_BROKEN", "nginx -t: %s", complaint(string(said.b)))
}

// program returns nginx, if nobody but root can make another program of it.
func (s *syntax) program() (string, error) {
	var errs []error
	for _, bin := range s.binaries {
		path, err := spawn.Program(bin)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if errs == nil {
		return "", fmt.Errorf("it is none of %s", strings.Join(s.binaries, ", "))
	}
	return "", errors.Join(errs...)
}

// complaint returns the line of nginx that says what is wrong.
func complaint(said string) string {
	last := ""
	for line := range strings.Lines(said) {
		if strings.Contains(line, "[emerg]") {
			return strings.TrimSpace(line)
		}
		last = strings.TrimSpace(line)
	}
	return last
}

// A beginning keeps the first bytes that are written to it.
type beginning struct{ b []byte }

// Write implements io.Writer.
func (b *beginning) Write(p []byte) (int, error) {
	b.b = append(b.b, p[:min(len(p), maxSaid-len(b.b))]...)
	return len(p), nil
}
