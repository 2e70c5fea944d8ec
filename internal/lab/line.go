package lab

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// A line carries bytes over a guest's serial line with credits: the sender never has more
// than window bytes under way. User-Mode Linux's tty driver stops for good when it has to
// throttle its input, which it does short of 4,096 unread bytes (n_tty.c).
//
// A frame is a data length and that many bytes, or zero and the number of bytes that the
// other side has read; both numbers have two bytes.
type line struct {
	conn io.ReadWriteCloser
	in   *bufio.Reader
	left int // bytes of the current frame not yet read; used by Read only
	size int // length of the current frame; used by Read only

	send sync.Mutex // held while a frame is written

	mu     sync.Mutex
	more   *sync.Cond // credit has grown, or err is set
	credit int
	err    error
}

const (
	lineWindow = 3072
	lineFrame  = 1024
)

func newLine(c io.ReadWriteCloser) *line {
	l := &line{conn: c, in: bufio.NewReaderSize(c, 4096), credit: lineWindow}
	l.more = sync.NewCond(&l.mu)
	return l
}

// Read implements io.Reader. One goroutine at a time reads, and it must never stop reading.
func (l *line) Read(p []byte) (int, error) {
	for l.left == 0 {
		if err := l.header(); err != nil {
			l.fail(err)
			return 0, err
		}
	}
	n, err := l.in.Read(p[:min(len(p), l.left)])
	l.left -= n
	if err == nil && l.left == 0 {
		err = l.acknowledge(l.size)
	}
	if err != nil {
		l.fail(err)
	}
	return n, err
}

// header reads the next frame's head, and credits if that is what it carries.
func (l *line) header() error {
	var b [2]byte
	if _, err := io.ReadFull(l.in, b[:]); err != nil {
		return err
	}
	if n := int(binary.BigEndian.Uint16(b[:])); n > 0 {
		if n > lineFrame {
			return fmt.Errorf("serial line: frame of %d bytes", n)
		}
		l.left, l.size = n, n
		return nil
	}
	if _, err := io.ReadFull(l.in, b[:]); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.credit += int(binary.BigEndian.Uint16(b[:]))
	l.more.Broadcast()
	return nil
}

func (l *line) acknowledge(n int) error {
	var b [4]byte
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	l.send.Lock()
	defer l.send.Unlock()
	_, err := l.conn.Write(b[:])
	return err
}

func (l *line) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	l.more.Broadcast()
}

// Write implements io.Writer.
func (l *line) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		part := p[done:min(len(p), done+lineFrame)]
		if err := l.spend(len(part)); err != nil {
			return done, err
		}
		b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(part)), uint16(len(part)))
		l.send.Lock()
		_, err := l.conn.Write(append(b, part...))
		l.send.Unlock()
		if err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

// spend waits until n bytes may be sent.
func (l *line) spend(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.credit < n && l.err == nil {
		l.more.Wait()
	}
	l.credit -= n
	return l.err
}

// Close implements io.Closer.
func (l *line) Close() error {
	l.fail(io.ErrClosedPipe)
	return l.conn.Close()
}
