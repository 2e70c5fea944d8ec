package control

import (
	"context"
	"net"
	"syscall"

	"github.com/hareconcile/hareconcile/internal/limit"
)

// A caller is the process at the other end of a connection, as the kernel names it (unix(7), SO_PEERCRED).
type caller struct{ uid, pid int64 }

type callerKey struct{}

// withCaller remembers a connection's caller; -1 stands for what the kernel does not say.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	p := caller{-1, -1}
	if l, ok := c.(*limit.Conn); ok {
		c = l.NetConn()
	}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				if u, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
					p = caller{int64(u.Uid), int64(u.Pid)}
				}
			})
		}
	}
	return context.WithValue(ctx, callerKey{}, p)
}

func callerOf(ctx context.Context) caller {
	p, ok := ctx.Value(callerKey{}).(caller)
	if !ok {
		return caller{-1, -1}
	}
	return p
}
