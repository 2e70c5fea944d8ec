package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Handler answers requests. ctx is one value for the whole of a connection and ends
// with it. Handle calls reply once; for Subscribe, now and after every change until ctx
// ends or reply fails.
type Handler interface {
	Handle(ctx context.Context, r Request, reply func(Response) error)
}

const (
	maxConns     = 64              // more are closed at once
	writeTimeout = 5 * time.Second // for a client that does not read
	frameTimeout = 5 * time.Second // from a frame's first byte to its last
)

// Serve accepts connections from root and from our own user until ctx ends, and then
// waits for their handlers. It closes l.
func Serve(ctx context.Context, l net.Listener, h Handler) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxConns)
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ECONNABORTED):
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		case err != nil:
			return fmt.Errorf("accept: %w", err)
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			serveConn(ctx, conn, h)
		})
	}
}

// serveConn handles requests in turn; a new frame, or the end, also ends a subscription.
func serveConn(ctx context.Context, conn net.Conn, h Handler) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	reply := func(r Response) error {
		r.Version = Version
		_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		return WriteFrame(conn, r)
	}
	if err := allowed(conn); err != nil {
		_ = reply(Response{Error: err.Error()})
		return
	}
	for {
		var r Request
		err := readRequest(conn, &r)
		if err == nil {
			err = r.check()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				_ = reply(Response{Error: err.Error()})
			}
			return
		}
		if r.Subscribe != nil {
			subscribe(ctx, cancel, conn, h, r, reply)
			return
		}
		h.Handle(ctx, r, reply)
	}
}

// subscribe runs a subscription until the client hangs up or says anything more.
func subscribe(ctx context.Context, cancel func(), conn net.Conn, h Handler, r Request, reply func(Response) error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer conn.Close()                    // unblocks the read below
	_ = conn.SetReadDeadline(time.Time{}) // that of the request's frame: a subscriber is silent
	wg.Go(func() {
		defer cancel()
		var one [1]byte
		_, _ = conn.Read(one[:])
	})
	h.Handle(ctx, r, reply)
}

// readRequest waits for a first byte without limit and for the rest of the frame with one.
func readRequest(conn net.Conn, r *Request) error {
	_ = conn.SetReadDeadline(time.Time{})
	return ReadFrame(&firstByte{conn: conn}, r)
}

// A firstByte sets a read deadline once something was read.
type firstByte struct {
	conn net.Conn
	seen bool
}

// Read implements io.Reader.
func (f *firstByte) Read(b []byte) (int, error) {
	n, err := f.conn.Read(b)
	if n > 0 && !f.seen {
		f.seen = true
		_ = f.conn.SetReadDeadline(time.Now().Add(frameTimeout))
	}
	return n, err
}

// allowed lets root and our own user in, by what the kernel says of the other end.
func allowed(conn net.Conn) error {
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("not a Unix socket")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return fmt.Errorf("look at the peer: %w", err)
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, credErr); err != nil {
		return fmt.Errorf("look at the peer: %w", err)
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("user %d may not talk to vrrpd", cred.Uid)
	}
	return nil
}
