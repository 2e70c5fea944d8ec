package vrrpd

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrpd/successor"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// answerTime is left to whoever changed the configuration to read the answer, before a
// successor starts with closed connections.
const answerTime = 200 * time.Millisecond

// settle looks at what the kernel gave this program: its scheduling policy is what its
// predecessor had when it ended.
func (u *upgrader) settle() {
	u.scheduled = successor.Realtime()
	switch {
	case u.scheduled:
		err := successor.LockMemory()
		if u.locked = err == nil; err != nil {
			u.refuse(err)
		}
	case u.asked():
		u.wanted, u.tried = true, true
		u.refuse(errors.New("the successor has no SCHED_RR"))
	}
}

// asked reports whether it was this process that asked for SCHED_RR.
func (u *upgrader) asked() bool { return u.inherited != nil && u.inherited.Realtime }

func (u *upgrader) refuse(err error) {
	why := err.Error()
	u.refused.Store(&why)
	u.log.Warn("no realtime", "err", why)
}

// follow turns realtime on or off if the configuration asks for that. What the kernel
// refuses is not asked for again before the configuration changes its mind.
func (u *upgrader) follow(ctx context.Context, s *channel.Status) {
	on := slices.ContainsFunc(s.Config.Instances, func(i resource.VRRPInstance) bool { return i.Realtime })
	if on != u.wanted {
		u.wanted, u.tried = on, false
	}
	// Where the service manager gave SCHED_RR, it is not ours to take.
	if on == u.scheduled || !on && !u.asked() || u.tried {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(answerTime):
	}
	u.tried = true
	if err := u.reschedule(ctx, on); err != nil && ctx.Err() == nil {
		u.refuse(err)
	}
}

// reschedule gives the loop's thread the policy and executes the same program anew, so
// that all of its threads have it. It returns if that is not possible.
func (u *upgrader) reschedule(ctx context.Context, on bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.log.Info("program starts anew to change its scheduling", "realtime", on)
	return u.between(ctx, false, func(state json.RawMessage) error {
		l := u.legacy(state)
		l.Realtime = on
		if err := successor.SetRealtime(on, niceness); err != nil {
			return err
		}
		err := u.exec(successor.Running(), l)
		_ = successor.SetRealtime(!on, niceness)
		return err
	})
}

// report puts into a status what only the upgrader knows.
func (u *upgrader) report(s *channel.Status) {
	s.Realtime = u.scheduled && u.locked
	why := u.refused.Load()
	if why == nil {
		return
	}
	for i := range s.Instances {
		if s.Config.Instances[i].Realtime {
			s.Instances[i].Alerts = append(s.Instances[i].Alerts, "no realtime: "+*why)
		}
	}
}
