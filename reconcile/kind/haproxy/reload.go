package haproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/reconcile"
)

// errNotLoaded is that haproxy did not take what a reload was to bring.
var errNotLoaded = errors.New("the reload failed")

// reload writes the file and makes haproxy load it. If it does not, the last good file comes
// back; the old worker has not stopped serving. What is begun is finished, also when ctx ends.
func (n *node) reload(ctx context.Context, mr master, s step) error {
	ctx = context.WithoutCancel(ctx)
	held, err := n.held(ctx, s.m, s.record)
	if err != nil {
		return err
	}
	if s.running != "" && s.had != nil && sum(*s.had) == s.record.Written && haproxy.FileStructure(*s.had) == s.running {
		// It runs, so it is good: an agent that ended while it was loaded could not say so.
		if err := n.good(step{m: s.m, want: s.had}); err != nil {
			return err
		}
	}
	if s.want != nil {
		s.record.Loading = sum(*s.want)
		if err := n.remember(s.record); err != nil {
			return err
		}
	}
	if err := n.write(&s); err != nil {
		return err
	}
	failure := n.order(ctx, mr.procs, s.m, s.want != nil, s.structure)
	s.record.ReloadedAt = time.Now()
	if failure == nil {
		s.record.Loading = ""
		s.record.Failed, s.record.FailedAt, s.record.Reason, s.record.Grown = "", time.Time{}, "", nil
		n.carry(ctx, s.m, held)
		if s.want == nil {
			return n.good(s)
		}
		return errors.Join(n.remember(s.record), n.good(s))
	}
	if s.want != nil && errors.Is(failure, errNotLoaded) {
		s.record.Failed, s.record.FailedAt, s.record.Reason = sum(*s.want), s.record.ReloadedAt, fmt.Sprintf("%.400v", failure)
	}
	if s.m.Reload.Keep {
		s.record.Loading = ""
		return errors.Join(fmt.Errorf("%w; %s stays as it is (on_failure = keep)", failure, s.m.Path), n.remember(s.record))
	}
	return n.restore(ctx, s, held, failure)
}

// restore puts the last good file back, and reloads once more: a master whose reload failed
// waits without a configuration of its own (management.txt, section 4).
func (n *node) restore(ctx context.Context, s step, held []string, failure error) error {
	back := step{m: s.m, record: s.record, had: s.want, want: s.had, structure: s.running}
	b, err := disk.Read(n.statePath(s.m.Path, ".good"), maxFile)
	if good := string(b); err == nil && b != nil {
		back.want = &good
	}
	if err := n.write(&back); err != nil {
		return fmt.Errorf("%w; %w, so the file that failed is still there", failure, err)
	}
	back.record.Loading = ""
	if err := n.remember(back.record); err != nil {
		return errors.Join(failure, err)
	}
	mr, err := n.master(ctx, s.m)
	if err != nil {
		return fmt.Errorf("%w; the last good file is back, and the master does not answer: %w", failure, err)
	}
	if mr.procs.Master.Failed == 0 && back.structure != "" {
		if now, err := n.structure(ctx, s.m); err == nil && now == back.structure {
			return fmt.Errorf("%w; the last good file is back", failure)
		}
	}
	if err := n.order(ctx, mr.procs, s.m, back.structure != "", back.structure); err != nil {
		return fmt.Errorf("%w; the last good file is back and could not be loaded again either: %w", failure, err)
	}
	n.carry(ctx, s.m, held)
	return fmt.Errorf("%w; the last good file is back and loaded", failure)
}

// poll is how often the master is asked for the outcome of a reload.
const poll = 20 * time.Millisecond

// ending refuses a reload while the worker takes no new connections and only ends those that
// it has: whoever told haproxy to stop did not ask for a new worker, and a reload starts one.
// Such a worker has left the runtime socket, but the master still passes questions on to it.
func (n *node) ending(ctx context.Context, m Managed) error {
	reply, err := ask(ctx, m.MasterSocket, "@1 show info")
	if err != nil {
		return nil // there is nobody to ask, whom a reload may bring back
	}
	if info, err := haproxy.ParseInfo(reply); err == nil && info.Stopping() {
		return fmt.Errorf("%w: haproxy is stopping (process %s has connections left: %s), and a reload would start it anew",
			reconcile.ErrRefused, info["Pid"], info["CurrConns"])
	}
	return nil
}

// errIdle is a master that is at work on no reload, and whose worker has not what it should.
var errIdle = errors.New("the master has nothing to do")

// lost is how long a master is idle before it is told again. One that starts anew, for a
// reload that an agent ordered which ended then, closes connections without a word as well.
const lost = 2 * time.Second

// order has the master reload, and waits for a new worker that reports structure. loaded is
// whether it is to have the file.
func (n *node) order(ctx context.Context, before haproxy.Procs, m Managed, loaded bool, structure string) error {
	timeout := m.Reload.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	if err := accepted(ctx, m, tick); err != nil {
		return err
	}
	var last error
	var idle time.Time // since when the master has had nothing to do
	for {
		var done bool
		if done, last = n.outcome(ctx, before, m, loaded, structure); done {
			return last
		}
		switch {
		case !errors.Is(last, errIdle):
			idle = time.Time{}
		case idle.IsZero():
			idle = time.Now()
		case time.Since(idle) > lost:
			idle = time.Time{}
			if err := accepted(ctx, m, tick); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: not done after %v: %w", errNotLoaded, timeout, last)
		case <-tick.C:
		}
	}
}

// accepted has the master reload, as soon as it has time for it.
func accepted(ctx context.Context, m Managed, tick *time.Ticker) error {
	for {
		// Before 2.7 the master closes the connection without a word; since then it answers
		// when it is done.
		reply, err := socket.Ask(ctx, m.MasterSocket, "reload")
		if err != nil && !errors.Is(err, socket.ErrEmpty) {
			return fmt.Errorf("reload haproxy: %w", err)
		}
		if err = haproxy.ParseReload(reply); err == nil {
			return nil
		}
		if !errors.Is(err, haproxy.ErrBusy) {
			return fmt.Errorf("%w: %w", errNotLoaded, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("reload haproxy: %w", err)
		case <-tick.C:
		}
	}
}

// outcome returns what became of a reload, and whether that is final. While the master tries
// to bind it answers nobody.
func (n *node) outcome(ctx context.Context, before haproxy.Procs, m Managed, loaded bool, structure string) (done bool, err error) {
	reply, err := ask(ctx, m.MasterSocket, "show proc")
	if err != nil {
		return false, err
	}
	now, err := haproxy.ParseProcs(reply)
	switch {
	case err != nil:
		return false, err
	case now.Master.PID != before.Master.PID:
		return true, fmt.Errorf("%w: process %d of haproxy is gone, and %d took its place", errNotLoaded, before.Master.PID, now.Master.PID)
	case now.Master.Reloads <= before.Master.Reloads:
		return false, fmt.Errorf("%w: it has not begun", errIdle)
	case now.Master.Failed > 0:
		return true, fmt.Errorf("%w: the master reports it and the old worker serves on; haproxy's log says why", errNotLoaded)
	case !slices.ContainsFunc(now.Workers, func(p haproxy.Proc) bool { return !has(before, p.PID) }):
		return false, errors.New("there is no new worker")
	}
	running, err := n.structure(ctx, m)
	if err != nil {
		return false, err
	}
	if running != structure || loaded && running == "" {
		return false, fmt.Errorf("%w: the worker reports the fingerprint %q and not %q", errIdle, running, structure)
	}
	return true, nil
}

// has reports whether a process was there.
func has(p haproxy.Procs, pid int) bool {
	return slices.ContainsFunc(slices.Concat(p.Workers, p.Old), func(o haproxy.Proc) bool { return o.PID == pid })
}

// held returns the commands that give servers again what people gave them on a socket and a
// reload forgets: drain and maintenance of every server of the haproxy, the user's own among
// them, and weights where the definition leaves those to people.
//
// Where the definition moves the socket, they are on the old one.
func (n *node) held(ctx context.Context, m Managed, r record) ([]string, error) {
	socket := m.RuntimeSocket
	if r.Before.RuntimeSocket != "" {
		socket = r.Before.RuntimeSocket
	}
	reply, err := ask(ctx, socket, "show servers state")
	if errors.Is(err, errGone) {
		return nil, nil // nobody serves yet
	}
	if err != nil {
		return nil, err
	}
	list, err := haproxy.ParseServers(reply)
	if err != nil {
		return nil, fmt.Errorf("ask haproxy on %s: %w", socket, err)
	}
	var out []string
	for _, s := range list {
		name := s.Backend + "/" + s.Name
		if !sendable(name) {
			continue
		}
		known, ok := r.Servers[name]
		if state := admin(s); state != "ready" && (s.Admin&haproxy.AdminConfigMaint == 0 || known.Admin == "ready") {
			out = append(out, fmt.Sprintf("set server %s state %s", name, state))
		}
		if m.ignores("weight") && s.Weight != s.InitialWeight && (!ok || known.Weight != s.Weight) {
			out = append(out, fmt.Sprintf("set server %s weight %d", name, s.Weight))
		}
	}
	return out, nil
}

// carry sends what held returned to the new worker. A server that it does not have any more is
// no error.
func (n *node) carry(ctx context.Context, m Managed, commands []string) {
	for part := range slices.Chunk(commands, 100) {
		if _, err := ask(ctx, m.RuntimeSocket, part...); err != nil {
			n.Log.Warn("what people set on haproxy's socket is lost by a reload", "path", m.Path, "err", err)
			return
		}
	}
	if len(commands) > 0 {
		n.Log.Info("a reload kept what people set on haproxy's socket", "path", m.Path, "commands", len(commands))
	}
}
