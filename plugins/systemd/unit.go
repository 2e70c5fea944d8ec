package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A unit watches one unit.
type unit struct {
	config
	buses *buses
	bus   *bus
	once  sync.Once     // of the end
	turn  chan struct{} // holds one while Check or Watch looks; guards history
	history
}

var (
	_ sdk.Watcher = (*unit)(nil)
	_ io.Closer   = (*unit)(nil)
)

func newUnit(c config, b *buses) *unit {
	return &unit{config: c, buses: b, bus: b.get(c.bus), turn: make(chan struct{}, 1)}
}

// Close implements io.Closer.
func (u *unit) Close() error {
	u.once.Do(func() { u.buses.put(u.bus) })
	return nil
}

// Check implements sdk.Instance.
func (u *unit) Check(ctx context.Context) (sdk.Result, error) {
	l, err := u.bus.connect(ctx)
	if err != nil {
		return sdk.Result{}, err
	}
	r, _, err := u.check(ctx, l)
	return r, err
}

// check looks and judges. Who looks first judges first, so that what was counted of restarts
// never goes back.
func (u *unit) check(ctx context.Context, l *line) (sdk.Result, dbus.ObjectPath, error) {
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	case <-ctx.Done():
		return sdk.Result{}, "", errors.New("systemd does not answer")
	}
	s, err := u.look(ctx, l)
	if err != nil {
		return sdk.Result{}, "", err
	}
	r, err := u.judge(s, &u.history, time.Now())
	return r, s.path, err
}

// A row is what systemd says of a unit in a list of units.
type row struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	JobID                                           uint32
	Job                                             string
	JobPath                                         dbus.ObjectPath
}

// look asks what state the unit is in. systemd looks for the unit's file if it does not have
// it in memory, which is how it keeps most that are inactive.
func (u *unit) look(ctx context.Context, l *line) (state, error) {
	path := unitPath(u.unit)
	get := func(of, name string) *dbus.Call { return l.ask(ctx, path, properties+".Get", of, name) }
	list := l.ask(ctx, managerObj, manager+".ListUnitsByNames", []string{u.unit})
	frozen := get(systemd+".Unit", "FreezerState")
	restarts := get(systemd+".Service", "NRestarts")
	var rows []row
	if err := l.answer(list, &rows); err != nil {
		return state{}, err
	}
	if len(rows) != 1 {
		return state{}, fmt.Errorf("systemd named %d units instead of %s", len(rows), u.unit)
	}
	r := rows[0]
	s := state{path: r.Path, load: r.Load, active: r.Active, sub: r.Sub, job: r.Job}
	err := errors.Join(property(l, frozen, &s.frozen), property(l, restarts, &s.restarts))
	if err != nil || s.active == "active" {
		return s, err
	}
	of := unitInterface(u.unit)
	result, code, status := get(of, "Result"), get(of, "ExecMainCode"), get(of, "ExecMainStatus")
	return s, errors.Join(property(l, result, &s.result), property(l, code, &s.code), property(l, status, &s.status))
}

// lookTime is how long a look may take that Watch makes, and how long after one that came to
// nothing it makes the next.
const lookTime = 2 * time.Second

// Watch implements sdk.Watcher: it tells at once of what systemd tells, and of the failure
// that it finds when it begins.
func (u *unit) Watch(ctx context.Context, changed func(sdk.Result)) error {
	l, r, path, err := u.begin(ctx)
	if err != nil {
		return err
	}
	word := make(chan struct{}, 1) // one is enough: whoever reads it looks at all
	stop, err := l.watch(ctx, path, word)
	if err != nil {
		return err
	}
	defer stop()
	if r.Status == sdk.Fail {
		changed(r)
	}
	word <- struct{}{} // it may have changed before it was watched
	for last, wait := r, time.Duration(0); ; {
		var overdue <-chan time.Time
		if wait > 0 {
			overdue = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.conn.Context().Done():
			return errClosed
		case <-overdue:
		case <-word:
		}
		r, err := u.again(ctx, l)
		wait = 0
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil: // systemd executes itself again, for instance
			wait = lookTime
			continue
		case r.Status == sdk.Unknown: // nobody tells when the grace ends
			wait = u.grace
		}
		if r.Status != last.Status || r.Code != last.Code {
			changed(r)
		}
		last = r
	}
}

// begin connects and looks for the first time.
func (u *unit) begin(ctx context.Context) (*line, sdk.Result, dbus.ObjectPath, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	l, err := u.bus.connect(ctx)
	if err != nil {
		return nil, sdk.Result{}, "", err
	}
	r, path, err := u.check(ctx, l)
	return l, r, path, err
}

func (u *unit) again(ctx context.Context, l *line) (sdk.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	r, _, err := u.check(ctx, l)
	return r, err
}
