package limit

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// queue is a listener of connections that are there already.
type queue struct{ conns chan net.Conn }

func (q queue) Accept() (net.Conn, error) { return <-q.conns, nil }
func (q queue) Close() error              { return nil }
func (q queue) Addr() net.Addr            { return nil }

func TestOneTooManyWaitsForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue{make(chan net.Conn, 3)} // all of them come at once
		for range cap(q.conns) {
			a, b := net.Pipe()
			defer b.Close()
			q.conns <- a
		}
		l := Listener(q, 2)
		first, _ := l.Accept()
		second, _ := l.Accept()
		defer second.Close()
		accepted := make(chan error, 1) // it may be read late
		go func() {
			c, err := l.Accept()
			if err == nil {
				defer c.Close()
			}
			accepted <- err
		}()
		synctest.Wait()
		select {
		case <-accepted:
			t.Fatal("there are three connections at once, want two")
		default:
		}
		first.Close()
		first.Close() // gives its place back once
		if err := <-accepted; err != nil {
			t.Errorf("Accept() = %v once there is a place, want nil", err)
		}
	})
}

func TestCloseEndsTheWaitForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue{make(chan net.Conn, 1)} // one comes at once
		a, b := net.Pipe()
		defer b.Close()
		q.conns <- a
		l := Listener(q, 1)
		c, _ := l.Accept()
		defer c.Close()
		done := make(chan error, 1) // it may be read late
		go func() {
			_, err := l.Accept()
			done <- err
		}()
		synctest.Wait()
		l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept() = %v after Close, want net.ErrClosed", err)
		}
	})
}
