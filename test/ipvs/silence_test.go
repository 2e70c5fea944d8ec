package ipvs

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A silence is a real server whose link layer is asked for its virtual addresses all the
// time, while our handlers make and unmake them.
type silence struct {
	server *nstest.NS
	hs     []reconcile.Handler
	probe  *prober
}

var (
	silentVIPs = []netip.Addr{
		netip.MustParseAddr("10.0.0.100"), netip.MustParseAddr("10.0.0.101"), netip.MustParseAddr("2001:db8::100"),
	}
	silentServer = spec.Server{Name: "rs1", Address: netip.MustParseAddr("10.0.0.2"), Weight: 1}
)

func newSilence(t *testing.T) *silence {
	t.Helper()
	client, server := nstest.New(t), nstest.New(t)
	nstest.Bridge(t, nstest.Host{NS: client, Device: "eth0"}, nstest.Host{NS: server, Device: "eth0"})
	client.Run("ip", "addr", "add", "10.0.0.1/24", "dev", "eth0")
	client.Run("ip", "addr", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
	server.Run("ip", "addr", "add", "10.0.0.2/24", "dev", "eth0")
	server.Run("ip", "addr", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
	s := &silence{server: server}
	server.Do(func() { s.hs = handlers(t)[:3] }) // without IPVS, which a real server has no use for
	s.probe = newProber(t, client, server, prober{
		own4: netip.MustParseAddr("10.0.0.1"), own6: netip.MustParseAddr("2001:db8::1"),
		peer4: netip.MustParseAddr("10.0.0.2"), peer6: netip.MustParseAddr("2001:db8::2"),
		virtual: silentVIPs,
	})
	go s.probe.run()
	return s
}

// speak sends from the virtual address to a neighbour that does not exist, as an answer to a
// client does: who asks for the neighbour's address tells the segment his own.
func (s *silence) speak(t *testing.T, to byte) {
	t.Helper()
	s.server.Do(func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if unix.Bind(fd, &unix.SockaddrInet4{Addr: silentVIPs[0].As4()}) != nil {
			return // the server does not have it now
		}
		if err := unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{10, 0, 0, to}, Port: 9}); err != nil {
			t.Fatal(err)
		}
	})
}

// serving returns a cluster in which the server serves some of the virtual addresses.
func serving(forward string, vips ...netip.Addr) *spec.Cluster {
	var services []spec.Service
	for _, a := range vips {
		services = append(services, spec.Service{Protocol: "tcp", Address: a, Port: 80})
	}
	if len(services) == 0 {
		return cluster([]spec.Server{silentServer})
	}
	return cluster([]spec.Server{silentServer}, spec.VirtualServer{Name: "web", Services: services, Scheduler: "wrr", Forward: forward})
}

func TestARealServerIsSilent(t *testing.T) { walk(t, 200, "dr") }

// walk goes from state to state at random. Some plans are broken off between two changes, as
// by a kill; at every change, or meanwhile, the server is asked.
func walk(t *testing.T, steps int, forwards ...string) {
	s := newSilence(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	held := 0
	for step := range steps {
		want := slices.Clone(silentVIPs)
		r.Shuffle(len(want), func(i, j int) { want[i], want[j] = want[j], want[i] })
		want = want[:r.IntN(len(want)+1)]
		if step == steps-1 {
			want = nil
		}
		c := serving(forwards[r.IntN(len(forwards))], want...)
		s.step(t, r, byte(110+step%100), c, step < steps-1)
		if s.has(silentVIPs[0]) {
			held++
		}
	}
	if held < steps/8 {
		t.Fatalf("the server had the address after %d steps: the test proves nothing", held)
	}
	if got := s.probe.stop(t); len(got) != 0 {
		t.Errorf("the server gave addresses away: %v, want none", got)
	}
	for _, key := range []string{"all", "lo"} {
		if out := s.server.Run("cat", "/proc/sys/net/ipv4/conf/"+key+"/arp_ignore"); out != "0\n" {
			t.Errorf("%s/arp_ignore = %q after everything was deleted, want the prior 0", key, out)
		}
	}
}

// step takes the server to where c wants it, or on the way there.
func (s *silence) step(t *testing.T, r *rand.Rand, neighbour byte, c *spec.Cluster, mayBreak bool) {
	t.Helper()
	to := target(t, c, "rs1", nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	look, left := r.IntN(3) > 0, -1
	s.server.Do(func() {
		p := plan(t, s.hs, to)
		if mayBreak && r.IntN(3) == 0 {
			left = r.IntN(len(p.Changes) + 1)
		}
		err := p.Apply(ctx, s.hs, func(reconcile.Change) {
			if look {
				s.probe.now(t)
			}
			if left--; left == 0 {
				cancel()
			}
		})
		if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
	})
	s.speak(t, neighbour)
	s.probe.now(t)
}

func (s *silence) has(a netip.Addr) bool {
	_, ok := s.server.Addresses()[a]
	return ok
}

// TestTheOrderIsWhatKeepsARealServerSilent makes the same changes the wrong way round.
func TestTheOrderIsWhatKeepsARealServerSilent(t *testing.T) {
	s := newSilence(t)
	v4 := silentVIPs[:2]
	for _, to := range [][]netip.Addr{v4, nil} {
		s.server.Do(func() {
			p := plan(t, s.hs, target(t, serving("dr", to...), "rs1", nil))
			slices.Reverse(p.Changes)
			if err := p.Apply(t.Context(), s.hs, func(reconcile.Change) { s.probe.now(t) }); err != nil {
				t.Fatal(err)
			}
		})
		s.speak(t, 200)
		s.probe.now(t)
	}
	s.server.Run("ip", "addr", "add", silentVIPs[2].String()+"/64", "dev", "eth0", "nodad")
	// The kernel makes the address heard a moment later (addrconf_dad_work).
	for end := time.Now().Add(10 * time.Second); s.probe.now(t)[silentVIPs[2]] == 0 && time.Now().Before(end); {
	}
	got := s.probe.stop(t)
	if len(got) != len(silentVIPs) {
		t.Errorf("the server gave away %v, want all of %v: the other test would prove nothing", got, silentVIPs)
	}
}
