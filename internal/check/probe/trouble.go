package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/check/answer"
)

// An ownError is a fault of this host: it says nothing of the server.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }
func (e *ownError) Unwrap() error { return e.err }

// own says that err is of this host.
func own(err error) error { return &ownError{err} }

// lacks are errors of this host, for want of descriptors, memory, ports, watches (epoll(7)), a
// device, an address to send from, or the right to send. They say nothing of the server.
var lacks = []syscall.Errno{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE,
	syscall.ENODEV, syscall.EPERM, syscall.EACCES, syscall.EAFNOSUPPORT, syscall.EAGAIN, syscall.ENOSPC,
}

// Lacks reports whether a system call failed for want of something here.
func Lacks(err error) bool {
	return slices.ContainsFunc(lacks, func(e syscall.Errno) bool { return errors.Is(err, e) })
}

// ours reports whether err is a fault of this host.
func ours(err error) bool {
	var mine *ownError
	return errors.As(err, &mine) || Lacks(err)
}

// layers are what libraries put before an error's own words, outermost first.
var layers = []string{
	"net/http: ", "http: ", "tls: failed to verify certificate: ", "x509: ",
}

// plain says what went wrong without the layers that found out.
func plain(err error, timeout time.Duration) error {
	var syscallErr *os.SyscallError
	var netErr net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Errorf("timed out after %v", timeout)
	case errors.As(err, &syscallErr):
		return syscallErr
	case errors.Is(err, io.ErrUnexpectedEOF):
		return answer.ErrMiddle
	case errors.Is(err, io.EOF):
		return answer.ErrNothing
	}
	text := err.Error()
	for _, layer := range layers {
		text = strings.TrimPrefix(text, layer)
	}
	return errors.New(answer.Line(text))
}
