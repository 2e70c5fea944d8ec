package vrrpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/channel"
)

// Options are where vrrpd keeps its things.
type Options struct {
	Socket string // of the channel
	State  string
	Lock   string
	Log    slog.Handler
	// Upgrade gets a signal when the program on disk shall take over.
	Upgrade <-chan os.Signal
}

// ErrLocked means that another process is the writer of VRRP addresses.
var ErrLocked = errors.New("another process holds the lock")

const (
	memoryLimit = 16 << 20
	// tidyAfter is how long nothing changes before memory is given back.
	tidyAfter    = 2 * time.Second
	niceness     = -15
	lockPatience = 2 * time.Second
	logPatience  = time.Second
	// commandRoom is how many requests may wait for the loop.
	commandRoom = 64
)

// Run runs virtual routers until ctx ends, resigns them, and returns nil. What they are
// comes over the channel, or from the state that a predecessor left.
func Run(ctx context.Context, o Options) error {
	ring := newRing(o.Log)
	log := slog.New(ring)
	up := &upgrader{ring: ring, log: log, stopping: func() bool { return ctx.Err() != nil }}
	if err := up.inherit(ctx, o.Lock); err != nil {
		return err
	}
	defer up.lock.Close()
	stop, drained := make(chan struct{}), make(chan struct{})
	go func() {
		ring.drain(stop)
		close(drained)
	}()
	defer func() {
		close(stop)
		select {
		case <-drained:
		case <-time.After(logPatience): // nobody reads the log
		}
	}()

	commands := make(chan *command, commandRoom)
	if err := up.open(); err != nil {
		return err
	}
	k, err := kernelOn(up.wire, commands)
	if err != nil {
		return err
	}
	defer k.close()
	st := newStore(o.State)
	mapErr := st.mapPage(o.State + ".sent")
	prev, err := up.state(st)
	if err = errors.Join(mapErr, err); err != nil {
		log.Warn("no state to resume", "err", err)
	}
	notify, err := newNotifier()
	if err != nil {
		log.Warn("cannot talk to systemd", "err", err)
	}
	up.notify = notify
	up.settle()
	board := newBoard()
	w := newWatching(k.mail.put, log)
	l := newLoop(k, k.conn, st, board, notify, w, log)
	srv := &server{commands: commands, wake: k.Wake, board: board, upgrader: up, done: make(chan struct{}), agent: map[context.Context]bool{}}
	l.upgrader, up.submit = up, srv.submit
	return drive(ctx, l, srv, w, st, prev, o)
}

// drive runs the loop, the writer of its state and the channel, and stops them in order.
func drive(ctx context.Context, l *loop, srv *server, w *watching, st *store, prev saved, o Options) error {
	var writer, chans sync.WaitGroup
	stop := make(chan struct{})
	writer.Go(func() { st.run(stop, l.log) })
	defer writer.Wait()
	defer close(stop)

	secrets, err := readSecrets(prev.Config)
	if err != nil {
		l.log.Error("router cannot run", "err", err)
	}
	w.sessions.Resume(prev.Sessions) // before the loop saves what there is
	ended := make(chan error, 1)     // the loop's one result
	resumed := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness) // best effort: this thread only
		l.resume(prev, secrets)
		l.upgrader.resumed(l)
		close(resumed)
		ended <- l.run()
		close(srv.done)
	}()
	tune()

	serving, cancel := context.WithCancel(ctx)
	defer chans.Wait()
	defer cancel()
	chans.Go(func() { w.run(serving) })
	<-resumed // nobody sees a router that is neither as it was nor as it will be
	listening := make(chan struct{})
	chans.Go(func() {
		serve(serving, func() (net.Listener, error) { return l.upgrader.listen(o.Socket) }, srv, l.log, sync.OnceFunc(func() { close(listening) }))
	})
	<-listening
	chans.Go(func() { l.upgrader.run(serving, o.Upgrade, srv.board) })
	if err != nil {
		chans.Go(func() { srv.rereadSecrets(serving, l.log) })
	}
	if err := l.notify.say("READY=1"); err != nil {
		l.log.Warn("cannot talk to systemd", "err", err)
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	srv.commands <- &command{stop: true, reply: make(chan channel.Response, 1)}
	srv.wake()
	return <-ended
}

// serve serves the channel until ctx ends, and calls tried once it listens or could not:
// without a socket, as on a full disk, the routers go on, and it tries again.
func serve(ctx context.Context, listen func() (net.Listener, error), h channel.Handler, log *slog.Logger, tried func()) {
	for {
		lis, err := listen()
		tried()
		if err == nil {
			err = channel.Serve(ctx, lis, h)
		}
		if ctx.Err() != nil {
			return
		}
		log.Error("cannot serve the channel", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter):
		}
	}
}

// tune keeps the garbage collector out of the way of a loop that allocates only when
// something changes.
func tune() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
	runtime.GOMAXPROCS(min(2, runtime.NumCPU())) // one for the loop, one for all else
}

// tidy gives back what changes have left: without it the heap keeps all garbage up to the
// limit. A process that needs more than half of the limit gets a higher one, so that the
// collector does not run without end.
func tidy() {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetMemoryLimit(max(memoryLimit, 2*int64(m.Sys-m.HeapReleased)))
}

// listen makes the socket, which only its owner may use.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// takeLock becomes the one writer. A predecessor that was just killed may take a moment
// to let go.
func takeLock(ctx context.Context, path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make run directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, ErrLocked)
		}
	}
}
