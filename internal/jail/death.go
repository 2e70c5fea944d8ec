package jail

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// A DeathError says that a child did not live to give a result.
type DeathError struct {
	Stage  string
	Reason string // such as "used more memory than its limit of 512 MiB"
	Last   string // the child's last line of progress, such as the file that it was parsing
}

// Error implements error.
func (e *DeathError) Error() string {
	if e.Last == "" {
		return fmt.Sprintf("%s: %s", e.Stage, e.Reason)
	}
	return fmt.Sprintf("%s: %s (last seen at: %s)", e.Stage, e.Reason, e.Last)
}

// reason puts a child's end into words that a person can act on.
func reason(s *os.ProcessState, stderr string, l Limits) string {
	has := func(text string) bool { return strings.Contains(stderr, text) }
	status, _ := s.Sys().(syscall.WaitStatus)
	var resident uint64
	if u, ok := s.SysUsage().(*syscall.Rusage); ok {
		resident = uint64(u.Maxrss) << 10
	}
	switch {
	case has("stack overflow"), has("goroutine stack exceeds"):
		return "stack overflow (input nested too deep)"
	case has("out of memory"), has("cannot allocate memory"), has("cannot map pages"),
		has("failed to create new OS thread"), has("failed to allocate"), has("pthread_create failed"),
		has("SIGSEGV") && resident > l.Data/4*3: // the collector does not look whether it got memory (mgcmark_greenteagc.go)
		return "used more memory than its limit of " + size(l.Data)
	case has("SIGXCPU"), status.Signaled() && status.Signal() == syscall.SIGXCPU,
		status.Signaled() && s.UserTime()+s.SystemTime() >= l.CPU/10*9: // the kernel keeps two accounts
		return "used more processor time than its limit of " + l.CPU.String()
	case status.Exited() && status.ExitStatus() == 3 && stderr == "":
		return "ran longer than " + l.Wall.String()
	case status.Signaled():
		return fmt.Sprintf("killed by signal %d (%v)", int(status.Signal()), status.Signal())
	}
	if first, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n"); first != "" {
		return fmt.Sprintf("crashed: %s", first)
	}
	return fmt.Sprintf("exited with status %d without a result", s.ExitCode())
}

func size(n uint64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// A limitedBuffer keeps what a child writes; it cancels the child once that is too much.
type limitedBuffer struct {
	cancel context.CancelFunc
	buf    bytes.Buffer
	full   bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.full || b.buf.Len()+len(p) > maxMessage {
		b.full = true
		b.cancel()
		return len(p), nil
	}
	return b.buf.Write(p)
}

const (
	maxLine  = 1 << 10 // bytes kept of one line
	maxWords = 4 << 10 // bytes kept of everything that is not progress
)

// lines splits a child's standard error into the last line of progress and the first few
// others. It never keeps more than its bounds.
type lines struct {
	last  string
	other bytes.Buffer
	part  []byte
}

func (s *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		s.part = append(s.part, line[:min(len(line), maxLine-min(maxLine, len(s.part)))]...)
		if whole {
			s.flush()
		}
		p = rest
	}
	return n, nil
}

func (s *lines) flush() {
	line := string(s.part)
	s.part = s.part[:0]
	if text, ok := strings.CutPrefix(line, progressMark); ok {
		s.last = text
		return
	}
	if s.other.Len()+len(line) < maxWords {
		s.other.WriteString(line + "\n")
	}
}

// text returns the lines that were not progress.
func (s *lines) text() string {
	if len(s.part) > 0 {
		s.flush()
	}
	return strings.ToValidUTF8(s.other.String(), "?")
}
