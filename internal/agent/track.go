package agent

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// trackBeat is how often vrrpd hears the trackers' states again: it starts anew without them.
const trackBeat = time.Second

// A trackBook has the states of plugin trackers on their way to vrrpd. They do not pass
// through the loop, which may be in the middle of a long change: the address must move while
// a haproxy is reloaded that has just died of it.
type trackBook struct {
	wake chan struct{} // has room for one token: something is different. Never closed.

	mu     sync.Mutex
	states map[string]reconcile.Verdict
}

func newTrackBook() *trackBook {
	return &trackBook{wake: make(chan struct{}, 1), states: map[string]reconcile.Verdict{}}
}

// hear takes the verdict of a tracker that the loop named before.
func (b *trackBook) hear(name string, v reconcile.Verdict) {
	b.mu.Lock()
	was, known := b.states[name]
	if known {
		b.states[name] = v
	}
	b.mu.Unlock()
	if known && was != v {
		b.rouse()
	}
}

// name takes what trackers there are. Of one that is new here the loop's word counts, of the
// others what was heard, which may be newer.
func (b *trackBook) name(trackers map[string]trackerState) {
	b.mu.Lock()
	fresh := false
	maps.DeleteFunc(b.states, func(name string, _ reconcile.Verdict) bool { _, ok := trackers[name]; return !ok })
	for name, s := range trackers {
		if _, known := b.states[name]; !known {
			b.states[name], fresh = s.verdict, true
		}
	}
	b.mu.Unlock()
	if fresh {
		b.rouse()
	}
}

func (b *trackBook) rouse() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *trackBook) message() channel.Track {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[resource.TrackerKey]string, len(b.states))
	for name, v := range b.states {
		out[resource.VRRPTracker{Type: "plugin", Target: name}.Key()] = string(v)
	}
	return channel.Track{States: out}
}

// tell keeps vrrpd informed of plugin trackers until ctx ends.
func (a *Agent) tell(ctx context.Context) error {
	beat := time.NewTicker(trackBeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.track.wake:
		case <-beat.C:
		}
		m := a.track.message()
		if len(m.States) == 0 {
			continue
		}
		c, cancel := context.WithTimeout(ctx, trackBeat)
		// A vrrpd that cannot be reached is reported by the subscription; the next beat tries again.
		_ = a.cfg.SendTrack(c, m)
		cancel()
	}
}
