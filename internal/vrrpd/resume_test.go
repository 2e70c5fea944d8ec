package vrrpd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// killed is what a MASTER leaves behind when its process ends without a word.
func killed(t *testing.T) (*fakeKernel, string) {
	t.Helper()
	k, dir := newFake(), t.TempDir()
	l := boot(t, k, dir)
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{instance(100)}})
	roundsFor(t, l, k, 5*time.Second)
	wantState(t, l, vrrp.Master)
	flush(t, l)
	k.sent, k.script, k.added, k.deleted = nil, nil, 0, 0
	return k, dir
}

func TestRestartInTimeAdopts(t *testing.T) {
	k, dir := killed(t)
	k.t += 1900 * time.Millisecond // the last advert was at most one second before
	l := boot(t, k, dir)
	wantState(t, l, vrrp.Master)
	if len(k.sent) != 1 || k.sent[0] != 100 {
		t.Errorf("sent %v, want one advert at once", k.sent)
	}
	if k.added+k.deleted != 0 || l.repairs != 0 {
		t.Errorf("%d added, %d deleted, %d repairs, want the address untouched", k.added, k.deleted, l.repairs)
	}
	if got := l.routers[0].transitions; got != 2 { // to BACKUP and to MASTER, by the predecessor
		t.Errorf("transitions = %d, want 2", got)
	}
}

func TestRestartMendsWhatWentMeanwhile(t *testing.T) {
	k, dir := killed(t)
	k.addrs = nil
	l := boot(t, k, dir)
	wantState(t, l, vrrp.Master)
	if len(k.addrs) != 1 || l.repairs != 1 {
		t.Errorf("addresses %v after %d repairs, want it back", k.addrs, l.repairs)
	}
}

func TestRestartToAnotherMasterStartsAsBackup(t *testing.T) {
	k, dir := killed(t)
	k.queue = append(k.queue, advertFrom(t, peer, 90))
	l := boot(t, k, dir)
	wantState(t, l, vrrp.Backup)
	if len(k.sent) != 0 || len(k.addrs) != 0 {
		t.Errorf("sent %v and kept %v, want neither", k.sent, k.addrs)
	}
}

func TestRestartWithoutAClaimWithdraws(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, k *fakeKernel, state string){
		"a silence that peers have noticed": func(_ *testing.T, k *fakeKernel, _ string) { k.t += 4 * time.Second },
		"a clock before the last advert":    func(_ *testing.T, k *fakeKernel, _ string) { k.t -= time.Hour },
		"another version":                   replaceInState(`"version":1,"boot_id"`, `"version":9,"boot_id"`),
		"another boot":                      replaceInState(`"boot_id":"`, `"boot_id":"x`),
		"another namespace":                 replaceInState(`"netns":`, `"netns":1`),
		"half a file":                       func(t *testing.T, _ *fakeKernel, p string) { edit(t, p, func(s string) string { return s[:len(s)/2] }) },
		"no state file":                     func(t *testing.T, _ *fakeKernel, p string) { remove(t, p) },
		"no page":                           func(t *testing.T, _ *fakeKernel, p string) { remove(t, p+".sent") },
	} {
		t.Run(name, func(t *testing.T) {
			k, dir := killed(t)
			spoil(t, k, filepath.Join(dir, "state"))
			l := boot(t, k, dir)
			if len(k.sent) != 0 || len(k.addrs) != 0 {
				t.Errorf("sent %v and kept %v, want neither", k.sent, k.addrs)
			}
			if len(l.routers) > 0 {
				wantState(t, l, vrrp.Backup)
			}
		})
	}
}

func TestOnlyMarkedLeftoversAreWithdrawn(t *testing.T) {
	k, dir := killed(t)
	foreign := rtnl.Address{Index: 3, Prefix: vip, Forever: true}
	k.addrs = []rtnl.Address{foreign}
	k.t += 4 * time.Second
	boot(t, k, dir)
	if len(k.addrs) != 1 {
		t.Error("an address without our mark was removed")
	}
}

func TestTrackerWordsOutliveARestart(t *testing.T) {
	k, dir := newFake(), t.TempDir()
	l := boot(t, k, dir)
	i := instance(100)
	i.Gates = "plugin/web"
	configure(t, l, k, channel.Config{
		Instances: []resource.VRRPInstance{i},
		Trackers:  []resource.VRRPTracker{{Type: "plugin", Target: "web", Hold: resource.Duration(time.Minute), OnUnknown: "down"}},
	})
	wantState(t, l, vrrp.Fault) // on_unknown, before the first word
	k.queue = append(k.queue, input{kind: inCommand, command: &command{presence: 1, reply: make(chan channel.Response, 1)}})
	ask(t, l, k, channel.Request{Track: &channel.Track{States: map[string]string{"plugin/web": "up", "plugin/other": "down"}}})
	wantState(t, l, vrrp.Backup)
	roundsFor(t, l, k, time.Hour)
	wantState(t, l, vrrp.Master) // an agent that stays connected need not repeat itself
	flush(t, l)

	l = boot(t, k, dir)
	wantState(t, l, vrrp.Master) // the word holds though the agent is not back yet
	roundsFor(t, l, k, 58*time.Second)
	wantState(t, l, vrrp.Master)
	roundsFor(t, l, k, 4*time.Second)
	wantState(t, l, vrrp.Fault)
	if got := l.routers[0].reason; got != "tracker plugin/web is unknown" {
		t.Errorf("reason = %q", got)
	}
}

func TestUnmeasuredTrackerHolds(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	i := instance(100)
	i.Gates = "plugin/web"
	configure(t, l, k, channel.Config{
		Instances: []resource.VRRPInstance{i},
		Trackers:  []resource.VRRPTracker{{Type: "plugin", Target: "web", Hold: resource.Duration(time.Minute), OnUnknown: "up"}},
	})
	wantState(t, l, vrrp.Backup)
	say := func(word string) {
		ask(t, l, k, channel.Request{Track: &channel.Track{States: map[string]string{"plugin/web": word}}})
	}
	k.queue = append(k.queue, input{kind: inCommand, command: &command{presence: 1, reply: make(chan channel.Response, 1)}})
	say("down")
	wantState(t, l, vrrp.Fault)
	say("")
	roundsFor(t, l, k, 50*time.Second)
	wantState(t, l, vrrp.Fault)
	roundsFor(t, l, k, 11*time.Second)
	if l.routers[0].m.State() == vrrp.Fault {
		t.Error("the last word counts beyond its hold")
	}
}

func replaceInState(old, new string) func(*testing.T, *fakeKernel, string) {
	return func(t *testing.T, _ *fakeKernel, path string) {
		edit(t, path, func(s string) string {
			if !strings.Contains(s, old) {
				t.Fatalf("no %s in %s", old, s)
			}
			return strings.Replace(s, old, new, 1)
		})
	}
}

func edit(t *testing.T, path string, f func(string) string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(f(string(b))), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestRestartIsNoTransition restarts a router in each state that it can come back in.
func TestRestartIsNoTransition(t *testing.T) {
	web := resource.VRRPTracker{Type: resource.TrackPlugin, Target: "web", OnUnknown: down}
	for state, priority := range map[vrrp.State]uint8{vrrp.Fault: 100, vrrp.Backup: 100, vrrp.Master: 255} {
		k, dir := newFake(), t.TempDir()
		l := boot(t, k, dir)
		i := instance(priority)
		i.StartDelay = resource.Duration(10 * time.Second)
		if state == vrrp.Fault {
			i.Gates = resource.List(web.Key())
		}
		configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}, Trackers: []resource.VRRPTracker{web}})
		roundsFor(t, l, k, 11*time.Second)
		wantState(t, l, state)
		before := l.routers[0]
		flush(t, l)
		k.t += time.Second
		l = boot(t, k, dir)
		wantState(t, l, state)
		if got := l.routers[0]; got.transitions != before.transitions || !got.since.Equal(before.since) {
			t.Errorf("%v: %d transitions, the last at %v, want %d at %v", state, got.transitions, got.since, before.transitions, before.since)
		}
		flush(t, l)
		if state == vrrp.Master { // which peers have noticed this time, though the owner is MASTER again at once
			k.t += 5 * time.Second
			i.StartDelay = 0
			configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
			flush(t, l)
			k.t += 5 * time.Second
			if l = boot(t, k, dir); l.routers[0].transitions != before.transitions+1 {
				t.Errorf("%d transitions after an outage, want %d", l.routers[0].transitions, before.transitions+1)
			}
		}
	}
}

// TestDelaysGoOnAfterARestart: who upgrades again and again must not put them off.
func TestDelaysGoOnAfterARestart(t *testing.T) {
	k, dir := newFake(), t.TempDir()
	l := boot(t, k, dir)
	i := instance(100)
	i.StartDelay, i.PreemptDelay = resource.Duration(time.Minute), resource.Duration(time.Minute)
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
	restart := func() {
		roundsFor(t, l, k, time.Second) // so that what is saved last is written
		flush(t, l)
		l = boot(t, k, dir)
	}
	end := k.t + time.Minute
	roundsFor(t, l, k, 40*time.Second)
	restart()
	wantState(t, l, vrrp.Init)
	roundsFor(t, l, k, end-k.t+time.Second)
	wantState(t, l, vrrp.Backup)
	end = k.t + time.Minute
	for k.t < end-20*time.Second {
		k.queue = append(k.queue, advertFrom(t, peer, 90))
		roundsFor(t, l, k, time.Second)
	}
	restart()
	for k.t < end+time.Second {
		wantState(t, l, vrrp.Backup)
		k.queue = append(k.queue, advertFrom(t, peer, 90))
		roundsFor(t, l, k, time.Second)
	}
	for range 5 { // it discards them now
		k.queue = append(k.queue, advertFrom(t, peer, 90))
		roundsFor(t, l, k, time.Second)
	}
	wantState(t, l, vrrp.Master)
}

// TestAdoptionInTimeOfTheVersion: the skew of version 2 is a part of a second.
func TestAdoptionInTimeOfTheVersion(t *testing.T) {
	for _, c := range []struct {
		version  int
		silence  time.Duration
		adoption bool
	}{
		{2, 30*time.Second + 3*time.Millisecond, true},
		{2, 30*time.Second + 5*time.Millisecond, false},
		{3, 30*time.Second + 38*time.Millisecond, true},
		{3, 30*time.Second + 41*time.Millisecond, false},
	} {
		k, dir := newFake(), t.TempDir()
		l := boot(t, k, dir)
		i := instance(100)
		i.Version, i.Interval = c.version, resource.Duration(10*time.Second)
		configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
		roundsFor(t, l, k, time.Minute)
		wantState(t, l, vrrp.Master)
		flush(t, l)
		k.t = l.store.sent(l.routers[0].slot) + c.silence
		if got := boot(t, k, dir).routers[0].m.State() == vrrp.Master; got != c.adoption {
			t.Errorf("version %d, silent for %v: adopted %v, want %v", c.version, c.silence, got, c.adoption)
		}
	}
}

// TestWhoLeftIsNotAdopted kills a router just after it gave mastership away, before that
// was written to the state file.
func TestWhoLeftIsNotAdopted(t *testing.T) {
	k, dir := newFake(), t.TempDir()
	l := boot(t, k, dir)
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{instance(100)}})
	roundsFor(t, l, k, 5*time.Second)
	wantState(t, l, vrrp.Master)
	flush(t, l)
	ask(t, l, k, channel.Request{Resign: &channel.Resign{}})
	wantState(t, l, vrrp.Backup)
	k.sent = nil
	l = boot(t, k, dir)
	wantState(t, l, vrrp.Backup)
	if len(k.sent) != 0 || len(k.addrs) != 0 {
		t.Errorf("sent %v and kept %v, want neither", k.sent, k.addrs)
	}
}
