package control

import (
	"context"
	"net"
	"syscall"

	"github.com/hareconcile/hareconcile/internal/limit"
)

// A peer is the process at the other end of a connection, as the kernel names it (unix(7), SO_PEERCRED).
type peer struct{ uid, pid int64 }

type peerKey struct{}

// withPeer remembers a connection's peer; -1 stands for what the kernel does not say.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	p := peer{-1, -1}
	if l, ok := c.(*limit.Conn); ok {
		c = l.NetConn()
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
