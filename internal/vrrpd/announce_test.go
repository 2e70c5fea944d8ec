package vrrpd

import (
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// refreshed is how many frames a MASTER sends in so many minutes, one of which passes
// first.
func refreshed(t *testing.T, l *loop, k *fakeKernel, minutes time.Duration) int {
	t.Helper()
	roundsFor(t, l, k, time.Minute)
	wantState(t, l, vrrp.Master)
	before := k.garps
	roundsFor(t, l, k, minutes*time.Minute)
	return k.garps - before
}

// TestRefreshFollowsTheConfiguration: an address that was given to another host must not
// be announced by this one any more.
func TestRefreshFollowsTheConfiguration(t *testing.T) {
	l, k := ruling(t)
	i := instance(200)
	i.Announce.Refresh = resource.Duration(30 * time.Second)
	for _, c := range []struct {
		claim     string
		addresses []string
		want      int
	}{
		{"a refresh that was not there", []string{vip.String()}, 20},
		{"an address more", []string{vip.String(), "10.0.0.101/24"}, 40},
		{"an address less", []string{"10.0.0.101/24"}, 20},
	} {
		i.Addresses = resource.NewList(c.addresses...)
		configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
		if got := refreshed(t, l, k, 10); got != c.want {
			t.Errorf("%s: %d frames, want %d", c.claim, got, c.want)
		}
	}
}

// TestAnotherMACIsAnnounced changes the address of the interface, as a bond does.
func TestAnotherMACIsAnnounced(t *testing.T) {
	l, k := ruling(t)
	before := k.garps
	k.eth0.MAC = [6]byte{2, 0, 0, 0, 0, 9}
	k.queue = append(k.queue, linkInput(k.eth0, false))
	round(t, l)
	if k.garps == before {
		t.Error("no announcement, want a burst: hosts know the address at the old MAC")
	}
	if got := l.table.Targets(l.routers[0].name)[0].MAC; got != k.eth0.MAC {
		t.Errorf("announced at %v, want %v", got, k.eth0.MAC)
	}
}
