package ipvs

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/cloudflare/ipvs"
	"github.com/cloudflare/ipvs/netmask"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// anyState goes from whatever somebody made of the table to whatever a cluster file may ask
// for, in one plan, which changes nothing when it is applied again.
func anyState(t *testing.T, e env) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	daemons := r.IntN(2) == 0 // which exclude servers of the other family
	rounds := 30
	if e.fake != nil {
		rounds = 200
	}
	for round := range rounds {
		for range r.IntN(6) {
			e.vandalise(t, r, daemons)
		}
		want := anyTable(r, daemons)
		plan := reconciletest.Apply(t, e.hs, want)
		reached := reconciletest.Observe(t, e.hs...)
		for id, v := range want {
			if c := conflictOf(plan, id); !c && reached.Owned[id] != v {
				t.Fatalf("round %d: %s is %+v, want %+v; plan %+v", round, id, reached.Owned[id], v, plan)
			}
		}
		for id := range reached.Owned {
			if want[id] == nil {
				t.Fatalf("round %d: %s is still there; plan %+v", round, id, plan)
			}
		}
		if second := reconciletest.Plan(t, e.hs, want); len(second.Changes) > 0 {
			t.Fatalf("round %d: second plan = %+v, want no change", round, second.Changes)
		}
		if err := plan.Apply(t.Context(), e.hs, nil); err != nil {
			t.Fatalf("round %d, applied twice: %v", round, err)
		}
		if d := cmp.Diff(reached, reconciletest.Observe(t, e.hs...), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); d != "" {
			t.Fatalf("round %d, applied twice (-once +twice):\n%s", round, d)
		}
	}
}

// conflictOf reports whether the plan leaves id as it is, or the service that it is part of.
func conflictOf(p reconcile.Plan, id resource.ID) bool {
	for _, c := range p.Conflicts {
		if s, ok := c.Want.(resource.IPVSService); c.ID == id || ok && len(id.Name) > len(c.ID.Name) && id.Name[:len(s.String())] == s.String() {
			return true
		}
	}
	return false
}

// kinds are services of every kind, and of both families.
func kinds() []resource.ServiceKey {
	var out []resource.ServiceKey
	for _, address := range []string{"192.0.2.1", "2001:db8::1"} {
		for _, protocol := range []string{"tcp", "udp", "sctp"} {
			for _, port := range []uint16{80, 0} {
				out = append(out, resource.ServiceKey{Protocol: protocol, Address: netip.AddrPortFrom(netip.MustParseAddr(address), port)})
			}
		}
	}
	return append(out, resource.ServiceKey{Mark: 7, Family: resource.IPv4}, resource.ServiceKey{Mark: 7, Family: resource.IPv6},
		resource.ServiceKey{Mark: 1<<32 - 1, Family: resource.IPv4})
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func anyService(r *rand.Rand, key resource.ServiceKey) resource.IPVSService {
	s := resource.IPVSService{ServiceKey: key, Scheduler: pick(r, fakeSchedulers...), OnePacket: r.IntN(4) == 0}
	names := schedulerFlags(s.Scheduler)
	var flags []string
	for _, name := range names {
		if r.IntN(4) == 0 {
			flags = append(flags, name)
		}
	}
	slices.Sort(flags)
	s.Flags = resource.NewList(flags...)
	if r.IntN(3) == 0 {
		s.Persistence = seconds(uint32(1 + r.IntN(1000)))
		s.PersistenceBits = pick(r, 0, 1, 24, 31)
		s.PersistenceEngine = pick(r, "", "sip")
	}
	return s
}

func anyServer(r *rand.Rand, s resource.IPVSService, mixed bool) resource.IPVSServer {
	v := resource.IPVSServer{Service: s.ServiceKey, Weight: pick(r, 0, 1, 100, 1<<31-1)}
	v.Forward = pick(r, resource.ForwardDR, resource.ForwardNAT, resource.ForwardTunnel, resource.ForwardLocal)
	host := 21 + r.IntN(3)
	address := fmt.Sprintf("10.0.1.%d", host)
	if s.IPv6() != (mixed && v.Forward == resource.ForwardTunnel && r.IntN(2) == 0) {
		address = fmt.Sprintf("2001:db8::%d", host)
	}
	v.Address = netip.AddrPortFrom(netip.MustParseAddr(address), pick[uint16](r, 0, 80, 65535))
	if v.Forward == resource.ForwardTunnel {
		v.Tunnel, v.TunnelChecksum = pick(r, "", "gue", "gre"), pick(r, "", "csum")
		if v.Tunnel == "gue" {
			v.TunnelPort, v.TunnelChecksum = 6080, pick(r, "", "csum", "remcsum")
		}
	}
	if r.IntN(3) == 0 {
		v.Upper = pick[uint32](r, 1, 100, 1<<32-1)
		v.Lower = uint32(r.Int64N(int64(v.Upper) + 1))
	}
	return v
}

func anySync(r *rand.Rand, role string) resource.IPVSSync {
	s := daemon(role, uint8(r.IntN(3)))
	s.MaxLen, s.Port, s.TTL = pick[uint16](r, 0, 0, 1024, 1400, 1472), pick[uint16](r, 0, 8848, 9000), pick[uint8](r, 0, 1, 9)
	s.Group = pick(r, netip.Addr{}, netip.MustParseAddr("224.0.0.81"), netip.MustParseAddr("239.0.0.1"), netip.MustParseAddr("ff05::1"))
	return s
}

func anyTable(r *rand.Rand, daemons bool) resource.Set {
	out := resource.Set{}
	for _, key := range kinds() {
		if r.IntN(3) == 0 {
			continue
		}
		s := anyService(r, key)
		out[s.ID()] = s
		for range r.IntN(4) {
			v := anyServer(r, s, !daemons)
			out[v.ID()] = v
		}
	}
	for _, role := range []string{"master", "backup"} {
		if daemons && r.IntN(2) == 0 {
			s := anySync(r, role)
			out[s.ID()] = s
		}
	}
	if r.IntN(2) == 0 {
		v := resource.IPVSTimeouts{TCP: seconds(uint32(r.IntN(3))), TCPFin: seconds(uint32(r.IntN(3))), UDP: seconds(1)}
		out[v.ID()] = v
	}
	return out
}

// vandalise does one thing to the table that a person with ipvsadm could do.
func (e env) vandalise(t *testing.T, r *rand.Rand, daemons bool) {
	t.Helper()
	s := anyService(r, pick(r, kinds()...))
	k := foreign(t, s)
	k.Flags ^= ipvs.Flags(r.IntN(2)) // persistent for no time, or for some and not persistent
	if r.IntN(8) == 0 && k.FWMark == 0 {
		k.Protocol = 50
	}
	if r.IntN(4) == 0 && k.Family == ipvs.INET {
		k.Netmask = netmask.MaskFrom4([4]byte{255, 0, 255, byte(r.IntN(2))})
	}
	d, err := kernelServer(anyServer(r, s, !daemons))
	if err != nil {
		t.Fatal(err)
	}
	if r.IntN(8) == 0 {
		d.FwdMethod = ipvs.Bypass
	}
	d.TunnelFlags |= ipvs.TunnelFlags(r.IntN(4))
	state := uint32(1 + r.IntN(2))
	acts := 7
	if daemons {
		acts = 9
	}
	switch r.IntN(acts) {
	case 0:
		err = e.client.CreateService(k)
	case 1:
		err = e.client.UpdateService(k)
	case 2:
		err = e.client.RemoveService(k)
	case 3:
		err = e.client.CreateDestination(k, d)
	case 4:
		err = e.client.UpdateDestination(k, d)
	case 5:
		err = e.client.RemoveDestination(k, d)
	case 6:
		err = e.client.SetConfig(ipvs.Config{TCPTimeout: uint32(1 + r.IntN(3)), UDPTimeout: uint32(r.IntN(3))})
	case 7:
		err = e.table.changeOne(func(b []byte) (uint8, []byte) {
			return cmdNewDaemon, appendDaemon(b, daemonEntry{state: state, device: "ka0", syncID: uint32(r.IntN(3)), ttl: uint8(r.IntN(3))})
		})
	case 8:
		err = e.table.stopDaemon(daemonEntry{state: state, device: "ka0"})
	}
	// A service of protocol 50 is a key that the library does not find again.
	if err != nil && !exists(err) && !gone(err) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EINVAL) {
		t.Fatal(err)
	}
}
