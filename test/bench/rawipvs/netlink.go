package rawipvs

import (
	"encoding/binary"
	"fmt"
	"iter"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	headerSize  = unix.NLMSG_HDRLEN
	genericSize = unix.GENL_HDRLEN
)

// begin begins a message of a family, behind those that are written already.
func (c *Conn) begin(family uint16, command byte, flags uint16) {
	c.end()
	c.seq++
	c.last = len(c.out)
	b := binary.NativeEndian.AppendUint32(c.out, 0) // the length, which end writes
	b = binary.NativeEndian.AppendUint16(b, family)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, c.seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	c.out = append(b, command, 1, 0, 0)
}

func (c *Conn) end() {
	if len(c.out) > c.last {
		binary.NativeEndian.PutUint32(c.out[c.last:], uint32(len(c.out)-c.last))
	}
}

func (c *Conn) attr(kind uint16, value []byte) {
	b := binary.NativeEndian.AppendUint16(c.out, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	c.out = b
}

func (c *Conn) u16(kind, v uint16) {
	c.attr(kind, binary.NativeEndian.AppendUint16(nil, v))
}

func (c *Conn) u32(kind uint16, v uint32) {
	c.attr(kind, binary.NativeEndian.AppendUint32(nil, v))
}

// open begins an attribute made of others, which shut ends.
func (c *Conn) open(kind uint16) (at int) {
	at = len(c.out)
	c.attr(kind|unix.NLA_F_NESTED, nil)
	return at
}

func (c *Conn) shut(at int) {
	binary.NativeEndian.PutUint16(c.out[at:], uint16(len(c.out)-at))
}

// exchange sends what is written, and reads until the last message has been answered. Each
// answer's attributes go to take.
func (c *Conn) exchange(take func([]byte)) error {
	c.end()
	flags := binary.NativeEndian.Uint16(c.out[c.last+6:])
	if flags&unix.NLM_F_DUMP == 0 { // a dump has an end of its own
		binary.NativeEndian.PutUint16(c.out[c.last+6:], flags|unix.NLM_F_ACK)
	}
	err := unix.Sendto(c.fd, c.out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	c.out, c.last = c.out[:0], 0
	if err != nil {
		return err
	}
	var refused error
	for {
		n, _, err := unix.Recvfrom(c.fd, c.in, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for b := c.in[:n]; len(b) >= headerSize; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < headerSize || size > len(b) {
				return fmt.Errorf("a message of %d bytes among %d", size, len(b))
			}
			kind, seq := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:])
			body := b[headerSize:size]
			switch {
			case kind == unix.NLMSG_DONE && seq == c.seq:
				return refused
			case kind == unix.NLMSG_ERROR && len(body) >= 4:
				if code := int32(binary.NativeEndian.Uint32(body)); code != 0 && refused == nil {
					refused = fmt.Errorf("message %d: %w", seq, syscall.Errno(-code))
				}
				if seq == c.seq {
					return refused
				}
			case len(body) >= genericSize && take != nil:
				take(body[genericSize:])
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
}

// attrs goes over attributes by their kinds.
func attrs(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			size := int(binary.NativeEndian.Uint16(b))
			if size < 4 || size > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:size]) {
				return
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
}
