package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/internal/listening"
	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// errOld is the error of an answer that came from a worker which a reload replaced.
var errOld = errors.New("a worker of an earlier configuration answered")

// look asks everybody. What the master says does not wait for the runtime socket, which may
// stay silent until its share of the time is over.
func (w *watcher) look(ctx context.Context) *seen {
	s := &seen{}
	share := 85
	if w.master != nil {
		share = 60
	}
	runtime, cancel := context.WithTimeout(ctx, left(ctx)*time.Duration(share)/100)
	defer cancel()
	since := w.since()
	var wg sync.WaitGroup
	if w.master != nil {
		wg.Go(func() {
			a := w.master.askProcs(runtime, since.procs)
			s.procs, s.procsErr, since.procs = a.Value, a.Err, a.Asked
		})
	}
	if w.http != nil {
		wg.Go(func() { s.reply = w.http.send(runtime) })
	}
	if len(w.listen) > 0 { // which the kernel answers at once
		a := w.desk.listening.Ask(runtime, since.sockets, func(context.Context) ([]listening.Socket, error) { return listening.TCP() })
		s.sockets, s.listenErr, since.sockets = a.Value, a.Err, a.Asked
	}
	a := w.socket.ask(runtime, since.runtime, w.commands)
	s.err, since.runtime = a.Err, a.Asked
	if a.Value != nil {
		s.info, s.stats, s.garbled, s.clients = a.Value.info, a.Value.stats, a.Value.garbled, a.Value.clients
	}
	wg.Wait()
	w.asked(since)
	if s.info != nil && s.procs != nil && slices.ContainsFunc(s.procs.Old, func(p haproxy.Proc) bool { return int64(p.PID) == s.info.Number("Pid") }) {
		s.info, s.stats, s.err = nil, nil, errOld
	}
	if s.err != nil {
		w.lookCloser(ctx, s)
	}
	s.process = w.lookAtProcess(s)
	if s.info != nil && !s.through && s.err == nil && len(w.certs) > 0 {
		s.certs = w.lookAtCerts(ctx)
	}
	if w.managed != "" {
		s.structure = w.lookAtStructure(ctx, s)
	}
	return s
}

// left returns how long ctx has; a caller without a deadline has a second.
func left(ctx context.Context) time.Duration {
	if d, ok := ctx.Deadline(); ok {
		return time.Until(d)
	}
	return time.Second
}

// Moments are when what one knows was asked for.
type moments struct{ runtime, procs, sockets time.Time }

// since returns after which moments an answer is news. That of a process which has ended is
// none, however fresh.
func (w *watcher) since() moments {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held != nil && w.held.Ended() {
		now := time.Now()
		return moments{now, now, now}
	}
	return w.last
}

func (w *watcher) asked(m moments) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = m
}

// lookCloser finds out why the runtime socket did not answer. The master passes questions on to
// the worker by a connection of its own, one command at a time.
func (w *watcher) lookCloser(ctx context.Context, s *seen) {
	s.stopped = w.stoppedProcess(s)
	if w.master == nil || s.procs == nil || s.stopped != 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, left(ctx)*9/10)
	defer cancel()
	for k, command := range w.commands {
		reply, err := socket.Ask(ctx, w.master.path, "@1 "+command)
		if err != nil {
			return
		}
		if k == 0 {
			if s.info, err = haproxy.ParseInfo(reply); err != nil {
				s.info = nil
				return
			}
			s.through = true
			continue
		}
		stats, err := parseStats("\n" + reply)
		s.stats, s.garbled = append(s.stats, stats...), errors.Join(s.garbled, err)
	}
}

// silent reports whether connections are made and nothing comes; with EAGAIN so many wait
// already that not even a connection is made.
func silent(err error) bool {
	return errors.Is(err, socket.ErrSilent) || errors.Is(err, syscall.EAGAIN)
}

// stoppedProcess returns the pid of a worker or master that was stopped by a signal, or 0.
func (w *watcher) stoppedProcess(s *seen) int {
	w.mu.Lock()
	pids := []int{w.worker}
	if w.held != nil {
		pids = append(pids, w.held.PID)
	}
	w.mu.Unlock()
	if s.procs != nil {
		for _, p := range s.procs.Workers {
			pids = append(pids, p.PID)
		}
	}
	for _, pid := range pids {
		if pid == 0 {
			continue
		}
		if p, err := proc.Look(pid); err == nil && p.Stopped() && isHaproxy(p) {
			return pid
		}
	}
	return 0
}

// slots is how many clients of its runtime sockets haproxy serves at a time, unless `stats
// maxconn` says otherwise; the next one finds it as silent as if it were frozen.
const slots = 10

// runtimePart judges how the runtime socket answered.
func (w *watcher) runtimePart(s *seen) sdk.Part {
	bad := func(st sdk.Status, code, format string, args ...any) sdk.Part {
		p := part("runtime", st, code, format, args...)
		if s.through {
			p.Status, p.Detail = sdk.Warn, p.Detail+"; the master's socket answers"
		}
		return p
	}
	switch err := s.err; {
	case err == nil && s.garbled != nil:
		return part("runtime", sdk.Unknown, "GARBLED", "%v", s.garbled)
	case err == nil:
		return part("runtime", sdk.Pass, "", "answers")
	case errors.Is(err, errOld):
		return bad(sdk.Unknown, "OLD_WORKER", "%v", err)
	case silent(err) && s.stopped != 0:
		return bad(sdk.Fail, "FROZEN", "haproxy accepts connections and does not answer: process %d is stopped", s.stopped)
	case silent(err) && s.clients >= slots:
		return bad(sdk.Unknown, "CLI_FULL", "%d clients keep %s busy: haproxy serves no more, whether it works or not", s.clients, w.socket.path)
	case silent(err):
		return bad(sdk.Fail, "SILENT", "%v", socket.ErrSilent)
	case errors.Is(err, socket.ErrEmpty), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return bad(sdk.Fail, "EMPTY_REPLY", "%v", socket.ErrEmpty)
	case errors.Is(err, syscall.ECONNREFUSED):
		return bad(sdk.Fail, "REFUSED", "nobody listens on %s", w.socket.path)
	case errors.Is(err, syscall.ENOENT):
		return bad(sdk.Fail, "NO_SOCKET", "there is no socket %s", w.socket.path)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return bad(sdk.Unknown, "NO_PERMISSION", "this user may not connect to %s", w.socket.path)
	case errors.Is(err, haproxy.ErrReply):
		return bad(sdk.Fail, "NOT_HAPROXY", "what answers on %s is not haproxy", w.socket.path)
	default:
		return bad(sdk.Unknown, "ERROR", "%v", err)
	}
}
