package vrrpd

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/internal/vrrpd/successor"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
)

// Try returns why this program could not go on with what a predecessor leaves, which is
// read from r: neither with a state that it does not understand, nor without the secrets.
func Try(r io.Reader) error {
	l, err := successor.Read(r)
	if err != nil {
		return err
	}
	doc, err := newStore("").decode(l.State)
	if err != nil {
		return err
	}
	secrets, err := readSecrets(doc.Config)
	if err != nil {
		return err
	}
	return checkSecrets(doc.Config, secrets)
}

// inherit makes this process the one writer: it has the lock from its predecessor, or
// takes it.
func (u *upgrader) inherit(ctx context.Context, lock string) error {
	l, err := successor.Inherit()
	if err != nil {
		return err
	}
	if u.inherited = l; l == nil {
		u.lock, err = takeLock(ctx, lock)
		return err
	}
	if u.lock = os.NewFile(uintptr(l.Lock), lock); u.lock == nil {
		return fmt.Errorf("inherit lock: no file %d", l.Lock)
	}
	return successor.Running().Rename()
}

// open opens the wire, with what the predecessor heard by.
func (u *upgrader) open() (err error) {
	if u.inherited == nil {
		u.wire, err = wire.Open()
		return err
	}
	var lost error
	if u.wire, err, lost = wire.Inherit(u.inherited.Sockets); lost != nil {
		u.log.Warn("cannot go on with all sockets", "err", lost)
	}
	return err
}

// state is what the predecessor ran, from its legacy or from the state file.
func (u *upgrader) state(s *store) (saved, error) {
	if u.inherited == nil {
		return s.load()
	}
	return s.decode(u.inherited.State)
}

// resumed closes what nobody needs any more, and notes for how long nobody looked after
// the virtual routers.
func (u *upgrader) resumed(l *loop) {
	if u.inherited == nil {
		return
	}
	for _, p := range u.wire.Ports() {
		if why, ok := l.joined[p]; !ok || why != "" {
			u.wire.Leave(p)
		}
	}
	u.log.Info("program goes on", "version", build.Version, "gap", u.wire.Now()-u.inherited.Stopped)
}

// listen returns the channel's listener: the first time the inherited one, in whose queue
// clients may wait already.
func (u *upgrader) listen(path string) (net.Listener, error) {
	lis, err := u.inheritedListener()
	if lis == nil {
		if err != nil {
			u.log.Warn("cannot go on with the channel", "err", err)
		}
		if lis, err = listen(path); err != nil {
			return nil, err
		}
	}
	own, _ := lis.(*net.UnixListener)
	u.listener.Store(own)
	return lis, nil
}

func (u *upgrader) inheritedListener() (net.Listener, error) {
	if u.inherited == nil || u.inherited.Listener < 0 || u.listener.Load() != nil {
		return nil, nil
	}
	f := os.NewFile(uintptr(u.inherited.Listener), "listener")
	defer f.Close() // FileListener has a copy
	lis, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("inherit listener: %w", err)
	}
	return lis, nil
}
