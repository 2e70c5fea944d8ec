package agent

import (
	"context"
	"maps"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// trackBeat is how often vrrpd hears the trackers' states again: it starts anew without them.
const trackBeat = time.Second

// tell keeps vrrpd informed of plugin trackers until ctx ends. The loop hands states over
// through a.track, and this goroutine does the waiting.
func (a *Agent) tell(ctx context.Context) error {
	beat := time.NewTicker(trackBeat)
	defer beat.Stop()
	var states map[resource.TrackerKey]string
	for {
		select {
		case <-ctx.Done():
			return nil
		case states = <-a.track:
		case <-beat.C:
		}
		if len(states) == 0 {
			continue
		}
		c, cancel := context.WithTimeout(ctx, trackBeat)
		// A vrrpd that cannot be reached is reported by the subscription; the next beat tries again.
		_ = a.cfg.SendTrack(c, channel.Track{States: states})
		cancel()
	}
}

// offerTrack hands the trackers' states to tell if they changed; the newest wins.
func (a *Agent) offerTrack() {
	states := map[resource.TrackerKey]string{}
	for name, s := range a.trackers {
		states[resource.VRRPTracker{Type: "plugin", Target: name}.Key()] = string(s.verdict)
	}
	if maps.Equal(states, a.told) {
		return
	}
	a.told = states
	select {
	case <-a.track:
	default:
	}
	a.track <- states
}
