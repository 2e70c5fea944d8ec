package ipvs

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// matrixTable has every kind of service of both families with every scheduler, and each
// with every one of its flags and all of them, with options in turn, and with a server of
// every forwarding method.
func matrixTable(schedulers []string) resource.Set {
	out := resource.Set{}
	n := 0
	for _, family := range []string{resource.IPv4, resource.IPv6} {
		for _, kind := range []string{"tcp", "udp", "sctp", "any port", "mark"} {
			for _, scheduler := range schedulers {
				for _, flags := range flagSets(scheduler) {
					n++
					s := resource.IPVSService{ServiceKey: matrixKey(kind, family, n), Scheduler: scheduler, Flags: flags}
					matrixOptions(&s, n)
					out[s.ID()] = s
					for _, v := range matrixServers(s, n) {
						out[v.ID()] = v
					}
				}
			}
		}
	}
	return out
}

// flagSets returns no flag, each flag and all flags.
func flagSets(scheduler string) []resource.List {
	names := []string{"flag-1", "flag-2", "flag-3"}
	if scheduler == "sh" || scheduler == "mh" { // ipvsadm prints no other of these
		names = []string{scheduler + "-fallback", scheduler + "-port"}
	}
	sets := []resource.List{"", resource.NewList(names...)}
	for _, name := range names {
		sets = append(sets, resource.NewList(name))
	}
	return sets
}

func matrixKey(kind, family string, n int) resource.ServiceKey {
	if kind == "mark" {
		return resource.ServiceKey{Mark: uint32(n), Family: family}
	}
	address := netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})
	if family == resource.IPv6 {
		address = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(n >> 8), 15: byte(n)})
	}
	if kind == "any port" {
		return resource.ServiceKey{Protocol: "tcp", Address: netip.AddrPortFrom(address, 0)}
	}
	return resource.ServiceKey{Protocol: kind, Address: netip.AddrPortFrom(address, 80)}
}

func matrixOptions(s *resource.IPVSService, n int) {
	switch n % 6 {
	case 1:
		s.OnePacket = true
	case 2:
		s.Persistence = seconds(300)
	case 3:
		s.Persistence, s.PersistenceBits = seconds(31*24*3600), 24
	case 4:
		s.Persistence, s.PersistenceEngine = seconds(1), "sip"
	case 5:
		s.Persistence, s.PersistenceBits, s.PersistenceEngine, s.OnePacket = seconds(7), 1, "sip", true
	}
}

// matrixServers returns a server for each way of forwarding.
func matrixServers(s resource.IPVSService, n int) []resource.IPVSServer {
	port := s.Address.Port() // ipvsadm shows DR and tunnels as they are
	var out []resource.IPVSServer
	add := func(f resource.Forward, six bool, tunnel string, tunnelPort uint16, checksum string) {
		i := len(out)
		a := netip.AddrFrom4([4]byte{10, 9, byte(n >> 8), byte(1 + i)})
		if six {
			a = netip.AddrFrom16([16]byte{0xfd, 15: byte(1 + i)})
		}
		v := resource.IPVSServer{
			Service: s.ServiceKey, Address: netip.AddrPortFrom(a, port), Forward: f, Weight: (n*i + i) % 7,
			Tunnel: tunnel, TunnelPort: tunnelPort, TunnelChecksum: checksum,
		}
		switch i % 4 {
		case 1:
			v.Upper, v.Lower = 100, 50
		case 2:
			v.Weight = 1<<31 - 1
		}
		out = append(out, v)
	}
	six := s.IPv6()
	add(resource.ForwardDR, six, "", 0, "")
	add(resource.ForwardNAT, six, "", 0, "")
	add(resource.ForwardLocal, six, "", 0, "")
	for _, six := range []bool{six, !six} {
		add(resource.ForwardTunnel, six, "", 0, "")
		add(resource.ForwardTunnel, six, "gue", 6080, "")
		add(resource.ForwardTunnel, six, "gue", 1, "csum")
		add(resource.ForwardTunnel, six, "gue", 65535, "remcsum")
		add(resource.ForwardTunnel, six, "gre", 0, "")
		add(resource.ForwardTunnel, six, "gre", 0, "csum")
	}
	return out
}

// ipvsadmLine is what `ipvsadm -Sn` prints for v (ipvsadm(8)).
func ipvsadmLine(v any) string {
	switch v := v.(type) {
	case resource.IPVSService:
		line := "-A " + ipvsadmKey(v.ServiceKey) + " -s " + v.Scheduler
		if v.Persistence != 0 {
			line += fmt.Sprintf(" -p %d", int(time.Duration(v.Persistence).Seconds()))
			switch {
			case v.PersistenceBits != 0 && v.IPv6():
				line += fmt.Sprintf(" -M %d", v.PersistenceBits)
			case v.PersistenceBits != 0:
				line += " -M " + map[int]string{24: "255.255.255.0", 1: "128.0.0.0"}[v.PersistenceBits]
			}
		}
		if v.PersistenceEngine != "" {
			line += " --pe " + v.PersistenceEngine
		}
		if v.OnePacket {
			line += " -o"
		}
		if v.Flags != "" {
			line += " -b " + string(v.Flags)
		}
		return line
	case resource.IPVSServer:
		forward := map[resource.Forward]string{
			resource.ForwardDR: "-g", resource.ForwardLocal: "-g", resource.ForwardNAT: "-m", resource.ForwardTunnel: "-i",
		}[v.Forward]
		line := fmt.Sprintf("-a %s -r %s %s -w %d", ipvsadmKey(v.Service), v.Address, forward, v.Weight)
		if v.Forward != resource.ForwardTunnel {
			return line
		}
		switch v.Tunnel {
		case "":
			line += " --tun-type ipip"
		case "gue":
			line += fmt.Sprintf(" --tun-type gue --tun-port %d", v.TunnelPort)
		case "gre":
			line += " --tun-type gre"
		}
		if v.Tunnel != "" {
			line += map[string]string{"": " --tun-nocsum", "csum": " --tun-csum", "remcsum": " --tun-remcsum"}[v.TunnelChecksum]
		}
		return line
	}
	return ""
}

func ipvsadmKey(k resource.ServiceKey) string {
	switch {
	case k.Mark != 0 && k.Family == resource.IPv6:
		return fmt.Sprintf("-f %d -6", k.Mark)
	case k.Mark != 0:
		return fmt.Sprintf("-f %d", k.Mark)
	}
	return map[string]string{"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}[k.Protocol] + " " + k.Address.String()
}

// ipvsadmSays compares the table with what it should be.
func ipvsadmSays(t *testing.T, set resource.Set) {
	t.Helper()
	var want, got []string
	thresholds := 0
	for _, v := range set {
		if line := ipvsadmLine(v); line != "" {
			want = append(want, line)
		}
		if v, ok := v.(resource.IPVSServer); ok && v.Upper == 100 && v.Lower == 50 {
			thresholds++
		}
	}
	for line := range strings.Lines(run(t, "ipvsadm", "-Sn")) {
		got = append(got, strings.TrimSpace(line))
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("ipvsadm -Sn (-want +got):\n%.3000s", d)
	}
	if n := strings.Count(run(t, "ipvsadm", "-Ln", "--thresholds"), " 100        50 "); n != thresholds {
		t.Errorf("ipvsadm shows %d servers with thresholds, want %d", n, thresholds)
	}
}

func matrix(t *testing.T, e env) {
	schedulers := slices.Clone(fakeSchedulers)
	if exec.CommandContext(t.Context(), "modprobe", "-q", "ip_vs_twos").Run() == nil {
		schedulers = append(schedulers, "twos")
	}
	want := matrixTable(schedulers)
	step := func(name string) {
		t.Helper()
		began := time.Now()
		plan := reconciletest.Apply(t, e.hs, want)
		made := time.Since(began)
		ipvsadmSays(t, want)
		if second := reconciletest.Plan(t, e.hs, want); !second.Empty() {
			t.Fatalf("%s: second plan = %.1000v, want nothing", name, second)
		}
		t.Logf("%s: %d changes in %v, %d objects as ipvsadm has them", name, len(plan.Changes), made.Round(time.Millisecond), len(want))
	}
	step("create")
	for id, v := range want { // every service gets the next scheduler and no flags, every server another weight
		switch v := v.(type) {
		case resource.IPVSService:
			v.Scheduler = schedulers[(slices.Index(schedulers, v.Scheduler)+1)%len(schedulers)]
			v.Flags, v.OnePacket, v.PersistenceEngine = "", !v.OnePacket, ""
			want[id] = v
		case resource.IPVSServer:
			v.Weight = (v.Weight + 1) & (1<<31 - 1)
			v.Upper, v.Lower = 0, 0
			want[id] = v
		}
	}
	step("change")
	for id, v := range want {
		if v, ok := v.(resource.IPVSServer); ok {
			v.Weight = 0
			want[id] = v
		}
	}
	step("drain")
	maps.DeleteFunc(want, func(id resource.ID, _ any) bool { return id.Kind == resource.KindIPVSServer })
	step("remove servers")
	clear(want)
	step("remove services")
}

func ipvsadmRest(t *testing.T, e env) {
	tuned := daemon("backup", 9)
	tuned.MaxLen, tuned.Group, tuned.Port, tuned.TTL = 1400, netip.MustParseAddr("239.1.2.3"), 9000, 5
	six := daemon("master", 255)
	six.Group, six.TTL = netip.MustParseAddr("ff05::51"), 3
	reconciletest.Apply(t, e.hs, reconciletest.Set(six, tuned, resource.IPVSTimeouts{TCP: seconds(1000), UDP: seconds(30)}))
	for what, want := range map[string][]string{
		"--timeout": {"Timeout (tcp tcpfin udp): 1000 120 30"},
		"--daemon": {
			"master sync daemon (mcast=ka0, syncid=255, maxlen=1452, group=ff05::51, port=8848, ttl=3)",
			"backup sync daemon (mcast=ka0, syncid=9, maxlen=1400, group=239.1.2.3, port=9000, ttl=5)",
		},
	} {
		got := run(t, "ipvsadm", "-L", what)
		for _, line := range want {
			if !strings.Contains(got, line) {
				t.Errorf("ipvsadm -L %s lacks %q:\n%s", what, line, got)
			}
		}
	}
	reconciletest.Apply(t, e.hs, resource.Set{})
	if got := run(t, "ipvsadm", "-L", "--daemon"); strings.TrimSpace(got) != "" {
		t.Errorf("daemons = %q, want none", got)
	}
	if got := run(t, "ipvsadm", "-L", "--timeout"); !strings.Contains(got, "900 120 300") {
		t.Errorf("timeouts = %q, want 900 120 300 as before", got)
	}
}

func scheduler(t *testing.T, e env) {
	s := service("tcp 192.0.2.1:80", "nosuch")
	err := e.hs[0].Apply(t.Context(), reconcile.Change{Action: reconcile.Create, ID: s.ID(), After: s})
	if err == nil || !strings.Contains(err.Error(), "ip_vs_nosuch") || e.ledger.Has(s.ID()) {
		t.Errorf("Apply = %v, want an error that names the module, and no record", err)
	}
}

// busyServer connects to a service whose server is this host.
func busyServer(t *testing.T, e env) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	vip, err := netlink.ParseAddr("192.0.2.1/32")
	if err == nil {
		err = netlink.AddrAdd(lo, vip)
	}
	if err != nil {
		t.Fatal(err)
	}
	v := server(web, "10.7.7.1:8080", resource.ForwardNAT, 1)
	dns := service("udp 192.0.2.1:53", "rr")
	dv := server(dns, "10.7.7.1:5353", resource.ForwardNAT, 1)
	reconciletest.Apply(t, e.hs, reconciletest.Set(web, v, server(web, "10.7.7.2:8080", resource.ForwardNAT, 0), dns, dv))
	l, err := net.Listen("tcp", v.Address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", web.Address.String())
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.Dial("udp", dns.Address.String())
	if err == nil {
		_, err = u.Write([]byte("question"))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	live := reconciletest.Observe(t, e.hs...)
	if n := live.Connections; len(n) != 2 || n[v.ID()] != 1 || n[dv.ID()] != 1 {
		t.Errorf("connections = %v, want one of %s and one of %s", n, v.ID(), dv.ID())
	}
	// A reset ends the connection at once.
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
	if n := reconciletest.Observe(t, e.hs...).Connections; n[v.ID()] != 0 {
		t.Errorf("connections = %v after a reset, want none of %s", n, v.ID())
	}
}
