package hcl

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// owner is the priority of the node that has the addresses for good (RFC 9568, section 5.2.4).
const owner = 255

func (v *view) instanceRules(i spec.VRRPInstance) {
	v.versionRules(i)
	v.ttlRules(i)
	v.members(i)
	v.peerRules(i)
	v.preemptRules(i)
	v.pointRules(i)
	if len(i.Addresses) == 0 {
		v.fail(i.Origin, "addresses", "The instance has no address", "Write at least one that is advertised, such as addresses = [\"192.0.2.1/24\"].")
		return
	}
	if most := fitting1500(i); len(i.Addresses) > most {
		v.fail(i.Origin, "addresses", "The instance has too many addresses", "It has %d, and an advert holds %d: %s. The others can be in excluded, which is held and not advertised.", len(i.Addresses), most, fittingWhy(i))
		return
	}
	v.vipRules(i)
	v.networkRules(i)
	v.gateRules(i.Origin, i.Gates)
	v.routingRules(i)
	v.neverRules(i)
	v.movingTargets(i)
}

// The parts of an advert in bytes (RFC 9568, sections 5.1 and 5.2; draft-cassen-vrrp-auth-hmac).
const (
	mtu         = 1500 // of Ethernet, which adverts may not exceed: they are never fragmented
	ipv6Header  = 40
	vrrpHeader  = 8
	hmacTrailer = 28
	maxCount    = 255 // of addresses, which are counted in one byte
)

// fitting1500 returns how many addresses an advert of i can name. Over IPv4 the count is the
// bound: 255 addresses of 4 bytes are far below the MTU.
func fitting1500(i spec.VRRPInstance) int {
	if !i.IPv6() {
		return maxCount
	}
	room := mtu - ipv6Header - vrrpHeader
	if len(i.Auth.Keys) > 0 {
		room -= hmacTrailer
	}
	return room / 16
}

func fittingWhy(i spec.VRRPInstance) string {
	switch {
	case !i.IPv6():
		return "they are counted in one byte (RFC 9568, section 5.2.5)"
	case len(i.Auth.Keys) > 0:
		return "it is one packet of 1500 bytes, 28 of which are the HMAC"
	}
	return "it is one packet of 1500 bytes"
}

// gateRules refuses a gate that is there twice, by whatever name.
func (v *view) gateRules(o spec.Origin, gates []string) {
	seen := map[string]string{}
	for _, g := range gates {
		if other, dup := seen[v.key(g)]; dup {
			v.fail(o, "gates", "The gate is there twice", "%s", twice(other, g))
		}
		seen[v.key(g)] = g
	}
}

func twice(a, b string) string {
	if a == b {
		return fmt.Sprintf("tracker.%s is in the list more than once.", a)
	}
	return fmt.Sprintf("tracker.%s and tracker.%s watch one thing.", a, b)
}

// key tells what a tracker watches; two blocks may watch one thing.
func (v *view) key(tracker string) string {
	t, _ := v.cluster.Tracker(tracker)
	kind, target := t.Watches()
	return kind + " " + target
}

// versionRules checks what each version and family can say.
func (v *view) versionRules(i spec.VRRPInstance) {
	switch {
	case i.Version == 2 && i.IPv6():
		v.fail(i.Origin, "version", "Version 2 is for IPv4", "RFC 3768 knows no IPv6. Write version = 3, or leave it out.")
	case i.Version == 2 && (i.Interval%time.Second != 0 || i.Interval < time.Second):
		v.fail(i.Origin, "advert_interval", "advert_interval cannot be that", "%s is no whole number of seconds, which is what adverts of version 2 carry (RFC 3768, section 5.3.7).", i.Interval)
	case i.Version == 3 && i.Interval%(10*time.Millisecond) != 0:
		v.fail(i.Origin, "advert_interval", "advert_interval cannot be that", "%s is no whole number of hundredths of a second, which is what adverts carry (RFC 9568, section 5.2.7).", i.Interval)
	case i.Version == 3 && i.Interval > 40950*time.Millisecond:
		v.fail(i.Origin, "advert_interval", "advert_interval cannot be that", "%s is more than 40.95s, the most that adverts of version 3 can carry (RFC 9568, section 5.2.7).", i.Interval)
	}
	if in := v.at[i.Origin.Address]; in.written("checksum") && (i.Version == 2 || i.IPv6()) {
		v.fail(i.Origin, "checksum", "checksum does not fit", "Only version 3 over IPv4 has two forms of it.")
	}
}

// ttlRules bounds from where adverts may come.
func (v *view) ttlRules(i spec.VRRPInstance) {
	in := v.at[i.Origin.Address]
	switch {
	case in.written("min_ttl") && !i.Unicast:
		v.fail(i.Origin, "min_ttl", "min_ttl is for unicast", "Multicast adverts never cross a router: their TTL is 255 (RFC 9568, section 5.1.1.3).")
	case i.MinTTL != 0 && i.Auth.Mode != "enforce":
		v.warn(i.Origin, "min_ttl", "Adverts may come from afar", "Whoever forges the address of a member behind a router is heard. Sign the adverts: auth { mode = \"enforce\" }, or leave min_ttl out.")
	}
}

// preemptRules refuses what contradicts an owner.
func (v *view) preemptRules(i spec.VRRPInstance) {
	members := i.Members()
	if len(members) == 0 || i.Priority[members[0]] != owner {
		return
	}
	if !i.Preempt || i.PreemptDelay > 0 {
		v.fail(i.Origin, "preempt", "The owner always preempts", "%s has priority 255, and the owner takes its addresses whenever it can (RFC 9568, section 6.1, Preempt_Mode). Give it at most 254, or leave preempt out.", members[0])
	}
	if len(members) > 1 && i.Priority[members[1]] == owner {
		v.fail(i.Origin, "priority", "Two nodes are the owner", "%s and %s both have 255. Addresses have one owner (RFC 9568, section 8.3.2).", members[0], members[1])
	}
}

// pointRules refuses points that can never move the address.
func (v *view) pointRules(i spec.VRRPInstance) {
	if len(i.Points) == 0 {
		return
	}
	in := v.points[i.Name]
	lose, gain, scaled := 0, 0, false
	seen, gates := map[string]string{}, map[string]bool{}
	for _, g := range i.Gates {
		gates[v.key(g)] = true
	}
	for _, p := range i.Points {
		t, _ := v.cluster.Tracker(p.Tracker)
		key := v.key(p.Tracker)
		switch other, dup := seen[key]; {
		case dup:
			in.fail("points", "The tracker is there twice", "%s", twice(other, p.Tracker))
		case gates[key]:
			in.fail("points", "The tracker is a gate", "While tracker.%s is down, %s is out of the election, whatever its priority.", p.Tracker, i.Origin.Address)
		case p.Lose == 0 && p.Gain == 0 && p.Scale == 0:
			in.fail("points", "The points do nothing", "Write lose, gain or scale for tracker.%s.", p.Tracker)
		case p.Scale != 0 && t.File == "":
			in.fail("points", "scale does not fit", "tracker.%s has no number; that is what trackers with file have.", p.Tracker)
		}
		seen[key] = p.Tracker
		lose, gain = lose+p.Lose, gain+p.Gain
		scaled = scaled || p.Scale != 0
	}
	if !i.Preempt && len(i.Gates) == 0 {
		in.fail("points", "The points can never move the address", "With preempt = \"never\" nobody takes it from a living MASTER of low priority. Use a gate, which takes the node out of the election.")
		return
	}
	if !scaled && lose+gain > 0 {
		v.gapRules(i, in, lose, gain)
	}
}

// gapRules compares the most that trackers can do with the differences between neighbours. A
// MASTER loses to a priority that is higher, not to an equal one (RFC 9568, section 6.4.3).
func (v *view) gapRules(i spec.VRRPInstance, in *instance, lose, gain int) {
	swing := lose + gain
	members := slices.DeleteFunc(i.Members(), func(n string) bool { return i.Priority[n] == owner })
	least := 256
	for k := 1; k < len(members); k++ {
		least = min(least, int(i.Priority[members[k-1]])-int(i.Priority[members[k]]))
	}
	switch {
	case len(members) < 2:
		in.fail("points", "The points can never move the address", "%s has no two members whose priorities could change order; an owner's never changes.", i.Origin.Address)
	case swing <= least:
		in.fail("points", "The points can never move the address", "All of them together make a difference of %d, and the members of %s are at least %d apart. More than that is needed.", swing, i.Origin.Address, least)
	case swing <= int(i.Priority[members[0]])-int(i.Priority[members[1]]):
		v.ev.report.add(Warning, in.attrRange("points"), "The points never move the address from the first node",
			fmt.Sprintf("All of them together make a difference of %d, and %s is %d above %s.", swing, members[0], i.Priority[members[0]]-i.Priority[members[1]], members[1]))
	default:
		v.clampRules(i, in, members, lose, gain)
	}
}

// trackerRules refuses two blocks that mean one thing to vrrpd and differ in how.
func (v *view) trackerRules() {
	seen := map[string]spec.Tracker{}
	for _, t := range v.cluster.Trackers {
		kind, target := t.Watches()
		if kind == "plugin" {
			continue
		}
		bare := t
		bare.Origin, bare.Name = spec.Origin{}, ""
		other, dup := seen[kind+" "+target]
		if !dup {
			seen[kind+" "+target] = t
			continue
		}
		other.Origin, other.Name = spec.Origin{}, ""
		if first := seen[kind+" "+target]; !reflect.DeepEqual(bare, other) {
			v.fail(t.Origin, "", "Two trackers disagree", "%s watches %s %s, too, in another way. One of them, used twice, is enough.", first.Origin.Address, kind, target)
		}
	}
}
