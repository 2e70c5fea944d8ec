package ipvs

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

var stories = []struct {
	name string
	f    func(*testing.T, *world)
}{
	{"persistence keeps a client at its server", persistence},
	{"persistence with a mask keeps a network at its server", persistentNetwork},
	{"one datagram after the other finds its own server", onePacket},
	{"a mark of the firewall is a service with two ports", marks},
	{"a draining server keeps its connection and gets no other", draining},
	{"sctp is routed and translated", sctp},
}

// web is a virtual server on port 80 of one protocol.
func web(protocol string) spec.VirtualServer {
	return spec.VirtualServer{
		Name: "web", Scheduler: "wrr", Forward: "dr",
		Services: []spec.Service{{Protocol: protocol, Address: vips[4], Port: 80}},
	}
}

var (
	vip80         = netip.AddrPortFrom(vips[4], 80)
	first, second = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
)

// equals fails the test if the answers are not what they should be.
func equals(t *testing.T, what string, want, got map[string]int) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// equalServers are the two servers with one weight.
func equalServers() []spec.Server {
	ss := servers("dr", 4)
	ss[0].Weight = 1
	return ss
}

func persistence(t *testing.T, w *world) {
	vs := web("tcp")
	vs.Persistence.Timeout = time.Minute
	w.apply(t, cluster(equalServers(), vs), nil)
	one, other := w.ask(t, "tcp", first, vip80, 6), w.ask(t, "tcp", second, vip80, 6)
	if len(one) != 1 || len(other) != 1 || cmp.Equal(one, other) {
		t.Errorf("answers for two clients = %v, %v, want each at a server of its own", one, other)
	}
	equals(t, "the first client comes again", one, w.ask(t, "tcp", first, vip80, 6))
}

func persistentNetwork(t *testing.T, w *world) {
	vs := web("tcp")
	vs.Persistence = spec.Persistence{Timeout: time.Minute, Bits: 24}
	w.apply(t, cluster(equalServers(), vs), nil)
	one, other := w.ask(t, "tcp", first, vip80, 6), w.ask(t, "tcp", second, vip80, 6)
	if len(one) != 1 || !cmp.Equal(one, other) {
		t.Errorf("answers for two clients of a network = %v, %v, want one server", one, other)
	}
}

// onePacket sends from one port: without one_packet that is one connection.
func onePacket(t *testing.T, w *world) {
	for _, ops := range []bool{false, true} {
		vs := web("udp")
		vs.OnePacket = ops
		w.apply(t, cluster(servers("dr", 4), vs), nil)
		c := w.dial(t, "udp", first, vip80)
		got := map[string]int{}
		for range 15 {
			got[say(t, c, "x")]++
		}
		_ = c.Close()
		if ops {
			equals(t, "answers", map[string]int{"rs1": 10, "rs2": 5}, got)
		} else if len(got) != 1 {
			t.Errorf("answers = %v, want one server", got)
		}
	}
}

// marks has one service for two ports.
func marks(t *testing.T, w *world) {
	w.mark(t, 7, vips[4], vips[6])
	for _, family := range []int{4, 6} {
		vs := web("")
		vs.Services = []spec.Service{{Mark: 7, IPv6: family == 6}}
		c := cluster(servers("dr", family), vs)
		for _, a := range vips {
			c.Instances[0].Addresses = append(c.Instances[0].Addresses, spec.VirtualAddress{Prefix: netip.PrefixFrom(a, a.BitLen())})
		}
		w.apply(t, c, nil)
		got := map[string]int{}
		for range 6 { // the ports share one schedule
			for _, port := range []uint16{80, 8080} {
				for name, n := range w.ask(t, "tcp", netip.Addr{}, netip.AddrPortFrom(vips[family], port), 1) {
					got[name] += n
				}
			}
		}
		equals(t, "answers", map[string]int{"rs1": 8, "rs2": 4}, got)
		w.clear(t)
	}
}

// mark gives what comes to the director for some addresses a mark, as a firewall does. The
// guest's kernel has no nftables for IP, but traffic control can do it too.
func (w *world) mark(t *testing.T, mark uint32, to ...netip.Addr) {
	t.Helper()
	lb := w.hosts["lb1"].ns
	lb.Run("tc", "qdisc", "add", "dev", "eth0", "clsact")
	t.Cleanup(func() { lb.Run("tc", "qdisc", "del", "dev", "eth0", "clsact") })
	for _, a := range to {
		protocol := map[bool]string{false: "ip", true: "ipv6"}[a.Is6()]
		lb.Run("tc", "filter", "add", "dev", "eth0", "ingress", "protocol", protocol,
			"flower", "dst_ip", a.String(), "action", "skbedit", "mark", fmt.Sprint(mark))
	}
}

// draining has a connection at the server that is to leave.
func draining(t *testing.T, w *world) {
	ss := servers("dr", 4)
	c := cluster(ss, web("tcp"))
	c.Pools[0].Drain = time.Minute
	w.apply(t, c, nil)
	held := w.dial(t, "tcp", first, vip80)
	defer held.Close()
	at, other := 0, "rs2"
	if say(t, held, "") == "rs2" {
		at, other = 1, "rs1"
	}

	c.Pools[0].Servers[at].Draining = true
	w.apply(t, c, nil)
	leaving := resource.IPVSServer{
		Service: resource.ServiceKey{Protocol: "tcp", Address: vip80},
		Address: netip.AddrPortFrom(ss[at].Address, 80), Forward: resource.ForwardDR,
	}
	live := w.observe(t, "lb1")
	if live.Owned[leaving.ID()] != any(leaving) || live.Connections[leaving.ID()] == 0 {
		t.Errorf("live = %v with %d connections, want weight 0 and a connection", live.Owned[leaving.ID()], live.Connections[leaving.ID()])
	}
	equals(t, "new connections", map[string]int{other: 6}, w.ask(t, "tcp", first, vip80, 6))
	if got := say(t, held, "still there"); got != "still there" {
		t.Errorf("the open connection answers %q, want what was sent", got)
	}

	w.apply(t, c, &reconcile.Facts{Drained: map[string]bool{leaving.ID().Name: true}})
	if live := w.observe(t, "lb1"); live.Owned[leaving.ID()] != nil {
		t.Errorf("the drained server is still in the table: %v", live.Owned)
	}
}

func (w *world) observe(t *testing.T, name string) reconcile.Live {
	t.Helper()
	var live reconcile.Live
	h := w.hosts[name]
	h.ns.Do(func() {
		var err error
		if live, err = reconcile.Observe(t.Context(), h.hs); err != nil {
			t.Fatal(err)
		}
	})
	return live
}

// sctp goes by direct routing and by translation, which computes the checksum anew.
func sctp(t *testing.T, w *world) {
	nstest.Need(t, "sctp")
	for _, forward := range []string{"dr", "nat"} {
		ss := servers(forward, 4)
		vs := web("sctp")
		vs.Forward = forward
		for _, s := range ss {
			on := s.Address
			if forward == "dr" {
				on = vips[4]
			}
			w.hosts[s.Name].listenSCTP(t, netip.AddrPortFrom(on, 80))
		}
		w.apply(t, cluster(ss, vs), nil)
		got := map[string]int{}
		for range 6 {
			got[w.askSCTP(t, first, vip80)]++
		}
		equals(t, forward, map[string]int{ss[0].Name: 4, ss[1].Name: 2}, got)
		w.clear(t)
	}
}
