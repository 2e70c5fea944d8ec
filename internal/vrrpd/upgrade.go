package vrrpd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrpd/successor"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
)

// An upgrader lets another program go on as this process, between two rounds of the loop.
// Peers and systemd do not notice: the sockets, the lock and the process stay.
type upgrader struct {
	inherited *successor.Legacy // nil in the first program of a process
	lock      *os.File
	wire      *wire.Wire // for the loop's goroutine
	submit    func(context.Context, *command) channel.Response
	stopping  func() bool // the process was told to end
	notify    *notifier
	ring      *ring
	log       *slog.Logger

	listener atomic.Pointer[net.UnixListener] // the channel's

	scheduled bool                   // under SCHED_RR
	locked    bool                   // in memory
	refused   atomic.Pointer[string] // why it is not, if the configuration asks for it
	wanted    bool                   // what the configuration asked for last; for run only
	tried     bool                   // to follow that

	mu sync.Mutex // one change of programs at a time
}

// logFlush bounds how long the log may keep a loop that is about to end.
const logFlush = 5 * time.Millisecond

// upgrade goes on as the program on disk. It returns only if that is not possible, and
// then nothing has changed.
func (u *upgrader) upgrade(ctx context.Context) error {
	if !u.mu.TryLock() {
		return errors.New("an upgrade is under way")
	}
	defer u.mu.Unlock()
	p, err := successor.OnDisk()
	if err != nil {
		return err
	}
	var trial *successor.Legacy
	err = u.between(ctx, true, func(state json.RawMessage) error {
		trial = u.legacy(state)
		return nil
	})
	if err != nil {
		return err
	}
	says, err := successor.Try(ctx, p, trial)
	if err != nil {
		return err
	}
	u.log.Info("program is replaced", "by", says, "program", p.Path)
	return u.between(ctx, true, func(state json.RawMessage) error { return u.exec(p, u.legacy(state)) })
}

// between calls f between two rounds of the loop, with what a successor has to know. It is
// another program, or the same one anew.
func (u *upgrader) between(ctx context.Context, another bool, f func(json.RawMessage) error) error {
	if resp := u.submit(ctx, &command{handOver: f, another: another}); resp.Error != "" {
		return errors.New(resp.Error)
	}
	return nil
}

// handOver is the loop's part of between.
func (l *loop) handOver(c *command) error {
	doc := l.saved()
	if c.another {
		doc.Upgrades++
	}
	state, err := json.Marshal(l.store.stamp(doc))
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return c.handOver(state)
}

// legacy is what this process would leave now.
func (u *upgrader) legacy(state json.RawMessage) *successor.Legacy {
	l := &successor.Legacy{
		State: state, Lock: int(u.lock.Fd()), Listener: -1, Sockets: u.wire.Files(), Realtime: u.asked(),
	}
	if lis := u.listener.Load(); lis != nil {
		if raw, err := lis.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { l.Listener = int(fd) }) // without it, the successor listens anew
		}
	}
	return l
}

// exec ends this program, on the loop's thread. It returns if that is not possible.
func (u *upgrader) exec(p successor.Program, l *successor.Legacy) error {
	if u.stopping() {
		return errors.New("vrrpd is stopping")
	}
	l.Stopped = u.wire.Now()
	u.ring.flush(logFlush)
	_ = u.notify.say(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic()/time.Microsecond))
	err := successor.Exec(p, l)
	_ = u.notify.say("READY=1")
	return err
}

// monotonic is the time of the clock that sd_notify(3) wants.
func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for a clock that exists
	return time.Duration(ts.Nano())
}

// run upgrades at each signal, and keeps realtime as the configuration asks.
func (u *upgrader) run(ctx context.Context, signals <-chan os.Signal, b *board) {
	for {
		status, news := b.read()
		if status != nil {
			u.follow(ctx, status)
		}
		select {
		case <-signals:
			if err := u.upgrade(ctx); err != nil {
				u.log.Error("program is not replaced", "err", err)
			}
		case <-news:
		case <-ctx.Done():
			return
		}
	}
}

// flush waits until the lines before it are written, but not for long.
func (r *ring) flush(patience time.Duration) {
	written := make(turn)
	select {
	case r.shared.lines <- line{to: written}:
	default:
		return // there is no room, which is not the successor's fault
	}
	select {
	case <-written:
	case <-time.After(patience):
	}
}

// A turn is a line of the log that only says that its turn has come.
type turn chan struct{}

// Enabled implements slog.Handler.
func (m turn) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (m turn) Handle(context.Context, slog.Record) error {
	close(m)
	return nil
}

// WithAttrs implements slog.Handler.
func (m turn) WithAttrs([]slog.Attr) slog.Handler { return m }

// WithGroup implements slog.Handler.
func (m turn) WithGroup(string) slog.Handler { return m }
