package vrrpd

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/bfdd"
	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A fakeKernel is a lan and a kernel in memory. Time passes in wait alone.
type fakeKernel struct {
	t       time.Duration
	sleep   time.Duration // how much longer than asked the next wait takes
	queue   []input
	stall   time.Duration // how long the process is stopped after its next last read
	sent    []uint8       // the priorities of adverts
	quiet   bool          // do not record them
	mute    error         // why they cannot be sent
	ports   []wire.Port   // that are joined
	refuse  error         // why none can be
	routes  []rtnl.Route  // of others
	every   bool          // they matter
	eth0    rtnl.Link
	addrs   []rtnl.Address // of virtual routers
	added   int
	deleted int
	garps   int
	script  []string // what happened, in order
}

func (k *fakeKernel) now() time.Duration { return k.t }

func (k *fakeKernel) wall() time.Time { return time.Unix(1e9, 0).Add(k.t) }

func (k *fakeKernel) wait(until time.Duration) error {
	k.t = max(k.t, until) + k.sleep
	k.sleep = 0
	return nil
}

func (k *fakeKernel) next(in *input) bool {
	if len(k.queue) == 0 {
		*in = input{}
		k.t, k.stall = k.t+k.stall, 0
		return false
	}
	*in, k.queue = k.queue[0], k.queue[1:]
	return in.kind != inEnough
}

func (k *fakeKernel) send(_ int, _ netip.Addr, packet []byte) error {
	if k.mute != nil {
		return k.mute
	}
	if !k.quiet {
		k.sent = append(k.sent, packet[22])
		k.script = append(k.script, "send")
	}
	return nil
}

func (k *fakeKernel) frame(int, []byte) error {
	k.garps++
	return nil
}

func (k *fakeKernel) join(p wire.Port, _ string) error {
	if k.refuse == nil && !slices.Contains(k.ports, p) {
		k.ports = append(k.ports, p)
	}
	return k.refuse
}

func (k *fakeKernel) leave(p wire.Port) {
	k.ports = slices.DeleteFunc(k.ports, func(o wire.Port) bool { return o == p })
}

func (k *fakeKernel) filter(wire.Port, []wire.Known) error { return nil }
func (k *fakeKernel) Links() ([]rtnl.Link, error)          { return []rtnl.Link{k.eth0}, nil }
func (k *fakeKernel) Rules() ([]rtnl.Rule, error)          { return nil, nil }
func (k *fakeKernel) Marks() bool                          { return true }

func (k *fakeKernel) everyRoute(on bool) error {
	k.every = on
	return nil
}

func (k *fakeKernel) Routes(_ rtnl.RouteFilter, _ func(), f func(rtnl.Route)) error {
	for _, r := range k.routes {
		f(r)
	}
	return nil
}

func (k *fakeKernel) Addresses() ([]rtnl.Address, error) {
	own := rtnl.Address{Index: k.eth0.Index, Prefix: netip.PrefixFrom(self, 24), Forever: true}
	return append([]rtnl.Address{own}, k.addrs...), nil
}

func (k *fakeKernel) Do(reqs []rtnl.Request, errs []error) error {
	for i, r := range reqs {
		at := slices.IndexFunc(k.addrs, func(a rtnl.Address) bool {
			return a.Index == r.Address.Index && a.Prefix == r.Address.Prefix
		})
		switch {
		case r.Op == rtnl.AddAddress && at >= 0:
			errs[i] = unix.EEXIST
		case r.Op == rtnl.AddAddress, r.Op == rtnl.ReplaceAddress:
			if at >= 0 {
				k.addrs = slices.Delete(k.addrs, at, at+1)
			}
			a := r.Address
			a.Marked, a.Forever = true, true
			k.addrs = append(k.addrs, a)
			k.added++
			k.script = append(k.script, "add")
		case r.Op == rtnl.DeleteAddress && at >= 0:
			k.addrs = slices.Delete(k.addrs, at, at+1)
			k.deleted++
			k.script = append(k.script, "delete")
		}
	}
	return nil
}

// linkInput and addressInput are what the kernel reports.
func linkInput(k rtnl.Link, gone bool) input {
	return input{kind: inEvent, event: rtnl.Event{Kind: rtnl.LinkEvent, Link: k, Gone: gone}}
}

func addressInput(a rtnl.Address, gone bool) input {
	return input{kind: inEvent, event: rtnl.Event{Kind: rtnl.AddressEvent, Address: a, Gone: gone}}
}

// noWatchers watch nothing.
type noWatchers struct{}

func (noWatchers) set([]resource.VRRPTracker) {}
func (noWatchers) saved() []bfdd.Saved        { return nil }

var (
	self, peer = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	vip        = netip.MustParsePrefix("10.0.0.100/24")
)

func newFake() *fakeKernel {
	return &fakeKernel{t: time.Hour, eth0: rtnl.Link{Index: 3, Name: "eth0", Up: true, Running: true, ARP: true}}
}

// boot starts a loop on k with the state in dir.
func boot(t *testing.T, k *fakeKernel, dir string) *loop {
	t.Helper()
	return bootWith(t, k, dir, nil)
}

// bootWith is boot with secrets.
func bootWith(t *testing.T, k *fakeKernel, dir string, secrets map[string]string) *loop {
	t.Helper()
	st, prev, err := openStore(filepath.Join(dir, "state"))
	if err != nil {
		t.Logf("open state: %v", err)
	}
	n, err := newNotifier()
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(k, k, st, newBoard(), n, noWatchers{}, slog.New(slog.DiscardHandler))
	l.resume(prev, secrets)
	return l
}

// flush writes what the loop wants saved.
func flush(t *testing.T, l *loop) {
	t.Helper()
	select {
	case doc := <-l.store.docs:
		if err := l.store.write(doc); err != nil {
			t.Fatal(err)
		}
	default:
	}
}

func instance(priority uint8) resource.VRRPInstance {
	return resource.VRRPInstance{
		Interface: "eth0", VRID: 7, Version: 3, Priority: priority, Interval: resource.Duration(time.Second),
		Preempt: true, Addresses: resource.List(vip.String()), Source: self, Peers: resource.List(peer.String()),
	}
}

// ask sends one request through the queue and runs the round that answers it.
func ask(t *testing.T, l *loop, k *fakeKernel, r channel.Request) channel.Response {
	t.Helper()
	c := &command{request: r, reply: make(chan channel.Response, 1)}
	k.queue = append(k.queue, input{kind: inCommand, command: c})
	round(t, l)
	return <-c.reply
}

func configure(t *testing.T, l *loop, k *fakeKernel, c channel.Config) {
	t.Helper()
	if r := ask(t, l, k, channel.Request{Config: &c}); r.Error != "" {
		t.Fatal(r.Error)
	}
}

func round(t *testing.T, l *loop) {
	t.Helper()
	if err := l.round(); err != nil {
		t.Fatal(err)
	}
}

// roundsFor runs rounds for that long, by k's clock.
func roundsFor(t *testing.T, l *loop, k *fakeKernel, d time.Duration) {
	t.Helper()
	for end := k.t + d; k.t < end; {
		round(t, l)
	}
}

// advertFrom is an advert of a peer, as the raw socket delivers it.
func advertFrom(t testing.TB, from netip.Addr, priority uint8) input {
	t.Helper()
	a := vrrp.Advert{Version: 3, VRID: 7, Priority: priority, Interval: time.Second, Addresses: []netip.Addr{vip.Addr()}}
	l, err := vrrp.NewLetter(&a, from, vrrp.Multicast4, vrrp.FormPseudo, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := slices.Clone(l.Packet(priority, time.Time{}))
	return input{kind: inAdvert, port: wire.Port{Index: 3}, packet: b}
}
