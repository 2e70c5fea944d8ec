package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// The names of what systemd serves (org.freedesktop.systemd1(5)).
const (
	systemd    = "org.freedesktop.systemd1"
	managerObj = "/org/freedesktop/systemd1"
	manager    = "org.freedesktop.systemd1.Manager"
	properties = "org.freedesktop.DBus.Properties"
)

// silence is how long a connection may owe answers before another one is made. The bus keeps
// order, so a connection that was answered since is a good one, and systemd is slow.
const silence = 5 * time.Second

var errClosed = errors.New("the bus closed the connection")

// buses are the buses that the units of this process are asked over, each by one connection:
// a bus allows a user no more than 256 (dbus-daemon(1), max_connections_per_user).
type buses struct {
	mu    sync.Mutex
	known map[string]*bus
}

// get returns the bus whose socket is at path. Who has got it puts it back.
func (b *buses) get(path string) *bus {
	b.mu.Lock()
	defer b.mu.Unlock()
	out, ok := b.known[path]
	if !ok {
		out = &bus{path: path, turn: make(chan struct{}, 1)}
		b.known[path] = out
	}
	out.users++
	return out
}

func (b *buses) put(done *bus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if done.users--; done.users > 0 {
		return
	}
	delete(b.known, done.path)
	done.close()
}

// A bus is connected to when it is needed.
type bus struct {
	path  string
	users int           // guarded by buses.mu
	turn  chan struct{} // holds one while somebody connects

	mu     sync.Mutex
	line   *line // nil before the first connection; it may have ended
	closed bool
}

func (b *bus) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.line != nil {
		b.line.close()
	}
}

// current returns the connection, if there is one that has not ended.
func (b *bus) current() *line {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line == nil || b.line.conn.Context().Err() != nil {
		return nil
	}
	return b.line
}

// connect returns the connection, or makes one.
func (b *bus) connect(ctx context.Context) (*line, error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("the bus at %s does not answer", b.path)
	}
	if l := b.current(); l != nil {
		return l, nil
	}
	l, err := dial(ctx, b.path)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		l.close()
		return nil, errors.New("the tracker was removed")
	}
	b.line = l
	return l, nil
}

// A line is one connection to a bus, on which systemd tells what changes.
type line struct {
	conn *dbus.Conn

	mu      sync.Mutex
	heard   time.Time // when systemd answered last
	waiting map[dbus.ObjectPath]map[chan<- struct{}]bool
}

var _ dbus.SignalHandler = (*line)(nil)

// dial connects, and has systemd tell this connection what changes.
func dial(ctx context.Context, path string) (*line, error) {
	life, end := context.WithCancel(context.Background()) // outlives ctx
	stop := context.AfterFunc(ctx, end)
	l := &line{heard: time.Now(), waiting: map[dbus.ObjectPath]map[chan<- struct{}]bool{}}
	conn, err := dbus.Connect("unix:path="+dbus.EscapeBusAddressValue(path), dbus.WithContext(life), dbus.WithSignalHandler(l))
	if err == nil {
		l.conn = conn
		err = l.call(ctx, managerObj, manager+".Subscribe").Err
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil {
		return l, nil
	}
	end() // closes the connection too
	if ctx.Err() != nil {
		return nil, fmt.Errorf("the bus at %s does not answer", path)
	}
	return nil, fmt.Errorf("connect to the bus at %s: %w", path, plain(err))
}

func (l *line) close() { _ = l.conn.Close() } // nothing is lost: questions change nothing

// ask sends a question to systemd. Questions that are sent one after the other are answered
// in this order, so several wait no longer than one.
func (l *line) ask(ctx context.Context, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return l.conn.Object(systemd, path).GoWithContext(ctx, method, dbus.FlagNoAutoStart, nil, args...)
}

// call sends a question and waits for the answer.
func (l *line) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return <-l.ask(ctx, path, method, args...).Done
}

// answer reads the answer to a question into results.
func (l *line) answer(call *dbus.Call, results ...any) error {
	<-call.Done
	l.mu.Lock()
	defer l.mu.Unlock()
	switch err := call.Err; {
	case err != nil && l.conn.Context().Err() != nil:
		return errClosed
	case errors.Is(err, context.DeadlineExceeded):
		if time.Since(l.heard) > silence {
			l.close()
		}
		return errors.New("systemd does not answer")
	case err != nil:
		return fmt.Errorf("ask systemd: %w", plain(err))
	}
	l.heard = time.Now()
	return call.Store(results...)
}

// property reads the answer to a question for a property, or nothing where this systemd or
// this type of unit does not have it.
func property[T any](l *line, call *dbus.Call, result *T) error {
	var v dbus.Variant
	err := l.answer(call, &v)
	var refused dbus.Error
	if errors.As(err, &refused) && (refused.Name == "org.freedesktop.DBus.Error.UnknownProperty" || refused.Name == "org.freedesktop.DBus.Error.UnknownInterface") {
		return nil
	}
	if err != nil {
		return err
	}
	return v.Store(result)
}

// plain says what some errors of D-Bus mean here.
func plain(err error) error {
	var refused dbus.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
		return errors.New("systemd is not on this bus")
	case "org.freedesktop.DBus.Error.AccessDenied":
		return fmt.Errorf("the bus forbids it: %w", refused)
	}
	return refused
}

// DeliverSignal implements dbus.SignalHandler. It does not block.
func (l *line) DeliverSignal(_, _ string, s *dbus.Signal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.waiting[s.Path] {
		select {
		case c <- struct{}{}:
		default: // one word waits already
		}
	}
}

// watch has changed told of every change of the unit at path. The channel takes one word
// that nobody waits for. stop ends it.
func (l *line) watch(ctx context.Context, path dbus.ObjectPath, changed chan<- struct{}) (stop func(), err error) {
	match := []dbus.MatchOption{
		dbus.WithMatchSender(systemd), dbus.WithMatchObjectPath(path),
		dbus.WithMatchInterface(properties), dbus.WithMatchMember("PropertiesChanged"),
	}
	if err := l.conn.AddMatchSignalContext(ctx, match...); err != nil {
		return nil, fmt.Errorf("ask the bus for changes: %w", plain(err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[path] == nil {
		l.waiting[path] = map[chan<- struct{}]bool{}
	}
	l.waiting[path][changed] = true
	return func() {
		l.mu.Lock()
		delete(l.waiting[path], changed)
		if len(l.waiting[path]) == 0 {
			delete(l.waiting, path)
		}
		l.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), silence)
		defer cancel()
		_ = l.conn.RemoveMatchSignalContext(ctx, match...) // only noise is left if it fails
	}, nil
}
