package lab

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/creack/pty"
)

// A session is a running command's streams.
type session struct {
	stdin  io.Writer
	eof    func() // the client's standard input has ended
	resize func(rows, cols uint16)
	output sync.WaitGroup // copies of standard output and error
	ours   []io.Closer    // closed when the command has ended and its output was copied
}

// startPipes starts the command with a pipe for each standard stream.
func startPipes(h *host, cmd *exec.Cmd, _ *command, w *frameWriter) (*session, error) {
	var theirs, ours [3]*os.File
	closeAll := func(files [3]*os.File) {
		for _, f := range files {
			if f != nil {
				_ = f.Close()
			}
		}
	}
	defer func() { closeAll(theirs) }()
	for k := range 3 {
		r, pw, err := os.Pipe()
		if err != nil {
			closeAll(ours)
			return nil, fmt.Errorf("make a pipe: %w", err)
		}
		theirs[k], ours[k] = pw, r
		if k == 0 {
			theirs[k], ours[k] = r, pw
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := h.start(cmd, 0); err != nil {
		closeAll(ours)
		return nil, err
	}
	s := &session{
		stdin: ours[0], eof: func() { _ = ours[0].Close() }, resize: func(uint16, uint16) {},
		ours: []io.Closer{ours[0], ours[1], ours[2]},
	}
	s.copy(w.stream(frameStdout), ours[1])
	s.copy(w.stream(frameStderr), ours[2])
	return s, nil
}

// startTTY starts the command on a terminal of its own.
func startTTY(h *host, cmd *exec.Cmd, c *command, w *frameWriter) (*session, error) {
	ptm, tty, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	defer tty.Close()
	s := &session{
		stdin: ptm,
		eof:   func() { _, _ = ptm.Write([]byte{4}) }, // end of transmission, termios(3)
		resize: func(rows, cols uint16) {
			_ = pty.Setsize(ptm, &pty.Winsize{Rows: rows, Cols: cols})
		},
		ours: []io.Closer{ptm},
	}
	s.resize(c.Rows, c.Cols)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := h.start(cmd, 0); err != nil {
		_ = ptm.Close()
		return nil, err
	}
	s.copy(w.stream(frameStdout), ptm)
	return s, nil
}

func (s *session) copy(dst io.Writer, src *os.File) {
	s.output.Go(func() {
		// Hide ReadFrom and WriteTo, which would choose larger pieces.
		_, _ = io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, chunk))
	})
}

// input takes the client's frames until the connection ends; then the command and what it
// started are killed, which is too late to matter if it has ended.
func (s *session) input(r *bufio.Reader, w *frameWriter, kill func(syscall.Signal)) {
	defer kill(syscall.SIGKILL)
	queue := make(chan []byte, inputWindow+1) // what a client may send ahead, and the end; closed here
	defer close(queue)
	go s.feed(queue, w)
	for {
		t, b, err := readFrame(r)
		if err != nil {
			return
		}
		switch {
		case t == frameStdin:
			select {
			case queue <- b:
			default:
				return // the client does not keep to the window
			}
		case t == frameSignal && len(b) == 1:
			kill(syscall.Signal(b[0]))
		case t == frameResize && len(b) == 4:
			s.resize(uint16(b[0])<<8|uint16(b[1]), uint16(b[2])<<8|uint16(b[3]))
		}
	}
}

// feed writes standard input to the command.
func (s *session) feed(queue <-chan []byte, w *frameWriter) {
	open := true
	for b := range queue {
		switch {
		case len(b) == 0 && open:
			s.eof()
			open = false
		case open:
			if _, err := s.stdin.Write(b); err != nil {
				open = false // the command reads no more
			}
		}
		if w.write(frameTaken, nil) != nil {
			open = false
		}
	}
}

// finish waits until the command's output is copied. What the command left running keeps its
// output open, as it does over ssh.
func (s *session) finish() {
	s.output.Wait()
	for _, c := range s.ours {
		_ = c.Close()
	}
}
