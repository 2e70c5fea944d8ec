package channel

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxFrame bounds one message: 4,000 instances with 255 addresses each stay below it.
const MaxFrame = 16 << 20

// ErrFrame is wrapped by the errors for bytes that are not a message.
var ErrFrame = errors.New("bad frame")

// WriteFrame writes v as JSON behind its length in four bytes, big-endian, in one Write.
func WriteFrame(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	if len(body) > MaxFrame {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrFrame, len(body), MaxFrame)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	if _, err := w.Write(append(frame, body...)); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// ReadFrame reads one message into v. It returns io.EOF, bare, if the stream ends before
// the first byte. Memory is taken as bytes arrive, not as the length claims.
func ReadFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return fmt.Errorf("read length: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > MaxFrame {
		return fmt.Errorf("%w: length %d, want 1 to %d", ErrFrame, n, MaxFrame)
	}
	body, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	if len(body) < int(n) {
		return fmt.Errorf("read message: %w", io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %v", ErrFrame, err)
	}
	return nil
}

// understood reports whether a peer's version is ours or the one before.
func understood(v int) bool { return v >= 1 && v >= Version-1 && v <= Version }

// check returns what is wrong with a request.
func (r *Request) check() error {
	if !understood(r.Version) {
		return fmt.Errorf("protocol version %d is not understood, want %d", r.Version, Version)
	}
	set := 0
	for _, is := range []bool{r.Config != nil, r.Track != nil, r.Resign != nil, r.Release != nil, r.Upgrade != nil, r.Query != nil, r.Subscribe != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("a request has one of config, track, resign, release, upgrade, query and subscribe, not %d", set)
	}
	if r.Resign != nil && (r.Resign.Hold < 0 || r.Resign.Hold > MaxHold) {
		return fmt.Errorf("a hold of %v is not between 0 and %v", r.Resign.Hold, MaxHold)
	}
	return nil
}
