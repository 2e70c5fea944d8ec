package vrrpd

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A spoilt advert has one thing wrong of what RFC 9568, section 7.1, has receivers look for.
type spoilt struct {
	change func(*input)
	want   vrrp.Reject // NumRejects if it finds no router
}

var spoil = map[string]spoilt{
	"nothing":                            {func(*input) {}, vrrp.Admitted},
	"a TTL of 254":                       {func(in *input) { in.packet[8] = 254 }, vrrp.RejectTTL},
	"version 4":                          {func(in *input) { in.packet[20] = 0x41 }, vrrp.RejectVersion},
	"version 2 to version 3":             {func(in *input) { *in = asVersion2(*in) }, vrrp.RejectOtherVersion},
	"type 2":                             {func(in *input) { in.packet[20] = 0x32 }, vrrp.RejectType},
	"a packet that is cut":               {func(in *input) { in.packet[3] -= 4; in.packet = in.packet[:len(in.packet)-4] }, vrrp.RejectShort},
	"a wrong checksum":                   {func(in *input) { in.packet[26]++ }, vrrp.RejectChecksum},
	"a router id that we have not":       {func(in *input) { in.packet[21] = 8 }, vrrp.NumRejects},
	"the router id on another interface": {func(in *input) { in.port = wire.Port{Index: 4} }, vrrp.NumRejects},
	"the router id of the other family":  {func(in *input) { in.port.IPv6 = true }, vrrp.NumRejects},
	"no address":                         {func(in *input) { in.packet[23] = 0 }, vrrp.RejectCount},
	"interval 0":                         {func(in *input) { in.packet[24], in.packet[25] = 0, 0 }, vrrp.RejectInterval},
}

// asVersion2 is an advert with what version 2 has at the end, and its interval in seconds.
func asVersion2(in input) input {
	in.packet = append(in.packet, make([]byte, 8)...)
	in.packet[3] += 8
	in.packet[20], in.packet[24], in.packet[25] = 0x21, 0, 1
	return in
}

// resum makes the checksum right, over the message alone.
func resum(packet []byte) {
	msg := packet[20:]
	msg[6], msg[7] = 0, 0
	sum := 0
	for i := 0; i+1 < len(msg); i += 2 {
		sum += int(msg[i])<<8 | int(msg[i+1])
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(msg[6:], ^uint16(sum>>16+sum))
}

// TestWhatFailsACheckHasNoEffect gives a BACKUP an advert that would put its promotion off
// and a MASTER one that outranks it, each with one thing wrong.
func TestWhatFailsACheckHasNoEffect(t *testing.T) {
	for name, tt := range spoil {
		t.Run(name, func(t *testing.T) {
			good := tt.want == vrrp.Admitted
			l, k := started(t, 200)
			r := l.routers[0]
			due := r.timers[vrrp.Deadline]
			k.t += time.Second
			hear := func() {
				in := advertFrom(t, peer, 250)
				tt.change(&in)
				if tt.want != vrrp.RejectChecksum {
					resum(in.packet)
				}
				k.queue = append(k.queue, in)
				l.t = k.t
				l.drain()
			}
			hear()
			if moved := r.timers[vrrp.Deadline] != due; moved != good {
				t.Errorf("the wait of a BACKUP started again: %v", moved)
			}
			roundsFor(t, l, k, 6*time.Second)
			wantState(t, l, vrrp.Master)
			hear()
			if got := r.m.State(); (got == vrrp.Backup) != good {
				t.Errorf("a MASTER that heard it is %v", got)
			}
			for reject, n := range r.rejects {
				if want := vrrp.Reject(reject) == tt.want; (n == 2) != want || !want && n != 0 {
					t.Errorf("%d adverts counted as %v, want two %v", n, vrrp.Reject(reject), tt.want)
				}
			}
		})
	}
}

// TestOwnerHearsAnotherOwner has erratum 8298 to RFC 9568: the owner does not discard what
// it hears, and tells of it.
func TestOwnerHearsAnotherOwner(t *testing.T) {
	for _, tt := range []struct {
		name string
		from netip.Addr
		want vrrp.State
	}{{"from a higher address", peer, vrrp.Backup}, {"from a lower address", netip.MustParseAddr("10.0.0.0").Prev(), vrrp.Master}} {
		t.Run(tt.name, func(t *testing.T) {
			k := newFake()
			l := boot(t, k, t.TempDir())
			i := instance(255)
			i.Peers = resource.NewList(tt.from.String())
			configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
			wantState(t, l, vrrp.Master)
			k.queue = append(k.queue, advertFrom(t, tt.from, 255))
			round(t, l)
			wantState(t, l, tt.want)
			s := ask(t, l, k, channel.Request{Query: &channel.Query{}}).Status.Instances[0]
			if got := strings.Join(s.Alerts, "; "); !strings.Contains(got, "another master at "+tt.from.String()) {
				t.Errorf("alerts = %q", got)
			}
		})
	}
}

// TestListsThatDifferAreCountedAndCount has RFC 9568, section 7.1, where a list of other
// addresses is to be told of and no reason to drop an advert. In version 2 that is against
// RFC 3768, section 7.1: dropping it makes two masters of what is a misconfiguration.
func TestListsThatDifferAreCountedAndCount(t *testing.T) {
	for _, version := range []int{3, 2} {
		k := newFake()
		l := boot(t, k, t.TempDir())
		i := instance(100)
		i.Version = version
		configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
		for _, list := range []string{vip.Addr().String(), "10.0.0.101"} {
			a := vrrp.Advert{Version: uint8(version), VRID: 7, Priority: 200, Interval: time.Second, Addresses: addrs(resource.List(list))}
			letter, err := vrrp.NewLetter(&a, peer, vrrp.Multicast4, vrrp.FormPseudo, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			k.queue = append(k.queue, input{kind: inAdvert, port: wire.Port{Index: 3}, packet: letter.Packet(200, time.Time{})})
			round(t, l)
			r := l.routers[0]
			if differs := list != vip.Addr().String(); (r.mismatch == 1) != differs || r.m.Master() != peer {
				t.Errorf("version %d, list %s: %d mismatches, master %v", version, list, r.mismatch, r.m.Master())
			}
		}
		roundsFor(t, l, k, 2*time.Second)
		wantState(t, l, vrrp.Backup)
	}
}

// TestAcceptModeIsForOthers has RFC 9568, section 6.4.3: the owner accepts what is for it,
// whatever the flag says.
func TestAcceptModeIsForOthers(t *testing.T) {
	for _, tt := range []struct {
		priority uint8
		noAccept bool
		want     bool
	}{{254, true, true}, {255, true, false}, {254, false, false}, {255, false, false}} {
		i := instance(tt.priority)
		i.NoAccept = tt.noAccept
		if got := wants(i).NoAccept; got != tt.want {
			t.Errorf("priority %d, no_accept %v: packets are dropped: %v", tt.priority, tt.noAccept, got)
		}
	}
}

// TestBackupDoesNothingForTheAddresses has RFC 9568, section 6.4.2, of which the kernel
// does most: it has no address for which it could answer.
func TestBackupDoesNothingForTheAddresses(t *testing.T) {
	l, k := started(t, 100)
	for range 40 {
		k.queue = append(k.queue, advertFrom(t, peer, 200))
		roundsFor(t, l, k, 500*time.Millisecond)
	}
	wantState(t, l, vrrp.Backup)
	if len(k.addrs) != 0 || k.added != 0 || k.garps != 0 || len(k.sent) != 0 {
		t.Errorf("addresses %v, %d announcements, adverts %v, want none", k.addrs, k.garps, k.sent)
	}
	roundsFor(t, l, k, 5*time.Second)
	wantState(t, l, vrrp.Master)
	k.queue = append(k.queue, advertFrom(t, peer, 200))
	round(t, l)
	wantState(t, l, vrrp.Backup)
	garps, sent := k.garps, len(k.sent)
	k.queue = append(k.queue, advertFrom(t, peer, 200))
	roundsFor(t, l, k, 2*time.Second)
	if len(k.addrs) != 0 || k.garps != garps || len(k.sent) != sent || garps == 0 {
		t.Errorf("once it was MASTER: addresses %v, %d announcements and %d adverts more", k.addrs, k.garps-garps, len(k.sent)-sent)
	}
}

// TestPriorityOfOwnersAndOthers has RFC 9568, section 5.2.4: 255 is the owner's, and
// nothing but a resignation has priority 0.
func TestPriorityOfOwnersAndOthers(t *testing.T) {
	for _, priority := range []uint8{1, 100, 254, 255} {
		l, k := started(t, priority)
		roundsFor(t, l, k, 6*time.Second)
		wantState(t, l, vrrp.Master)
		for _, got := range k.sent {
			if got != priority {
				t.Errorf("a router of priority %d advertised %d", priority, got)
			}
		}
		ask(t, l, k, channel.Request{Resign: &channel.Resign{}})
		if got := k.sent[len(k.sent)-1]; got != 0 {
			t.Errorf("a resignation has priority %d", got)
		}
	}
}

// TestOwnerAnnouncesWhatItHas has RFC 9568, section 6.4.1, for an owner whose address is
// the host's own: it is announced when the owner returns, and stays when it leaves.
func TestOwnerAnnouncesWhatItHas(t *testing.T) {
	k := newFake()
	k.addrs = []rtnl.Address{{Index: 3, Prefix: vip, Forever: true}}
	l := boot(t, k, t.TempDir())
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{instance(255)}})
	wantState(t, l, vrrp.Master)
	roundsFor(t, l, k, time.Second)
	if k.garps != announceRounds || len(k.sent) == 0 {
		t.Errorf("%d announcements and adverts %v, want %d announcements", k.garps, k.sent, announceRounds)
	}
	if got := l.table.Conflicts(l.routers[0].name); len(got) > 0 {
		t.Errorf("conflicts %v with the owner's own address", got)
	}
	roundsFor(t, l, k, 2*announceDelay)
	off, garps := k.eth0, k.garps
	off.Running = false
	k.queue = append(k.queue, linkInput(off, false))
	round(t, l)
	wantState(t, l, vrrp.Fault)
	k.queue = append(k.queue, linkInput(k.eth0, false))
	roundsFor(t, l, k, time.Second)
	wantState(t, l, vrrp.Master)
	if k.garps != garps+announceRounds {
		t.Errorf("%d announcements on the return, want %d", k.garps-garps, announceRounds)
	}
	k.queue = append(k.queue, input{kind: inCommand, command: &command{stop: true, reply: make(chan channel.Response, 1)}})
	if err := l.run(); err != nil {
		t.Fatal(err)
	}
	if len(k.addrs) != 1 || k.addrs[0].Marked || k.deleted != 0 {
		t.Errorf("addresses %+v after the stop, want the host's own", k.addrs)
	}
}
