package ipvs

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sctpSocket returns a socket that is bound to an address, as those of TCP are. It gives up
// after a while.
func sctpSocket(at netip.AddrPort, wait time.Duration) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err != nil {
		return 0, err
	}
	limit := unix.NsecToTimeval(int64(wait))
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_FREEBIND, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}))
	return fd, err
}

// listenSCTP answers each association with the host's name until the test ends.
func (h *host) listenSCTP(t *testing.T, at netip.AddrPort) {
	t.Helper()
	var fd int
	h.ns.Do(func() {
		var err error
		if fd, err = sctpSocket(at, 50*time.Millisecond); err == nil {
			err = unix.Listen(fd, 16)
		}
		if err != nil {
			t.Fatalf("listen for sctp on %s: %v", at, err)
		}
	})
	done := make(chan struct{}) // closed by the goroutine
	go func() {
		defer close(done)
		for t.Context().Err() == nil { // to close the socket would not end the wait
			c, _, err := unix.Accept(fd)
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
				continue
			}
			if err != nil {
				return
			}
			_, _ = unix.Write(c, []byte(h.name))
			_ = unix.Close(c)
		}
	}()
	t.Cleanup(func() {
		<-done
		_ = unix.Close(fd)
	})
}

// askSCTP returns the name of the server that takes a new association of the client's.
func (w *world) askSCTP(t *testing.T, from netip.Addr, to netip.AddrPort) string {
	t.Helper()
	w.port++
	b := make([]byte, 100)
	n := 0
	w.client.Do(func() {
		fd, err := sctpSocket(netip.AddrPortFrom(from, uint16(w.port)), patience)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != nil {
			t.Fatalf("connect by sctp: %v", err)
		}
		if n, err = unix.Read(fd, b); err != nil {
			t.Fatalf("read by sctp: %v", err)
		}
	})
	return string(b[:n])
}
