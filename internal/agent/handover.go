package agent

import (
	"context"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A handedOver is what this node gave away for a change, and vrrpd does not take back.
type handedOver struct {
	ids  []string // vrrp_instance ID names; nothing if there is none
	told bool     // that it came back all the same
}

// handOver has vrrpd give instances away. The hold lasts for an attempt and for the way back;
// it ends by itself should this agent not be there to end it.
func (a *Agent) handOver(ctx context.Context, ids []string) {
	a.away = handedOver{ids: ids}
	hold := min(2*healthyDeadline(a.rev.Cluster), channel.MaxHold)
	a.works.Go(func() {
		if err := a.cfg.Resign(ctx, ids, hold); err != nil && ctx.Err() == nil {
			a.cfg.Log.Warn("vrrpd does not hand over", "err", err)
		}
	})
}

// comeBack ends the hold once the change for which it was is over, one way or the other.
func (a *Agent) comeBack(ctx context.Context) {
	ids := a.away.ids
	switch {
	case len(ids) == 0:
		return
	case a.attempt != nil && !a.away.told && slices.ContainsFunc(ids, a.leads):
		a.away.told = true
		a.cfg.Log.Warn("master again before the change is over: nobody else was heard, or vrrpd is of an older release", "router", strings.Join(ids, ", "))
		return
	case a.attempt != nil, a.turn.phase.InFlight():
		return
	}
	a.away = handedOver{}
	a.works.Go(func() {
		if err := a.cfg.Release(ctx, ids); err != nil && ctx.Err() == nil {
			a.cfg.Log.Warn("vrrpd does not end the hold before its time", "router", strings.Join(ids, ", "), "err", err)
		}
	})
}

// leads reports whether this node is master of an instance.
func (a *Agent) leads(id string) bool { return a.facts.Roles[id] == reconcile.RoleMaster }
