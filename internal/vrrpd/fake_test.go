package vrrpd

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A fakeKernel is a wire and a host in memory. Time passes in wait alone.
type fakeKernel struct {
	t       time.Duration
	sleep   time.Duration // how much longer than asked the next wait takes
	queue   []input
	stall   time.Duration // how long the process is stopped after its next last read
	sent    []uint8       // the priorities of adverts
	quiet   bool          // do not record them
	eth0    link
	addrs   []address
	added   int
	deleted int
	garps   int
	script  []string // what happened, in order
}

func (k *fakeKernel) now() time.Duration { return k.t }

func (k *fakeKernel) wait(d time.Duration) error {
	k.t += max(d, 0) + k.sleep
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

func (k *fakeKernel) send(_ int, packet []byte) error {
	if !k.quiet {
		k.sent = append(k.sent, packet[22])
		k.script = append(k.script, "send")
	}
	return nil
}

func (k *fakeKernel) links() ([]link, error)        { return []link{k.eth0}, nil }
func (k *fakeKernel) join(link) error               { return nil }
func (k *fakeKernel) leave(int)                     {}
func (k *fakeKernel) addresses() ([]address, error) { return append([]address(nil), k.addrs...), nil }
func (k *fakeKernel) announce(link, netip.Addr) error {
	k.garps++
	return nil
}
func (k *fakeKernel) marks() bool { return true }

func (k *fakeKernel) addAddress(ifindex int, p netip.Prefix, replace bool) error {
	for i, a := range k.addrs {
		if a.ifindex == ifindex && a.prefix == p {
			if !replace {
				return unix.EEXIST
			}
			k.addrs = append(k.addrs[:i], k.addrs[i+1:]...)
			break
		}
	}
	k.addrs = append(k.addrs, address{ifindex, p, true, true})
	k.added++
	k.script = append(k.script, "add")
	return nil
}

func (k *fakeKernel) deleteAddress(ifindex int, p netip.Prefix) error {
	for i, a := range k.addrs {
		if a.ifindex == ifindex && a.prefix == p {
			k.addrs = append(k.addrs[:i], k.addrs[i+1:]...)
			k.deleted++
			k.script = append(k.script, "delete")
			break
		}
	}
	return nil
}

var (
	self, peer = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	vip        = netip.MustParsePrefix("10.0.0.100/24")
)

func newFake() *fakeKernel {
	return &fakeKernel{t: time.Hour, eth0: link{index: 3, name: "eth0", up: true, running: true, arp: true}}
}

// boot starts a loop on k with the state in dir.
func boot(t *testing.T, k *fakeKernel, dir string) *loop {
	t.Helper()
	st, prev, err := openStore(filepath.Join(dir, "state"))
	if err != nil {
		t.Logf("open state: %v", err)
	}
	n, err := newNotifier()
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(k, k, st, newBoard(), n, slog.New(slog.DiscardHandler))
	if err := l.resume(prev); err != nil {
		t.Fatal(err)
	}
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
	a := vrrp.Advert{VRID: 7, Priority: priority, Interval: time.Second, Addresses: []netip.Addr{vip.Addr()}}
	b, err := a.AppendPacket(nil, from)
	if err != nil {
		t.Fatal(err)
	}
	return input{kind: inAdvert, ifindex: 3, packet: b}
}
