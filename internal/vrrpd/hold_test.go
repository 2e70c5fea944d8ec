package vrrpd

import (
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// besideLower lets time pass in which a master of lower priority is heard in every round.
func besideLower(t *testing.T, l *loop, k *fakeKernel, d time.Duration) {
	t.Helper()
	for end := k.t + d; k.t < end; {
		k.queue = append(k.queue, advertFrom(t, peer, 100))
		round(t, l)
	}
}

func handOver(hold time.Duration) channel.Request {
	return channel.Request{Resign: &channel.Resign{Hold: hold}}
}

// TestHoldEnds by itself, at a release and when nobody else is heard.
func TestHoldEnds(t *testing.T) {
	held := func(t *testing.T) (*loop, *fakeKernel) {
		t.Helper()
		l, k := started(t, 200)
		roundsFor(t, l, k, 4*time.Second)
		ask(t, l, k, handOver(time.Minute))
		besideLower(t, l, k, 50*time.Second)
		wantState(t, l, vrrp.Backup)
		if s := l.status().Instances[0]; s.HoldUntil.IsZero() {
			t.Errorf("status does not tell of the hold: %+v", s)
		}
		return l, k
	}
	t.Run("by itself", func(t *testing.T) {
		l, k := held(t)
		besideLower(t, l, k, 15*time.Second)
		wantState(t, l, vrrp.Master)
	})
	t.Run("at a release", func(t *testing.T) {
		l, k := held(t)
		ask(t, l, k, channel.Request{Release: &channel.Release{}})
		if s := l.status().Instances[0]; !s.HoldUntil.IsZero() {
			t.Errorf("status tells of a hold: %+v", s)
		}
		besideLower(t, l, k, 4*time.Second)
		wantState(t, l, vrrp.Master)
	})
	t.Run("in silence", func(t *testing.T) {
		l, k := held(t)
		roundsFor(t, l, k, 4*time.Second)
		wantState(t, l, vrrp.Master)
		if s := l.status().Instances[0]; !s.HoldUntil.IsZero() {
			t.Errorf("status tells of a hold: %+v", s)
		}
	})
}

// TestHoldOutlivesTheProcess, but not its time.
func TestHoldOutlivesTheProcess(t *testing.T) {
	for _, priority := range []uint8{200, 255} {
		k, dir := newFake(), t.TempDir()
		l := boot(t, k, dir)
		configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{instance(priority)}})
		roundsFor(t, l, k, 5*time.Second)
		ask(t, l, k, handOver(time.Minute))
		besideLower(t, l, k, 10*time.Second)
		flush(t, l)
		l = boot(t, k, dir)
		besideLower(t, l, k, 45*time.Second)
		wantState(t, l, vrrp.Backup)
		besideLower(t, l, k, 15*time.Second)
		wantState(t, l, vrrp.Master)
	}
}

// TestAResignationWithoutHold is what a vrrpd takes a hold for that does not know holds.
func TestAResignationWithoutHold(t *testing.T) {
	l, k := started(t, 200)
	roundsFor(t, l, k, 4*time.Second)
	ask(t, l, k, handOver(0))
	wantState(t, l, vrrp.Backup)
	besideLower(t, l, k, 4*time.Second)
	wantState(t, l, vrrp.Master)
	if r := ask(t, l, k, channel.Request{Release: &channel.Release{Instances: []string{"eth1/7/ipv4"}}}); r.Error == "" {
		t.Error("releasing an unknown instance is no error")
	}
	ask(t, l, k, channel.Request{Release: &channel.Release{}})
	wantState(t, l, vrrp.Master)
}
