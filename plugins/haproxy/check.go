package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/listening"
	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A watcher watches one haproxy.
type watcher struct {
	desk          *desk
	socket        *counter // of the runtime socket
	master        *counter // of the master's, or nil
	commands      []string // what the runtime socket is asked
	pidfile, unit string
	cgroups       string // where systemd keeps what belongs to a unit

	frontends    []string
	listen       []netip.AddrPort
	pauseGrace   time.Duration
	restartGrace time.Duration

	backends       []string
	minUp          int
	minUpRatio     float64
	minWeightRatio float64
	countBackup    bool
	startupGrace   time.Duration

	warn, crit         float64
	maxOld             int
	maxOldAge          time.Duration
	managed            string // path of the file that hareconcile manages, or none
	certs              []string
	certWarn, certCrit float64 // days
	http               *request

	retarget chan struct{} // says that held is another; never closed

	mu     sync.Mutex // guards what follows; never held while asking
	last   moments    // of what it knows
	held   *proc.Process
	closed bool
	named  bool // held is what the pidfile, the unit or the master named
	worker int  // the pid that last answered
	naming naming
	paused map[string]paused    // what is not there and may come back, by its name
	loaded structure            // what is known of managed
	expiry map[string]certState // what was said of certs at expiryAt
	readAt time.Time
}

var _ sdk.Watcher = (*watcher)(nil)

// A seen is all that one check found out; it is judged without asking again.
type seen struct {
	info    haproxy.Info // nil if nobody said
	stats   []haproxy.Stat
	garbled error // of stats
	err     error // of the runtime socket
	through bool  // the master passed the question on
	clients int   // of the runtime socket, if err is silence
	stopped int   // the pid of a process that was stopped, if any

	procs    *haproxy.Procs
	procsErr error

	process   sdk.Part
	structure sdk.Part // none without managed
	sockets   []listening.Socket
	listenErr error
	certs     map[string]certState
	reply     *response
}

// Check implements sdk.Instance.
//
// haproxy is down if its process is gone, if nobody listens on the socket, if whoever does
// stays silent or does not answer like haproxy, if it is stopping, or if it lacks what the
// configuration asks for. What keeps the plugin from looking, such as missing permission, is
// unknown. Load, reloads and certificates only warn.
func (w *watcher) Check(ctx context.Context) (sdk.Result, error) {
	begin := time.Now()
	s := w.look(ctx)
	r := w.judge(s, begin)
	r.Metrics["check_seconds"] = time.Since(begin).Seconds()
	return r, nil
}

// Close implements io.Closer.
func (w *watcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	w.leave()
	if w.held == nil {
		return nil
	}
	err := w.held.Close()
	w.held = nil
	return err
}

// enter takes the watcher's places at the desk.
func (w *watcher) enter(socket, master string) {
	w.socket = w.desk.open(socket, w.commands)
	if master != "" {
		w.master = w.desk.open(master, nil)
	}
}

func (w *watcher) leave() {
	w.desk.leave(w.socket, w.commands)
	if w.master != nil {
		w.desk.leave(w.master, nil)
	}
}

// judge gives every part its verdict, and the whole.
func (w *watcher) judge(s *seen, now time.Time) sdk.Result {
	r := &report{metrics: map[string]float64{}, facts: map[string]string{}}
	runtime := w.runtimePart(s)
	process, runtime := w.restart(settle(s.process, runtime), runtime, now)
	r.add(process, moves)
	r.add(runtime, moves)
	if s.info != nil {
		r.stoppingPart(s.info)
		w.frontendParts(r, s, now)
		w.backendParts(r, s)
		w.capacityPart(r, s)
	}
	w.listenParts(r, s, now)
	w.reloadPart(r, s)
	r.add(s.structure, warns)
	w.certParts(r, s, now)
	w.httpPart(r, s)
	return r.result(s)
}
