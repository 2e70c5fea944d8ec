// Package http1 reads HTTP/1 answers (RFC 9112) in the pieces in which they come. It does no
// I/O, keeps little, and believes nothing: whoever answers may be broken or hostile.
package http1

import (
	"bytes"
	"errors"

	"github.com/hareconcile/hareconcile/internal/check/answer"
)

// maxFraming bounds chunk sizes, their extensions and trailers, all of one answer. The bounds
// of heads (of provisional answers too) and bodies are package answer's.
const maxFraming = 512 << 10

// What can be wrong with an answer, beside what is told with its text.
var (
	errFraming   = errors.New("chunked encoding of more frames than content")
	errChunkByte = errors.New("invalid byte in chunk length")
	errChunkNone = errors.New("empty hex number for chunk length")
	errChunkLong = errors.New("http chunk length too large")
	errChunkEnd  = errors.New("malformed chunked encoding")
	errHeader    = errors.New("malformed header line")
	errLength    = errors.New("bad Content-Length")
	errEncoding  = errors.New("unsupported Transfer-Encoding")
)

// A Want says what an answer is to, and what of it is kept.
type Want struct {
	Head   bool   // the request was HEAD: no body follows
	Body   bool   // keep the body
	Header string // keep this header's value
}

type phase uint8

const (
	statusLine phase = iota
	headerLine
	byLength
	byClose
	chunkSize
	chunkData
	chunkEnd
	trailer
	done
)

// A Reader reads one answer. Reset makes it ready; it may be used again and again.
type Reader struct {
	Status   int
	Location []byte // of a redirect
	Value    []byte // of Want's header
	Body     []byte // if it is wanted, as much as counts
	Cut      bool   // there was more of the body

	want    Want
	phase   phase
	line    []byte // the beginning of a line whose end has not come yet
	head    int    // bytes of heads so far
	framing int
	body    int   // bytes of content so far
	left    int64 // of the content, or of the chunk
	length  int64 // Content-Length, -1 if there is none
	chunked bool
	old     bool // HTTP/1.0
}

// kept bounds the memory that a Reader keeps for its next answer.
const kept = 16 << 10

// Reset makes r ready for the next answer.
func (r *Reader) Reset(w Want) {
	reuse := func(b []byte) []byte {
		if cap(b) > kept {
			return nil
		}
		return b[:0]
	}
	*r = Reader{
		want: w, length: -1,
		Location: reuse(r.Location), Value: reuse(r.Value), Body: reuse(r.Body), line: reuse(r.line),
	}
}

// Headed reports whether status and headers are there.
func (r *Reader) Headed() bool { return r.phase > headerLine }

// Done reports whether nothing more is to be read.
func (r *Reader) Done() bool { return r.phase == done }

// Feed takes the next bytes. After an error only Status, if Headed, is of use.
func (r *Reader) Feed(b []byte) error {
	for len(b) > 0 && r.phase != done {
		var err error
		switch r.phase {
		case byLength, byClose, chunkData:
			b = r.content(b)
		default:
			b, err = r.text(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// End takes the end of the connection. It is an error if something is missing.
func (r *Reader) End() error {
	switch {
	case r.phase == byClose:
		r.phase = done
		return nil
	case r.phase == done:
		return nil
	case r.head == 0 && len(r.line) == 0:
		return answer.ErrNothing
	}
	return answer.ErrMiddle
}

// content takes bytes of the body and returns the rest.
func (r *Reader) content(b []byte) []byte {
	n := min(len(b), answer.MaxBody+1-r.body)
	if r.phase != byClose {
		n = int(min(int64(n), r.left))
		r.left -= int64(n)
	}
	if r.want.Body {
		r.Body = append(r.Body, b[:min(n, answer.MaxBody-r.body)]...)
	}
	r.body += n
	r.Cut = r.body > answer.MaxBody
	switch {
	case r.Cut, r.phase == byLength && r.left == 0:
		r.phase = done
	case r.phase == chunkData && r.left == 0:
		r.phase = chunkEnd
	}
	return b[n:]
}

// text takes a line, or the beginning of one, and returns the rest.
func (r *Reader) text(b []byte) ([]byte, error) {
	i := bytes.IndexByte(b, '\n')
	n := i + 1
	if i < 0 {
		n = len(b)
	}
	if r.phase <= headerLine {
		if r.head += n; r.head > answer.MaxHeader {
			return nil, answer.ErrHead
		}
	} else if r.framing += n; r.framing > maxFraming {
		return nil, errFraming
	}
	if i < 0 {
		r.line = append(r.line, b...)
		return nil, nil
	}
	line := b[:i]
	if len(r.line) > 0 {
		r.line = append(r.line, line...)
		line = r.line
	}
	err := r.whole(bytes.TrimSuffix(line, []byte{'\r'}))
	r.line = r.line[:0]
	return b[n:], err
}

// whole takes a line without its end.
func (r *Reader) whole(line []byte) error {
	switch r.phase {
	case statusLine:
		return r.status(line)
	case headerLine:
		if len(line) == 0 {
			return r.headed()
		}
		return r.header(line)
	case chunkSize:
		return r.chunk(line)
	case chunkEnd:
		if len(line) != 0 {
			return errChunkEnd
		}
		r.phase = chunkSize
	case trailer:
		if len(line) == 0 {
			r.phase = done
		}
	}
	return nil
}
