package vrrpd

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// secrets are those of every test here.
var secrets = map[string]string{"vrrp": strings.Repeat("k", vrrp.MinKey), "next": strings.Repeat("n", vrrp.MinKey)}

// third is a peer that does not sign.
var third = peer.Next()

// signing is an instance that signs and believes who does.
func signing() resource.VRRPInstance {
	i := instance(100)
	i.Auth, i.AuthKeys, i.AuthActive, i.Peers = resource.AuthPermissive, "1=vrrp", 1, resource.NewList(peer.String(), third.String())
	return i
}

// configureWith is configure with secrets.
func configureWith(t *testing.T, l *loop, k *fakeKernel, i resource.VRRPInstance, secrets map[string]string) {
	t.Helper()
	c := &command{
		request: channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{i}}},
		secrets: secrets, reply: make(chan channel.Response, 1),
	}
	k.queue = append(k.queue, input{kind: inCommand, command: c})
	round(t, l)
	if r := <-c.reply; r.Error != "" {
		t.Fatal(r.Error)
	}
}

// signedBy is an advert of the peer, signed at that time of day.
func signedBy(t *testing.T, key string, at time.Time) input {
	t.Helper()
	auth, err := vrrp.NewAuth(vrrp.AuthConfig{
		Mode: resource.AuthPermissive, Keys: map[uint8][]byte{1: []byte(key)}, Active: 1, Interval: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	a := vrrp.Advert{Version: 3, VRID: 7, Priority: 200, Interval: time.Second, Addresses: []netip.Addr{vip.Addr()}}
	letter, err := vrrp.NewLetter(&a, peer, vrrp.Multicast4, vrrp.FormPseudo, auth, nil)
	if err != nil {
		t.Fatal(err)
	}
	return input{kind: inAdvert, port: wire.Port{Index: 3}, packet: slices.Clone(letter.Packet(200, at))}
}

// TestReplayIsRefusedForEver hears one advert again after whatever makes vrrpd forget.
func TestReplayIsRefusedForEver(t *testing.T) {
	k, dir := newFake(), t.TempDir()
	l := bootWith(t, k, dir, secrets)
	i := signing()
	configureWith(t, l, k, i, secrets)
	advert := signedBy(t, secrets["vrrp"], k.wall())
	hear := func(when string, received, replayed uint64) {
		t.Helper()
		k.queue = append(k.queue, advert)
		round(t, l)
		if got := l.routers[0].rejects; got[vrrp.Admitted] != received || got[vrrp.RejectReplay] != replayed {
			t.Errorf("%s: %d received and %d replayed, want %d and %d", when, got[vrrp.Admitted], got[vrrp.RejectReplay], received, replayed)
		}
	}
	hear("the first time", 1, 0)
	hear("again", 1, 1)
	i.Auth = resource.AuthEnforce
	configureWith(t, l, k, i, secrets)
	hear("in another mode", 1, 2)
	flush(t, l)
	l = bootWith(t, k, dir, secrets)
	hear("after a restart", 0, 1)
}

// TestKeyThatIsReplacedCounts: a secret may change where no configuration does.
func TestKeyThatIsReplacedCounts(t *testing.T) {
	k := newFake()
	l := bootWith(t, k, t.TempDir(), secrets)
	configureWith(t, l, k, signing(), secrets)
	configureWith(t, l, k, signing(), map[string]string{"vrrp": secrets["next"]})
	for key, want := range map[string]vrrp.Reject{"vrrp": vrrp.RejectHMAC, "next": vrrp.Admitted} {
		before := l.routers[0].rejects[want]
		k.queue = append(k.queue, signedBy(t, secrets[key], k.wall()))
		round(t, l)
		if l.routers[0].rejects[want] != before+1 {
			t.Errorf("what key %s signed is not %v", key, want)
		}
	}
}

// TestRouterWithoutItsSecretIsInFault, and runs once the secret is there.
func TestRouterWithoutItsSecretIsInFault(t *testing.T) {
	k, dir := newFake(), t.TempDir()
	l := bootWith(t, k, dir, secrets)
	configureWith(t, l, k, signing(), secrets)
	roundsFor(t, l, k, time.Second)
	flush(t, l)
	l = bootWith(t, k, dir, nil)
	wantState(t, l, vrrp.Fault)
	if got, want := l.routers[0].reason, "secret vrrp cannot be read"; got != want {
		t.Errorf("reason = %q, want %q", got, want)
	}
	configureWith(t, l, k, signing(), secrets)
	wantState(t, l, vrrp.Backup)
}

// TestClockAlarmNamesWhoSigned: an unsigned advert says nothing about a clock.
func TestClockAlarmNamesWhoSigned(t *testing.T) {
	k := newFake()
	l := bootWith(t, k, t.TempDir(), secrets)
	configureWith(t, l, k, signing(), secrets)
	k.queue = append(k.queue, signedBy(t, secrets["vrrp"], k.wall().Add(-4*time.Second)))
	round(t, l)
	alert := func() []string {
		return ask(t, l, k, channel.Request{Query: &channel.Query{}}).Status.Instances[0].Alerts
	}
	if got := alert(); len(got) != 1 || !strings.Contains(got[0], "clocks of 10.0.0.2") {
		t.Fatalf("alerts = %q, want the clock of %v", got, peer)
	}
	for range 60 {
		k.queue = append(k.queue, advertFrom(t, third, 200))
		roundsFor(t, l, k, time.Second)
	}
	if got := alert(); len(got) != 0 {
		t.Errorf("alerts = %q a minute later, want none", got)
	}
}
