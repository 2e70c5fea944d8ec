package interop

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// begin starts both and waits for the election.
func (s *segment) begin(leader, follower *seat) {
	s.t.Helper()
	follower.start()
	leader.start()
	s.wait(leader, "MASTER")
	s.wait(follower, "BACKUP")
}

// handOver is an election, a while of peace, and a clean stop.
func handOver(s *segment, leader, follower *seat) {
	s.t.Helper()
	s.begin(leader, follower)
	s.changeHands(leader, follower)
}

// changeHands is a while of peace, and a clean stop.
func (s *segment) changeHands(leader, follower *seat) {
	s.t.Helper()
	s.steady(leader, follower)
	at := time.Now()
	leader.stop()
	first, last := s.takeover(follower, leader, at)
	s.within("takeover after priority 0", follower, first.at.Sub(last.at), follower.plan.skew())
	s.wait(follower, "MASTER")
}

// equals wants of two equal priorities that the leader has the higher address.
func equals(s *segment, leader, follower *seat) {
	follower.start()
	s.wait(follower, "MASTER")
	leader.start()
	s.wait(leader, "BACKUP")
	s.steady(follower, leader) // an equal priority is no reason to take over (RFC 9568, 6.4.2)
	s.part("on")
	s.wait(leader, "MASTER")
	s.wait(follower, "MASTER")
	at := time.Now()
	s.part("off")
	s.wait(follower, "BACKUP")
	s.steady(leader, follower)
	heard := s.wire.adverts(follower.port, vrid, at)
	if end := 2*follower.plan.interval + late; len(heard) > 0 && heard[len(heard)-1].at.Sub(at) > end {
		s.t.Errorf("%s gave up %v after the segment was whole, want %v", follower.name, heard[len(heard)-1].at.Sub(at), end)
	}
}

// patience is of a leader that may not preempt.
func patience(s *segment, leader, follower *seat) {
	follower.start()
	s.wait(follower, "MASTER")
	leader.start()
	s.wait(leader, "BACKUP")
	before := time.Now()
	eventually(s.t, "a down interval to pass", leader.plan.down()+5*time.Second, func() bool {
		return time.Since(before) > leader.plan.down()+leader.plan.interval
	})
	s.steady(follower, leader)
	at := time.Now()
	follower.stop()
	first, last := s.takeover(leader, follower, at)
	s.within("takeover after priority 0", leader, first.at.Sub(last.at), leader.plan.skew())
	s.wait(leader, "MASTER")
}

const preemptDelay = 2 * time.Second

// delayed is of a leader that comes back and may not preempt at once.
func delayed(s *segment, leader, follower *seat) {
	follower.start()
	s.wait(follower, "MASTER")
	at := time.Now()
	leader.start()
	s.wait(leader, "BACKUP")
	first, _ := s.takeover(leader, follower, at)
	if took := first.at.Sub(at); took < preemptDelay || took > preemptDelay+2*time.Second {
		s.t.Errorf("%s preempted %v after they were started, want the delay of %v and a down interval", leader.name, took, preemptDelay)
	}
	s.wait(leader, "MASTER")
	s.wait(follower, "BACKUP")

	leader.stop()
	s.wait(follower, "MASTER")
	leader.start()
	s.wait(leader, "BACKUP")
	at = time.Now()
	eventually(s.t, "adverts for "+leader.name, 5*time.Second, func() bool { return len(s.wire.delivered(leader.port, vrid, at)) > 1 })
	at = time.Now()
	follower.kill()
	first, last := s.takeover(leader, follower, at)
	s.within("takeover from a dead master", leader, first.at.Sub(last.at), leader.plan.down())
}

// owner has the addresses as its own: it takes over before a down interval has passed.
func owner(s *segment, leader, follower *seat) {
	follower.start()
	s.wait(follower, "MASTER")
	at := time.Now()
	leader.start()
	first, _ := s.takeover(leader, follower, at)
	if took := first.at.Sub(at); took > leader.plan.down() {
		s.t.Errorf("the owner's first advert came %v after its start", took)
	}
	s.wait(leader, "MASTER")
	s.wait(follower, "BACKUP")
	s.steady(leader, follower)
}

// peace is an election that nothing changes.
func peace(s *segment, leader, follower *seat) {
	s.begin(leader, follower)
	s.steady(leader, follower)
}

// strangers is of two that speak past each other: each is master, and stays what it is.
// They may not get round to many adverts: keepalived puts off its own with each that it
// refuses.
func strangers(s *segment, leader, follower *seat) {
	leader.start()
	follower.start()
	s.wait(leader, "MASTER")
	s.wait(follower, "MASTER")
	before, since := s.transitions(), time.Now()
	eventually(s.t, "our adverts", 8*s.us.plan.interval+5*time.Second, func() bool {
		return len(s.wire.adverts(s.us.port, vrid, since)) >= 5
	})
	if !is(leader, "MASTER") || !is(follower, "MASTER") || s.transitions() != before {
		s.t.Errorf("%s are %v, %s are %v, and there were %d transitions of ours",
			leader.name, leader.states(), follower.name, follower.states(), s.transitions()-before)
	}
}

// virtualMAC wants the segment to see nothing but the virtual router's MAC, and two masters
// that have the same one to hear each other.
func virtualMAC(s *segment, leader, follower *seat) {
	at := time.Now()
	s.begin(leader, follower)
	s.part("on")
	s.wait(follower, "MASTER")
	s.part("off")
	s.wait(follower, "BACKUP")
	s.changeHands(leader, follower)
	want := [6]byte{0, 0, 0x5e, 0, 1, vrid} // RFC 9568, section 7.3
	if s.match.family == resource.IPv6 {
		want[4] = 2
	}
	s.announced(s.us, at)
	for _, f := range s.wire.since(at) {
		if (f.advert || f.announced.IsValid() && slices.Contains(s.us.plan.addresses(), f.announced)) && f.mac != want {
			s.t.Fatalf("%x sent %+v, want it from %x", f.mac, f, want)
		}
	}
}

// grouped puts a second virtual router on a second segment.
func grouped(p plan) plan {
	vip := "10.9.1.100/24"
	if p.family == resource.IPv6 {
		vip = "fe80::9:200/64"
	}
	p.group = true
	p.routers = append(p.routers, virtual{"eth1", 8, []netip.Prefix{netip.MustParsePrefix(vip)}})
	return p
}

// together wants both routers of a group to go with the one whose link is lost.
func together(s *segment, leader, follower *seat) {
	s.begin(leader, follower)
	s.steady(leader, follower)
	s.cut(leader, "down")
	s.wait(leader, "FAULT")
	s.wait(follower, "MASTER")
	s.cut(leader, "up")
	s.wait(leader, "MASTER")
	s.wait(follower, "BACKUP")
	s.steady(leader, follower)
	leader.stop()
	s.wait(follower, "MASTER")
}

// crowded is as many virtual routers as an interface can have.
func crowded(p plan) plan {
	format := "10.9.1.%d/32"
	if p.family == resource.IPv6 {
		format = "fe80::a:%x/128"
	}
	p.interval, p.routers = time.Second, nil
	for id := 1; id <= 255; id++ {
		p.routers = append(p.routers, virtual{"eth0", uint8(id), []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf(format, id))}})
	}
	return p
}

var crowds sync.Mutex // one is enough for two processors

// crowd wants each of them to change hands in its own skew time.
func crowd(s *segment, leader, follower *seat) {
	crowds.Lock()
	defer crowds.Unlock()
	s.begin(leader, follower)
	s.steady(leader, follower)
	at := time.Now()
	leader.stop()
	s.wait(follower, "MASTER")
	var times []time.Duration
	for _, v := range follower.plan.routers {
		first, zero := s.wire.adverts(follower.port, v.vrid, at), s.wire.adverts(leader.port, v.vrid, at)
		if len(first) == 0 || len(zero) == 0 || zero[len(zero)-1].priority != 0 {
			s.t.Fatalf("router %d: %d adverts of the new master, last of the old %+v", v.vrid, len(first), zero)
		}
		times = append(times, first[0].at.Sub(zero[len(zero)-1].at))
	}
	s.within("first takeover of many", follower, slices.Min(times), follower.plan.skew())
	if last := slices.Max(times); last > 4*follower.plan.skew() { // who misses a resignation needs a down interval
		s.t.Errorf("the last of many takeovers took %v, want %v", last, follower.plan.skew())
	}
	leader.start()
	s.wait(leader, "MASTER")
	s.wait(follower, "BACKUP")
}
