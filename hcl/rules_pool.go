package hcl

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func (v *view) poolRules(p *spec.Pool) {
	if len(p.Servers) == 0 {
		v.fail(p.Origin, "", "The pool has no server", "Write server \"NAME\" { address = \"192.0.2.10\" }.")
	}
	seen := make(map[netip.AddrPort]string, len(p.Servers))
	for _, s := range p.Servers {
		at := netip.AddrPortFrom(s.Address, s.Port)
		if other, dup := seen[at]; dup {
			v.fail(s.Origin, "address", "The server is there twice", "%s and %s are both %s.", other, s.Name, endpoint(at))
		}
		seen[at] = s.Name
	}
	if len(p.Checks) == 0 {
		v.uncheckedRules(p)
	}
	weighs := ""
	for k := range p.Checks {
		c := &p.Checks[k]
		v.checkRules(p, c)
		v.equalChecks(p, k)
		if c.Dynamic && weighs != "" {
			v.fail(c.Origin, "dynamic", "Two checks decide the weight", "The check of type %q in %s does, too.", weighs, p.Origin.Address)
		}
		if c.Dynamic {
			weighs = c.Type
		}
	}
}

// endpoint writes an address with its port, if it has one.
func endpoint(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

// uncheckedRules refuses what a pool without checks would never do.
func (v *view) uncheckedRules(p *spec.Pool) {
	in := v.at[p.Origin.Address]
	for attr, written := range map[string]bool{
		"slow_start": p.SlowStart > 0, "panic_threshold": p.PanicPercent > 0, "degraded_weight": p.DegradedPercent > 0,
		"require": p.Any, "initial": in != nil && in.written("initial"),
	} {
		if written {
			v.fail(p.Origin, attr, attr+" does not fit", "%s has no check, so its servers are always up. Write check \"tcp\" {}.", p.Origin.Address)
		}
	}
}

// equalChecks refuses a check that asks what an earlier one asks, in the same way.
func (v *view) equalChecks(p *spec.Pool, k int) {
	bare := p.Checks[k]
	bare.Origin = spec.Origin{}
	for _, other := range p.Checks[:k] {
		at := other.Origin
		if other.Origin = (spec.Origin{}); reflect.DeepEqual(bare, other) {
			v.fail(p.Checks[k].Origin, "", "The check is there twice", "%s asks the same in the same way. One of them is enough.", at.Address)
			return
		}
	}
}

// usedPools warns of pools that no virtual server has: their checks are made for nobody. Beside
// an error it would distract.
func (v *view) usedPools() {
	if v.ev.report.hasErrors() {
		return
	}
	used := map[string]bool{}
	for _, vs := range v.cluster.VirtualServers {
		used[vs.Pool], used[vs.Sorry] = true, true
	}
	for _, p := range v.cluster.Pools {
		if !used[p.Name] {
			v.warn(p.Origin, "", "The pool is not used", "No virtual_server has pool = %[1]s or sorry = %[1]s, so its servers get no connections.", p.Origin.Address)
		}
	}
}

// checkRules asks whether a check can be done for every server of its pool.
func (v *view) checkRules(p *spec.Pool, c *spec.Check) {
	k := slices.IndexFunc(checkTypes, func(t checkType) bool { return t.name == c.Type })
	if k < 0 {
		return // reported
	}
	ported := checkTypes[k].ported || c.Exec != nil && strings.Contains(strings.Join(c.Exec.Command, " "), "{port}")
	for _, s := range p.Servers {
		target := s.Address
		if c.Address.IsValid() {
			target = c.Address
		}
		switch {
		case ported && c.Port == 0 && s.Port == 0:
			v.fail(c.Origin, "", "The check has no port", "Neither %s nor %s says one, and the services that use the pool may have several. Write port = PORT here.", p.Origin.Address, s.Origin.Address)
			return
		case c.Source.IsValid() && c.Source.Is6() != target.Is6():
			v.fail(c.Origin, "source", "source is of the other family", "Nothing goes from %s to %s.", c.Source, target)
			return
		case c.Type == "bfd" && target.IsLoopback():
			v.fail(s.Origin, "address", "A host has no session with itself", "%s asks %s by BFD, which is the director itself.", p.Origin.Address, target)
			return
		}
	}
}

// sessionRules keeps the BFD sessions of checks in line with those of trackers: vrrpd has
// one with an address, whoever asks for it.
func (v *view) sessionRules() {
	type session struct {
		spec.Tracker // without its name and origin
		by           string
	}
	seen := map[netip.Addr]session{}
	for _, t := range v.cluster.Trackers {
		if t.BFD.IsValid() {
			by := t.Origin.Address
			t.Origin, t.Name = spec.Origin{}, ""
			seen[t.BFD] = session{t, by}
		}
	}
	added := 0
	for _, p := range v.cluster.Pools {
		for _, c := range p.Checks {
			if c.Type != "bfd" {
				continue
			}
			for _, s := range p.Servers {
				t := spec.Tracker{BFD: s.Address, Source: c.Source, Device: c.Device, Interval: c.Interval, Fall: c.Fall}
				if c.Address.IsValid() {
					t.BFD = c.Address
				}
				first, dup := seen[t.BFD]
				if dup && !reflect.DeepEqual(first.Tracker, t) {
					v.fail(c.Origin, "", "Two sessions disagree", "%s has one with %s, too, in another way, and two hosts have one session. Write the same interval, multiplier, dev and source, and no delay.", first.by, t.BFD)
					return
				}
				if !dup {
					seen[t.BFD] = session{t, c.Origin.Address}
					added++
				}
			}
		}
	}
	if n := len(v.cluster.Trackers) + added; added > 0 && n > maxTrackers {
		v.ev.report.errorf(hcl2.Range{Filename: mainFile}, "There are too many sessions", "Trackers and checks by BFD are %d; at most %d are supported.", n, maxTrackers)
	}
}
