package vrrpd

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A simLoop runs the real loop on a simulated host, of which it is the lan and the kernel.
type simLoop struct {
	h    *simHost
	l    *loop
	told chan channel.Response // answers that nobody reads
}

// A simDisk is the state file and the page beside it.
type simDisk struct {
	page []byte
	doc  saved // as it was written
	next saved // as it is being written
}

// firstIndex is the interface of segment 0.
const firstIndex = 3

func newSimLoop(h *simHost) *simLoop { return &simLoop{h: h} }

func (s *simLoop) state(r int) vrrp.State {
	if s.l != nil {
		if r := s.l.router(s.h.w.plan.names[r]); r != nil {
			return r.m.State()
		}
	}
	return vrrp.Init
}

// run is the process, from its start to its end. The writer of the state file is a round
// behind the loop; what it did not write when it was killed is lost.
func (s *simLoop) run() {
	h := s.h
	if h.disk == nil {
		h.disk = &simDisk{page: make([]byte, slots*slotSize)}
	}
	d := h.disk.(*simDisk)
	d.next = d.doc
	st := &store{page: d.page, docs: make(chan saved, 1)}
	sd := &notifier{fd: -1, every: idleWait, next: never}
	s.l = newLoop(s, s, st, newBoard(), sd, noWatchers{}, slog.New(slog.DiscardHandler))
	s.l.resume(d.doc, nil)
	if err := s.l.run(); err != nil {
		panic(err)
	}
	s.write()
	s.write()
}

// write is the writer's share of one round.
func (s *simLoop) write() {
	d := s.h.disk.(*simDisk)
	d.doc = d.next
	select {
	case d.next = <-s.l.store.docs:
	default:
	}
}

func (s *simLoop) now() time.Duration { return s.h.now() }

func (s *simLoop) wall() time.Time { return time.Unix(1e9, 0).Add(s.h.w.t) }

func (s *simLoop) wait(until time.Duration) error {
	s.write()
	s.h.wait(until)
	return nil
}

func (s *simLoop) next(in *input) bool {
	var got simInput
	if *in = (input{}); !s.h.next(&got) {
		return false
	}
	if got.order == simNoOrder {
		in.kind, in.packet = inAdvert, got.packet
		in.port = wire.Port{Index: firstIndex + got.segment, IPv6: got.packet[0]>>4 == 6}
		return true
	}
	if got.order == simCarrier {
		*in = linkInput(s.link(got.segment), false)
		return true
	}
	if got.order == simStripped {
		o := s.h.w.plan.routers[got.router]
		*in = addressInput(rtnl.Address{Index: firstIndex + o.segment, Prefix: o.vip(got.router), Marked: true, Forever: true}, true)
		return true
	}
	s.told = make(chan channel.Response, 1)
	in.kind, in.command = inCommand, &command{reply: s.told}
	switch got.order {
	case simConfigure:
		in.command.request.Config = s.config()
	case simAttend:
		in.command.presence = 1
	case simTrack:
		in.command.request.Track = &channel.Track{States: map[string]string{}}
		for r, n := range s.h.gates {
			in.command.request.Track.States[resource.TrackPlugin+"/"+gateName(r)] = map[bool]string{true: up, false: down}[n == 0]
		}
	case simResign:
		in.command.request.Resign = &channel.Resign{Instances: []string{s.h.w.plan.names[got.router]}}
	case simStop:
		in.command.stop = true
	}
	return true
}

func gateName(r int) string { return fmt.Sprintf("gate%d", r) }

// config is what the cluster file says of this host now.
func (s *simLoop) config() *channel.Config {
	c := &channel.Config{}
	for r, cfg := range s.h.config {
		i := s.h.w.plan.instance(s.h.id, r)
		i.Priority, i.Gates = cfg.priority, resource.List(resource.TrackPlugin+"/"+gateName(r))
		c.Instances = append(c.Instances, i)
		c.Trackers = append(c.Trackers, resource.VRRPTracker{
			Type: resource.TrackPlugin, Target: gateName(r), Hold: resource.Duration(time.Hour), OnUnknown: up,
		})
	}
	return c
}

// instance is the configuration of a router on a node, but for what changes.
func (p *simPlan) instance(n, r int) resource.VRRPInstance {
	o, cfg := p.routers[r], p.configs[n][r]
	i := resource.VRRPInstance{
		Interface: fmt.Sprintf("eth%d", o.segment), VRID: o.vrid, Version: o.version, Priority: cfg.priority,
		Interval: resource.Duration(cfg.interval), Preempt: cfg.preempt, PreemptDelay: resource.Duration(cfg.delay),
		Addresses: resource.List(o.vip(r).String()), Source: o.source(n), Unicast: o.unicast,
	}
	if o.six {
		i.Family = resource.IPv6
	}
	if o.grouped {
		i.Group = "all"
	}
	var peers []string
	for other := range p.configs {
		if other != n {
			peers = append(peers, o.source(other).String())
		}
	}
	i.Peers = resource.List(strings.Join(peers, ","))
	return i
}

// source is the address of a node on the router's segment, vip that of the router.
func (o simRouter) source(n int) netip.Addr {
	if o.six {
		return netip.AddrFrom16([16]byte{0xfe, 0x80, 14: byte(o.segment), 15: byte(n + 1)})
	}
	return netip.AddrFrom4([4]byte{10, byte(o.segment), 0, byte(n + 1)})
}

func (o simRouter) vip(r int) netip.Prefix {
	if o.six {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80, 13: 1, 14: byte(o.segment), 15: byte(r + 1)}), 64)
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(o.segment), 1, byte(r + 1)}), 24)
}

func (s *simLoop) send(index int, to netip.Addr, packet []byte) error {
	s.h.send(index-firstIndex, to, packet)
	return nil
}

func (s *simLoop) frame(int, []byte) error                                 { s.h.checkpoint(); return nil }
func (s *simLoop) join(wire.Port, string) error                            { return nil }
func (s *simLoop) everyRoute(bool) error                                   { return nil }
func (s *simLoop) leave(wire.Port)                                         {}
func (s *simLoop) filter(wire.Port, []wire.Known) error                    { return nil }
func (s *simLoop) Marks() bool                                             { return true }
func (s *simLoop) Rules() ([]rtnl.Rule, error)                             { return nil, nil }
func (s *simLoop) Routes(rtnl.RouteFilter, func(), func(rtnl.Route)) error { return nil }

func (s *simLoop) link(segment int) rtnl.Link {
	return rtnl.Link{Index: firstIndex + segment, Name: fmt.Sprintf("eth%d", segment), Up: true, Running: s.h.unplugged[segment] == 0, ARP: true}
}

// Sysctl and what follows implement holding.Tools: nothing here refuses packets.
func (s *simLoop) Sysctl(string) (string, error)        { return "0", nil }
func (s *simLoop) SetSysctl(string, string) error       { return nil }
func (s *simLoop) Refused() ([]netip.Addr, bool, error) { return nil, false, nil }
func (s *simLoop) Refuse(_, _ []netip.Addr) error       { return nil }
func (s *simLoop) RefuseOnly([]netip.Addr) error        { return nil }
func (s *simLoop) RefuseNothing() error                 { return nil }

// Links implements holding.Kernel.
func (s *simLoop) Links() ([]rtnl.Link, error) {
	s.h.checkpoint()
	var out []rtnl.Link
	for segment := range s.h.unplugged {
		out = append(out, s.link(segment))
	}
	return out, nil
}

// Addresses implements holding.Kernel.
func (s *simLoop) Addresses() ([]rtnl.Address, error) {
	s.h.checkpoint()
	var out []rtnl.Address
	for r, o := range s.h.w.plan.routers {
		bits := o.vip(r).Bits()
		own := rtnl.Address{Index: firstIndex + o.segment, Prefix: netip.PrefixFrom(o.source(s.h.id), bits), Forever: true}
		if !slices.Contains(out, own) {
			out = append(out, own)
		}
		if s.h.addrs>>r&1 == 1 {
			out = append(out, rtnl.Address{Index: firstIndex + o.segment, Prefix: o.vip(r), Marked: true, Forever: true})
		}
	}
	return out, nil
}

// Do implements holding.Kernel.
func (s *simLoop) Do(reqs []rtnl.Request, errs []error) error {
	for i, q := range reqs {
		s.h.checkpoint()
		errs[i] = s.do(q)
	}
	return nil
}

func (s *simLoop) do(q rtnl.Request) error {
	for r, o := range s.h.w.plan.routers {
		if o.vip(r).Addr() != q.Address.Prefix.Addr() || q.Address.Index != firstIndex+o.segment {
			continue
		}
		held := s.h.addrs>>r&1 == 1
		switch {
		case q.Op == rtnl.AddAddress && held:
			return unix.EEXIST
		case q.Op == rtnl.AddAddress, q.Op == rtnl.ReplaceAddress:
			s.h.addrs |= 1 << r
		case q.Op == rtnl.DeleteAddress && !held:
			return unix.EADDRNOTAVAIL
		case q.Op == rtnl.DeleteAddress:
			s.h.addrs &^= 1 << r
		}
	}
	return nil
}
