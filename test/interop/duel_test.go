package interop

import (
	"net/netip"
	"testing"
	"time"
)

const (
	// early is how far a takeover may be before the protocol's deadline: FRR counts in
	// centiseconds, and rounds down.
	early = 11 * time.Millisecond
	// late is how far behind it one may be where twenty tests share two processors, and
	// usuallyLate how far half of them may.
	late        = 500 * time.Millisecond
	usuallyLate = 50 * time.Millisecond
)

// duelStories are the rows that a duel fills.
var duelStories = []string{
	"the higher priority is master, and the backup is silent",
	"clean stop: priority 0, takeover after the skew time",
	"return: the higher priority takes over again",
	"kill -9: takeover after the down interval",
	"link loss: takeover after the down interval, and back",
}

// duel goes through what can happen to a master, with one program as master and the other
// as backup. All times are those of packets on the wire.
func duel(t testing.TB, m match, weLead bool) {
	ours, theirs := uint8(200), uint8(100)
	if !weLead {
		ours, theirs = theirs, ours
	}
	s := meet(t, m, ours, theirs, nil)
	master, backup := s.us, s.them
	if !weLead {
		master, backup = backup, master
	}
	backup.start()
	master.start()
	s.wait(master, "MASTER")
	s.wait(backup, "BACKUP")
	s.steady(master, backup)
	record(t, m, role(weLead), duelStories[0])

	at := time.Now()
	master.stop()
	first, last := s.takeover(backup, master, at)
	if last.priority != 0 {
		t.Fatalf("%s stopped with priority %d, want 0", master.name, last.priority)
	}
	s.within("takeover after priority 0", backup, first.at.Sub(last.at), backup.plan.skew())
	s.wait(backup, "MASTER")
	if m.peer != withFRR || !weLead { // FRR does so before its macvlan can send
		s.announced(backup, first.at)
	}
	record(t, m, role(weLead), duelStories[1])

	master.start()
	s.wait(master, "MASTER")
	s.wait(backup, "BACKUP")
	s.steady(master, backup)
	record(t, m, role(weLead), duelStories[2])

	at = time.Now()
	master.kill()
	first, last = s.takeover(backup, master, at)
	if last.priority == 0 {
		t.Fatalf("%s resigned although it was killed", master.name)
	}
	s.within("takeover after kill -9", backup, first.at.Sub(last.at), backup.plan.down())
	s.wait(backup, "MASTER")
	record(t, m, role(weLead), duelStories[3])

	master.start()
	s.wait(master, "MASTER")
	s.wait(backup, "BACKUP")
	at = time.Now()
	s.cut(master, "down")
	first, last = s.takeover(backup, master, at)
	s.within("takeover after link loss", backup, first.at.Sub(last.at), backup.plan.down())
	s.wait(backup, "MASTER")
	if m.peer != withFRR || weLead { // FRR goes on as master on a dead link
		s.wait(master, "FAULT")
	}
	s.cut(master, "up")
	s.wait(master, "MASTER")
	s.wait(backup, "BACKUP")
	s.steady(master, backup)
	record(t, m, role(weLead), duelStories[4])
	s.content()
}

// content checks that neither program has refused anything that it heard.
func (s *segment) content() {
	s.t.Helper()
	for reason, count := range s.ours.router().Adverts {
		if reason != "sent" && reason != "received" && count > 0 {
			s.t.Errorf("we counted %d adverts as %s", count, reason)
		}
	}
	if k, ok := s.them.program.(*keepalived); ok && len(k.complaints()) > 0 {
		s.t.Errorf("keepalived complained: %q", k.complaints()[0])
	}
}

// takeover waits for the first advert of the new master since then, and returns it with
// the last one of the old.
func (s *segment) takeover(by, from *seat, since time.Time) (first, last frame) {
	s.t.Helper()
	eventually(s.t, "an advert of "+by.name, by.plan.down()+5*time.Second, func() bool {
		heard := s.wire.adverts(by.port, vrid, since)
		if len(heard) > 0 {
			first = heard[0]
		}
		return len(heard) > 0
	})
	for _, f := range s.wire.delivered(by.port, vrid, since.Add(-2*from.plan.interval)) {
		if f.at.Before(first.at) {
			last = f
		}
	}
	if last.at.IsZero() {
		s.t.Fatalf("%s was silent before %s took over", from.name, by.name)
	}
	return first, last
}

// within holds a measured time to the protocol's.
func (s *segment) within(what string, by *seat, got, want time.Duration) {
	s.t.Helper()
	late := late
	if s.match == frrIPv6 && by == s.them {
		late += by.plan.interval // FRR cannot bind to its macvlan's address when it sends first
	}
	s.t.Logf("%s: %v, the protocol says %v", what, got.Round(time.Millisecond), want.Round(time.Millisecond))
	overshot(got - want)
	if got < want-early || got > want+late {
		s.t.Errorf("%s took %v, want %v", what, got, want)
	}
}

// steady waits for some adverts of the master, and for none of the backup; nothing changes.
func (s *segment) steady(master, backup *seat) {
	s.t.Helper()
	before := s.transitions()
	since := time.Now()
	eventually(s.t, "adverts of "+master.name, 10*master.plan.interval+5*time.Second, func() bool {
		return len(s.wire.adverts(master.port, vrid, since)) >= 4
	})
	if heard := s.wire.adverts(backup.port, vrid, since); len(heard) > 0 {
		s.t.Errorf("%s are BACKUP and sent %+v", backup.name, heard[0])
	}
	for _, f := range s.wire.adverts(master.port, vrid, since) {
		s.sound(f, master.plan)
	}
	if !is(master, "MASTER") || !is(backup, "BACKUP") || s.transitions() != before {
		s.t.Errorf("%s are %v, %s are %v, and there were %d transitions of ours",
			master.name, master.states(), backup.name, backup.states(), s.transitions()-before)
	}
}

// sound checks an advert by what the plan says, with the listener's own decoder.
func (s *segment) sound(f frame, p plan) {
	s.t.Helper()
	trailer := 0
	if p.version == 2 {
		trailer = 8
	}
	to := netip.MustParseAddr("224.0.0.18")
	switch {
	case p.unicast:
		to = p.peers[0]
	case !p.own.Is4():
		to = netip.MustParseAddr("ff02::12")
	}
	if f.version != p.version || f.priority != p.priority || f.interval != p.interval || f.count != len(p.routers[0].vips) ||
		f.trailer != trailer || f.from != p.own || f.to != to {
		s.t.Errorf("advert %+v does not say what %+v does", f, p)
	}
}

func (s *segment) transitions() (n uint64) {
	for _, i := range s.ours.Status().Instances {
		n += i.Transitions
	}
	return n
}

// announced waits until each of a new master's addresses was announced on the link.
func (s *segment) announced(by *seat, since time.Time) {
	s.t.Helper()
	for _, vip := range by.plan.addresses() {
		eventually(s.t, "an announcement of "+vip.String(), 5*time.Second, func() bool {
			for _, f := range s.wire.since(since) {
				if f.port == by.port && !f.out && f.announced == vip {
					return true
				}
			}
			return false
		})
	}
}
