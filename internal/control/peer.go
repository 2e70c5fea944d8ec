package control

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// limit returns l with at most n connections open at once; others wait in the kernel's queue.
func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})} // one place for each connection
}

type limited struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{} // closed by Close
	once   sync.Once
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// A peer is the process at the other end of a connection, as the kernel names it (unix(7), SO_PEERCRED).
type peer struct{ uid, pid int64 }

type peerKey struct{}

// withPeer remembers a connection's peer; -1 stands for what the kernel does not say.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	p := peer{-1, -1}
	if l, ok := c.(*limitedConn); ok {
		c = l.Conn
	}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				if u, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
					p = peer{int64(u.Uid), int64(u.Pid)}
				}
			})
		}
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(ctx context.Context) peer {
	p, ok := ctx.Value(peerKey{}).(peer)
	if !ok {
		return peer{-1, -1}
	}
	return p
}
