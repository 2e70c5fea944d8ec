package track_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/track"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// segment is our host and another on a link, with both families.
func segment(t *testing.T) (us, them, bridge *nstest.NS) {
	t.Helper()
	nstest.Need(t, "root", "netns", "nsenter", "ip")
	us, them = nstest.New(t), nstest.New(t)
	for _, n := range []*nstest.NS{us, them} { // no waiting for duplicate address detection
		n.Run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0")
	}
	bridge = nstest.Bridge(t,
		nstest.Host{NS: us, Device: "eth0", Addresses: []string{"10.9.0.1/24", "10.9.0.11/24", "fd09::1/64"}},
		nstest.Host{NS: them, Device: "eth0", Addresses: []string{"10.9.0.2/24", "fd09::2/64", "fe80::9/64"}})
	return us, them, bridge
}

func ping(target string) resource.VRRPTracker {
	return resource.VRRPTracker{
		Type: resource.TrackPing, Target: target, Rise: 2, Fall: 3,
		Interval: resource.Duration(50 * ms), Timeout: resource.Duration(40 * ms),
	}
}

func TestPing(t *testing.T) {
	us, them, bridge := segment(t)
	b := watch(t, us)
	cfgs := []resource.VRRPTracker{ping("10.9.0.2"), ping("fd09::2"), ping("fe80::9"), ping("127.0.0.1"), ping("::1")}
	cfgs[0].Device, cfgs[0].Source = "eth0", netip.MustParseAddr("10.9.0.11")
	cfgs[1].Source = netip.MustParseAddr("fd09::1")
	cfgs[2].Device = "eth0"
	dead := []resource.VRRPTracker{ping("10.9.0.3"), ping("10.10.0.1"), ping("fd0a::1"), ping("10.9.0.2%eth1")}
	dead[3].Target, dead[3].Device = "fd09::3", "eth1"
	b.Set(append(cfgs, dead...))
	for _, c := range cfgs {
		b.waitState(c.Key(), track.Up)
	}
	for _, c := range dead {
		b.wait(c.Key(), func(r track.Result) bool { return r.State == track.Down && r.Message != "" })
	}

	bridge.Run("ip", "link", "set", "p0", "down")
	for _, c := range cfgs[:3] {
		if took := b.waitState(c.Key(), track.Down); took > time.Second {
			t.Errorf("%s was down after %v", c.Key(), took)
		}
	}
	if r := b.result("ping/::1"); r.State != track.Up {
		t.Errorf("::1 = %+v, want up", r)
	}
	bridge.Run("ip", "link", "set", "p0", "up")
	for _, c := range cfgs[:3] {
		b.waitState(c.Key(), track.Up)
		for _, s := range b.history(c.Key())[1:] {
			if s == track.Unknown {
				t.Errorf("%s was unknown after its first verdict", c.Key())
			}
		}
	}
	them.Run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
	b.waitState(cfgs[0].Key(), track.Down)
	if got := b.result(cfgs[0].Key()).Message; got != "no answer within 40ms" {
		t.Errorf("message = %q", got)
	}
}

func TestPingOfNoHost(t *testing.T) {
	us, _, _ := segment(t)
	b := watch(t, us)
	cfgs := []resource.VRRPTracker{ping("224.0.0.18"), ping("0.0.0.0"), ping("host"), ping("10.9.0.2")}
	cfgs[3].Source = netip.MustParseAddr("fd09::1")
	b.Set(cfgs)
	for _, c := range cfgs {
		b.wait(c.Key(), func(r track.Result) bool { return r.State == track.Unknown && r.Message != "" })
	}
}

// TestManyPings asks many at once over one socket.
func TestManyPings(t *testing.T) {
	us, _, _ := segment(t)
	var cfgs []resource.VRRPTracker
	for i := range 250 {
		c := ping(netip.AddrFrom4([4]byte{127, 1, 0, byte(i + 1)}).String())
		c.Interval, c.Timeout = resource.Duration(200*ms), resource.Duration(200*ms)
		cfgs = append(cfgs, c)
	}
	b := watch(t, us)
	b.Set(cfgs)
	for _, c := range cfgs {
		b.waitState(c.Key(), track.Up)
	}
	b.Set(cfgs[:1])
	b.Set(cfgs)
	for _, c := range cfgs {
		b.waitState(c.Key(), track.Up)
		if h := b.history(c.Key()); h[len(h)-1] != track.Up {
			t.Errorf("%s: %q", c.Key(), h)
		}
	}
}
