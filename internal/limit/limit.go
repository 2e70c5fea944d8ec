// Package limit bounds how many connections a listener has open at once.
package limit

import (
	"net"
	"sync"
)

// Listener returns l with at most n connections open at once; others wait in the kernel's queue.
func Listener(l net.Listener, n int) net.Listener {
	return &listener{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})} // one place for each connection
}

type listener struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{} // closed by Close
	once   sync.Once
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
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
	return &Conn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// A Conn is a connection that has one of a Listener's places until it is closed.
type Conn struct {
	net.Conn
	release func()
}

// NetConn returns the connection itself, as of tls.Conn.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Close implements net.Conn.
func (c *Conn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
