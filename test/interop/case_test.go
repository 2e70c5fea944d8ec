package interop

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A variant is a pair of programs told something special.
type variant struct {
	story   string
	matches []match
	more    []match // in make soak
	slow    bool    // as all of version 2 are
	// lead is our priority and theirs where we lead; where they do it is the other way round.
	lead, follow uint8
	roles        []bool // weLead; both if nil
	edit         func(leader, follower, ours, theirs *plan)
	counted      string // a counter of ours that must not be 0 at the end
	run          func(s *segment, leader, follower *seat)
}

var (
	keepalivedV2   = match{withKeepalived, 2, resource.IPv4, false}
	keepalivedV3   = match{withKeepalived, 3, resource.IPv4, false}
	keepalivedIPv6 = match{withKeepalived, 3, resource.IPv6, false}
	unicastV2      = match{withKeepalived, 2, resource.IPv4, true}
	unicastV3      = match{withKeepalived, 3, resource.IPv4, true}
	unicastIPv6    = match{withKeepalived, 3, resource.IPv6, true}
	frrV2          = match{withFRR, 2, resource.IPv4, false}
	frrV3          = match{withFRR, 3, resource.IPv4, false}
	frrIPv6        = match{withFRR, 3, resource.IPv6, false}

	oursV3          = match{amongOurselves, 3, resource.IPv4, false}
	oursUnicastIPv6 = match{amongOurselves, 3, resource.IPv6, true}
)

var variants = []variant{
	{
		story:   "255 virtual routers on one interface",
		matches: []match{keepalivedV3},
		more:    []match{keepalivedV2, keepalivedIPv6, unicastV3},
		slow:    true,
		lead:    200, follow: 100,
		edit: func(_, _, ours, theirs *plan) { *ours, *theirs = crowded(*ours), crowded(*theirs) },
		run:  crowd,
	},
	{
		story:   "equal priority: a backup waits, and after a partition the higher address is master",
		matches: []match{keepalivedV2, keepalivedV3, keepalivedIPv6, frrV2, frrV3, frrIPv6},
		more:    []match{unicastV2, unicastV3, unicastIPv6},
		lead:    100, follow: 100,
		edit: func(leader, _, ours, _ *plan) {
			if leader == ours {
				ours.host = higherHost
			}
		},
		run: equals,
	},
	{
		story:   "preempt never: the lower priority stays master until it goes",
		matches: []match{keepalivedV2, keepalivedV3, keepalivedIPv6, frrV3},
		more:    []match{unicastV2, unicastV3, unicastIPv6, frrV2, frrIPv6},
		lead:    200, follow: 100,
		edit: func(_, _, ours, theirs *plan) { ours.neverPreempt, theirs.neverPreempt = true, true },
		run:  patience,
	},
	{
		story:   "preempt delay: a returning master waits, and not if nobody is there",
		matches: []match{keepalivedV3},
		more:    []match{keepalivedIPv6, unicastV3},
		lead:    200, follow: 100,
		edit: func(leader, _, _, _ *plan) { leader.preemptDelay = preemptDelay },
		run:  delayed,
	},
	{
		story:   "owner 255: master without waiting",
		matches: []match{keepalivedV2},
		more:    []match{unicastV2},
		lead:    255, follow: 100,
		edit: slowly,
		run:  owner,
	},
	{
		story:   "owner 255: master without waiting",
		matches: []match{frrV2}, // FRR accepts no such priority
		lead:    255, follow: 100,
		roles: []bool{true},
		edit:  slowly,
		run:   owner,
	},
	{
		story:   "address lists that differ: we report it, and drop nothing",
		matches: []match{keepalivedV2, keepalivedV3, frrV3},
		lead:    200, follow: 100,
		roles:   []bool{false},
		edit:    longerList,
		counted: differs,
		run:     peace,
	},
	{
		story:   "address lists that differ: FRR takes no notice",
		matches: []match{frrV3},
		lead:    200, follow: 100,
		roles: []bool{true},
		edit:  longerList,
		run:   peace,
	},
	{
		story:   "address lists that differ: keepalived 2.2.7 drops ours, and both are master",
		matches: []match{keepalivedV3},
		lead:    200, follow: 100,
		roles:   []bool{true},
		edit:    longerList,
		counted: differs,
		run:     strangers,
	},
	{
		story:   "checksum without pseudo-header from one, with it from the other: both are received, and counted",
		matches: []match{oursV3},
		lead:    200, follow: 100,
		roles:   []bool{false},
		edit:    func(_, _, _, theirs *plan) { theirs.message = true },
		counted: messageOnly,
		run:     peace,
	},
	{
		story:   "checksum without pseudo-header: they refuse it, and both are master",
		matches: []match{keepalivedV3, frrV3},
		lead:    200, follow: 100,
		roles: []bool{true},
		edit:  func(_, _, ours, _ *plan) { ours.message = true },
		run:   strangers,
	},
	{
		story:   "simple password",
		matches: []match{keepalivedV2},
		more:    []match{unicastV2},
		lead:    200, follow: 100,
		edit: func(_, _, ours, theirs *plan) { ours.password, theirs.password = "secret", "secret" },
		run:  handOver,
	},
	{
		story:   "another password: no effect on either, and both are master",
		matches: []match{keepalivedV2},
		lead:    200, follow: 100,
		edit:    func(_, _, ours, theirs *plan) { ours.password, theirs.password = "secret", "Secret" },
		counted: "wrong_password",
		run:     strangers,
	},
	{
		story:   "version 2 and version 3: no effect on either, and both are master",
		matches: []match{keepalivedV3, frrV3},
		lead:    200, follow: 100,
		edit:    func(_, _, _, theirs *plan) { theirs.version, theirs.interval = 2, time.Second },
		counted: "wrong_version",
		run:     strangers,
	},
	{
		story:   "HMAC receive-only: we sign nothing",
		matches: []match{keepalivedV3},
		lead:    200, follow: 100,
		edit: func(_, _, ours, _ *plan) { ours.auth = resource.AuthReceiveOnly },
		run:  handOver,
	},
	{
		story:   "HMAC permissive: keepalived 2.2.7 refuses what is signed, and both are master",
		matches: []match{keepalivedV3},
		lead:    200, follow: 100,
		roles: []bool{true},
		edit:  func(_, _, ours, _ *plan) { ours.auth = resource.AuthPermissive },
		run:   strangers,
	},
	{
		story:   "virtual MAC: adverts and announcements come from it",
		matches: []match{keepalivedV3, keepalivedIPv6, frrV3},
		lead:    200, follow: 100,
		edit: func(_, _, ours, theirs *plan) { ours.mac, theirs.mac = true, true },
		run:  virtualMAC,
	},
	{
		story:   "sync group: two segments move together when one link is lost",
		matches: []match{keepalivedV2, keepalivedV3},
		more:    []match{keepalivedIPv6},
		lead:    200, follow: 100,
		edit: func(_, _, ours, theirs *plan) { *ours, *theirs = grouped(*ours), grouped(*theirs) },
		run:  together,
	},
}

// meets are the matches that v runs in.
func (v variant) meets() []match {
	return append(slices.Clone(v.matches), v.more[:nstest.Trials(0, len(v.more))]...)
}

// slowly makes a wait longer than any start.
func slowly(_, _, ours, theirs *plan) { ours.interval, theirs.interval = 2*time.Second, 2*time.Second }

// longerList is an address of theirs that is not ours.
func longerList(_, _, _, theirs *plan) {
	theirs.routers[0].vips = append(theirs.routers[0].vips, netip.MustParsePrefix("10.9.0.101/24"))
}

func testVariant(t testing.TB, v variant, m match, weLead bool) {
	ours, theirs := v.lead, v.follow
	if !weLead {
		ours, theirs = theirs, ours
	}
	s := meet(t, m, ours, theirs, func(ours, theirs *plan) {
		leader, follower := ours, theirs
		if !weLead {
			leader, follower = theirs, ours
		}
		if v.edit != nil {
			v.edit(leader, follower, ours, theirs)
		}
	})
	leader, follower := s.us, s.them
	if !weLead {
		leader, follower = follower, leader
	}
	v.run(s, leader, follower)
	if v.counted != "" {
		if got := s.ours.router().Adverts; got[v.counted] == 0 {
			t.Errorf("we counted %v, want %s among it", got, v.counted)
		}
	}
	record(t, m, role(weLead), v.story)
}
