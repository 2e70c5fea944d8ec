// Package rawipvs speaks with the kernel's IPVS as briefly as netlink allows. It is what
// benchmarks measure others by, and watch them with, so it shares nothing with the handlers.
package rawipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A Service is a virtual TCP service of an IPv4 address.
type Service struct {
	Address   netip.AddrPort
	Scheduler string
	Servers   []Server
}

// A Server is one destination, reached by direct routing.
type Server struct {
	Address netip.AddrPort
	Weight  uint32
}

// What messages are made of (linux/ip_vs.h).
const (
	cmdNewService = 1
	cmdNewDest    = 5
	cmdGetService = 4
	cmdGetDest    = 8
	cmdFlush      = 17

	attrService = 1
	attrDest    = 2

	serviceFamily    = 1
	serviceProtocol  = 2
	serviceAddress   = 3
	servicePort      = 4
	serviceScheduler = 6
	serviceFlags     = 7
	serviceTimeout   = 8
	serviceNetmask   = 9

	destAddress = 1
	destPort    = 2
	destForward = 3
	destWeight  = 4
	destUpper   = 5
	destLower   = 6
	destFamily  = 11

	directRouting = 3
)

// batchSize is how many bytes go out in one send, well below the default send buffer.
const batchSize = 96 << 10

// A Conn is a netlink socket. It is for one goroutine.
type Conn struct {
	fd     int
	family uint16
	seq    uint32
	out    []byte
	last   int // where the last message of out begins
	in     []byte
}

// Dial opens a socket and asks for the number of the family.
func Dial() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, err
	}
	c := &Conn{fd: fd, in: make([]byte, 1<<16)}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.begin(unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, unix.NLM_F_REQUEST)
	c.attr(unix.CTRL_ATTR_FAMILY_NAME, []byte("IPVS\x00"))
	err = c.exchange(func(body []byte) {
		for kind, value := range attrs(body) {
			if kind == unix.CTRL_ATTR_FAMILY_ID {
				c.family = binary.NativeEndian.Uint16(value)
			}
		}
	})
	if err == nil && c.family == 0 {
		err = errors.New("the kernel did not tell the number of IPVS")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find IPVS: %w", err), c.Close())
	}
	return c, nil
}

// Close closes the socket.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// Flush empties the whole table.
func (c *Conn) Flush() error {
	c.begin(c.family, cmdFlush, unix.NLM_F_REQUEST)
	return c.exchange(nil)
}

// Load adds services with their servers, many messages in one send. The kernel answers
// each message that it refuses, and the last of each send.
func (c *Conn) Load(services []Service) error {
	for _, s := range services {
		if err := c.room(); err != nil {
			return err
		}
		c.service(s)
		for _, d := range s.Servers {
			if err := c.room(); err != nil {
				return err
			}
			c.server(s, d)
		}
	}
	if len(c.out) == 0 {
		return nil
	}
	return c.exchange(nil)
}

// Services lists the addresses of services, without their servers.
func (c *Conn) Services() ([]netip.AddrPort, error) {
	c.begin(c.family, cmdGetService, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	var out []netip.AddrPort
	err := c.exchange(func(body []byte) {
		for kind, nested := range attrs(body) {
			if kind == attrService {
				out = append(out, addressOf(nested, serviceAddress, servicePort))
			}
		}
	})
	return out, err
}

// Servers lists the servers of one service.
func (c *Conn) Servers(service netip.AddrPort) ([]Server, error) {
	c.begin(c.family, cmdGetDest, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	outer := c.open(attrService)
	c.key(service)
	c.shut(outer)
	var out []Server
	err := c.exchange(func(body []byte) {
		for kind, nested := range attrs(body) {
			if kind != attrDest {
				continue
			}
			s := Server{Address: addressOf(nested, destAddress, destPort)}
			for kind, v := range attrs(nested) {
				if kind == destWeight {
					s.Weight = binary.NativeEndian.Uint32(v)
				}
			}
			out = append(out, s)
		}
	})
	return out, err
}

// addressOf takes an address of two attributes.
func addressOf(b []byte, address, port uint16) netip.AddrPort {
	var a netip.Addr
	var p uint16
	for kind, v := range attrs(b) {
		switch kind {
		case address:
			a = netip.AddrFrom4([4]byte(v))
		case port:
			p = binary.BigEndian.Uint16(v)
		}
	}
	return netip.AddrPortFrom(a, p)
}

// room sends what has been written so far if there is much of it.
func (c *Conn) room() error {
	if len(c.out) < batchSize {
		return nil
	}
	return c.exchange(nil)
}

func (c *Conn) service(s Service) {
	c.begin(c.family, cmdNewService, unix.NLM_F_REQUEST)
	outer := c.open(attrService)
	c.key(s.Address)
	c.attr(serviceScheduler, append([]byte(s.Scheduler), 0))
	c.attr(serviceFlags, make([]byte, 8))
	c.u32(serviceTimeout, 0)
	c.attr(serviceNetmask, []byte{255, 255, 255, 255})
	c.shut(outer)
}

func (c *Conn) server(s Service, d Server) {
	c.begin(c.family, cmdNewDest, unix.NLM_F_REQUEST)
	outer := c.open(attrService)
	c.key(s.Address)
	c.shut(outer)
	outer = c.open(attrDest)
	c.address(destAddress, d.Address.Addr())
	c.u16(destFamily, unix.AF_INET)
	c.attr(destPort, binary.BigEndian.AppendUint16(nil, d.Address.Port()))
	c.u32(destForward, directRouting)
	c.u32(destWeight, d.Weight)
	c.u32(destUpper, 0)
	c.u32(destLower, 0)
	c.shut(outer)
}

func (c *Conn) key(a netip.AddrPort) {
	c.u16(serviceFamily, unix.AF_INET)
	c.u16(serviceProtocol, unix.IPPROTO_TCP)
	c.address(serviceAddress, a.Addr())
	c.attr(servicePort, binary.BigEndian.AppendUint16(nil, a.Port()))
}

// address writes one of 16 bytes, as a union nf_inet_addr has.
func (c *Conn) address(kind uint16, a netip.Addr) {
	var b [16]byte
	v := a.As4()
	copy(b[:], v[:])
	c.attr(kind, b[:])
}
