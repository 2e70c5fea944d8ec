package http1

import (
	"bytes"
	"fmt"
)

// status takes a status line: "HTTP/1.1 200 OK" (RFC 9112, section 4).
func (r *Reader) status(line []byte) error {
	const shortest = len("HTTP/1.1 200")
	ok := len(line) >= shortest && string(line[:7]) == "HTTP/1." && digit(line[7]) && line[8] == ' ' &&
		line[9] >= '1' && line[9] <= '9' && digit(line[10]) && digit(line[11]) && (len(line) == shortest || line[12] == ' ')
	if !ok {
		return fmt.Errorf("malformed HTTP response %.100q", line)
	}
	r.Status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	r.old = line[7] == '0'
	r.phase = headerLine
	return nil
}

// header takes a header line.
func (r *Reader) header(line []byte) error {
	if line[0] == ' ' || line[0] == '\t' {
		return nil // goes on with the line before: RFC 9112, section 5.2, of no header that counts here
	}
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(name) == 0 {
		return errHeader
	}
	value = bytes.Trim(value, " \t")
	switch {
	case is(name, "content-length"):
		return r.contentLength(value)
	case is(name, "transfer-encoding") && !r.old: // RFC 9112, section 6.1: 1.0 has none
		return r.transferEncoding(value)
	case is(name, "location"):
		r.Location = append(r.Location[:0], value...)
	}
	if r.want.Header != "" && is(name, r.want.Header) {
		r.Value = append(r.Value[:0], value...)
	}
	return nil
}

func (r *Reader) contentLength(value []byte) error {
	if len(value) == 0 || len(value) > 18 {
		return errLength
	}
	var n int64
	for _, c := range value {
		if !digit(c) {
			return errLength
		}
		n = n*10 + int64(c-'0')
	}
	if r.length >= 0 && r.length != n {
		return errLength // RFC 9112, section 6.3
	}
	r.length = n
	return nil
}

func (r *Reader) transferEncoding(value []byte) error {
	switch {
	case is(value, "chunked") && !r.chunked:
		r.chunked = true
	case !is(value, "identity"):
		return errEncoding
	}
	return nil
}

// headed decides how the body ends (RFC 9112, section 6.3).
func (r *Reader) headed() error {
	switch {
	case r.Status < 200 && r.Status != 101: // provisional: another answer follows
		r.phase, r.length, r.chunked = statusLine, -1, false
		r.Location, r.Value = r.Location[:0], r.Value[:0]
	case r.want.Head, r.Status < 200, r.Status == 204, r.Status == 304:
		r.phase = done
	case r.chunked:
		r.phase = chunkSize
	case r.length == 0:
		r.phase = done
	case r.length > 0:
		r.phase, r.left = byLength, r.length
	default:
		r.phase = byClose
	}
	return nil
}

// chunk takes a chunk's size, with extensions that mean nothing (RFC 9112, section 7.1).
func (r *Reader) chunk(line []byte) error {
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		line = line[:i]
	}
	line = bytes.TrimRight(line, " \t")
	switch {
	case len(line) == 0:
		return errChunkNone
	case len(line) > 15:
		return errChunkLong
	}
	var n int64
	for _, c := range line {
		switch {
		case digit(c):
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return errChunkByte
		}
		n = n<<4 | int64(c)
	}
	r.phase, r.left = chunkData, n
	if n == 0 {
		r.phase = trailer
	}
	return nil
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// is compares a token without regard to case of ASCII letters.
func is(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		d := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if d >= 'A' && d <= 'Z' {
			d += 'a' - 'A'
		}
		if c != d {
			return false
		}
	}
	return true
}
