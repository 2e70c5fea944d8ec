package lab

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// A connection carries one request. Everything on it is a frame: a type, a length and as
// many bytes. The first is the client's request; the last is the daemon's reply.
type frameType byte

const (
	frameRequest frameType = 'Q' // JSON request
	frameReply   frameType = 'R' // JSON reply
	frameStdin   frameType = 'i' // an empty one is the end of standard input
	frameTaken   frameType = 't' // the command has read one frame of standard input
	frameSignal  frameType = 's' // one byte: the signal for the command
	frameResize  frameType = 'w' // four bytes: rows and columns of the client's terminal
	frameStdout  frameType = 'o'
	frameStderr  frameType = 'e'
)

// maxFrame bounds what either side accepts.
const maxFrame = 1 << 20

// chunk is the size of a frame of standard input or output: small, because one serial line
// may carry all connections of a lab.
const chunk = 16 << 10

// inputWindow is how many frames of standard input may be under way, so that a command that
// does not read cannot keep a signal from arriving.
const inputWindow = 16

// A request asks the daemon for one thing.
type request struct {
	Op      string `json:"op"` // status, exec, read, dial, start, stop, kill, cut or mend
	Host    string `json:"host,omitempty"`
	Service string `json:"service,omitempty"`
	Signal  int    `json:"signal,omitempty"`
	// Path is a file on the host to read, or a socket to dial.
	Path    string   `json:"path,omitempty"`
	Command *command `json:"command,omitempty"`
}

// A command is a command line to run on a host.
type command struct {
	Argv []string `json:"argv"`
	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir,omitempty"`
	TTY  bool     `json:"tty,omitempty"`
	Rows uint16   `json:"rows,omitempty"`
	Cols uint16   `json:"cols,omitempty"`
}

// A reply ends a connection.
type reply struct {
	Error  string  `json:"error,omitempty"`
	Status *Status `json:"status,omitempty"`
	Data   []byte  `json:"data,omitempty"` // of a file
	Code   int     `json:"code"`           // exit code of a command
}

// A frameWriter writes frames from several goroutines.
type frameWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *frameWriter) write(t frameType, b []byte) error {
	buf := make([]byte, 5, 5+len(b))
	buf[0] = byte(t)
	binary.BigEndian.PutUint32(buf[1:], uint32(len(b)))
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.w.Write(append(buf, b...))
	return err
}

func (f *frameWriter) writeJSON(t frameType, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.write(t, b)
}

// stream returns a writer whose writes become frames of type t.
func (f *frameWriter) stream(t frameType) io.Writer { return frameStream{f, t} }

type frameStream struct {
	f *frameWriter
	t frameType
}

// Write implements io.Writer.
func (s frameStream) Write(b []byte) (int, error) {
	n := 0
	for len(b) > 0 {
		part := b[:min(len(b), chunk)]
		if err := s.f.write(s.t, part); err != nil {
			return n, err
		}
		n += len(part)
		b = b[len(part):]
	}
	return n, nil
}

// readFrame reads the next frame.
func readFrame(r *bufio.Reader) (frameType, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("frame of %d bytes is longer than %d", n, maxFrame)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, err
	}
	return frameType(head[0]), b, nil
}

// readJSON reads a frame that must be of type t into v.
func readJSON(r *bufio.Reader, t frameType, v any) error {
	got, b, err := readFrame(r)
	if err != nil {
		return err
	}
	if got != t {
		return fmt.Errorf("frame of type %q where %q belongs", got, t)
	}
	return json.Unmarshal(b, v)
}
