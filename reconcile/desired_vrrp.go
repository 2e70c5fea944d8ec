package reconcile

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// vrrpInstance adds i, and the trackers it needs, if this node takes part in it.
func (b *builder) vrrpInstance(i spec.VRRPInstance) {
	priority, member := i.Priority[b.node.Name]
	if !member {
		return
	}
	v := resource.VRRPInstance{
		Interface: i.Interface, VRID: i.VRID,
		Version: i.Version, Priority: priority, Interval: resource.Duration(i.Interval),
		Preempt: i.Preempt, PreemptDelay: resource.Duration(i.PreemptDelay), StartDelay: resource.Duration(i.StartDelay),
		Group: i.Group, Unicast: i.Unicast, MinTTL: i.MinTTL, Checksum: i.Checksum,
		NoAccept: i.NoAccept, VirtualMAC: i.VirtualMAC, Realtime: i.Realtime,
		Addresses: texts(i.Addresses, func(a spec.VirtualAddress) string { return resource.VirtualAddress(a).String() }),
		Excluded:  texts(i.Excluded, func(a spec.VirtualAddress) string { return resource.VirtualAddress(a).String() }),
		Routes:    texts(i.Routes, func(r spec.VirtualRoute) string { return resource.VirtualRoute(r).String() }),
		Rules:     texts(i.Rules, func(r spec.VirtualRule) string { return resource.VirtualRule(r).String() }),
		Source:    i.SourceOf(b.node),
		Gates:     b.gates(i),
		Announce:  announce(i.Announce),
	}
	if i.IPv6() {
		v.Family = resource.IPv6
	}
	v.Peers, v.OpenPeers = b.peers(i)
	b.points(i, &v)
	authenticate(i.Auth, &v)
	b.add(v, i.Origin)
}

// InstanceID returns the ID of i's resource on every node.
func InstanceID(i spec.VRRPInstance) resource.ID {
	v := resource.VRRPInstance{Interface: i.Interface, VRID: i.VRID}
	if i.IPv6() {
		v.Family = resource.IPv6
	}
	return v.ID()
}

func texts[T any](list []T, text func(T) string) resource.List {
	out := make([]string, 0, len(list))
	for _, e := range list {
		out = append(out, text(e))
	}
	return resource.NewList(out...)
}

// peers returns the addresses of the other members and of those that are none, and whether
// a member's cannot be told, so that strangers have to be let in.
func (b *builder) peers(i spec.VRRPInstance) (peers resource.List, open bool) {
	var known []netip.Addr
	for _, name := range i.Members() {
		n, ok := b.cluster.NodeByName(name)
		if !ok || name == b.node.Name {
			continue
		}
		if a := i.SourceOf(n); a.IsValid() {
			known = append(known, a)
		} else {
			open = true
		}
	}
	return texts(append(known, i.Peers...), netip.Addr.String), open
}

func (b *builder) gates(i spec.VRRPInstance) resource.List {
	var keys []string
	for _, name := range i.Gates {
		if key, ok := b.tracker(name); ok {
			keys = append(keys, key)
		}
	}
	return resource.NewList(keys...)
}

// points adds what trackers do to v's priority. A tracker of this very node is up: what it
// would add is added here.
func (b *builder) points(i spec.VRRPInstance, v *resource.VRRPInstance) {
	var out []string
	for _, p := range i.Points {
		key, ok := b.tracker(p.Tracker)
		if ok {
			out = append(out, resource.Points{Tracker: key, Lose: p.Lose, Gain: p.Gain, Scale: p.Scale}.String())
			continue
		}
		if v.Priority < maxPriority {
			v.Priority = uint8(min(maxPriority-1, int(v.Priority)+p.Gain))
		}
	}
	v.Points = resource.NewList(out...)
}

// maxPriority is the owner's, which no points change (RFC 9568, section 5.2.4).
const maxPriority = 255

// tracker adds the tracker of that name and returns its key; ok is false if it watches this
// node from elsewhere. Package hcl refuses a name that does not exist.
func (b *builder) tracker(name string) (key resource.TrackerKey, ok bool) {
	t, ok := b.cluster.Tracker(name)
	if !ok || t.Ping == b.node.Address || t.BFD == b.node.Address {
		return "", false
	}
	kind, target := t.Watches()
	v := resource.VRRPTracker{
		Type: kind, Target: target, Device: t.Device, Source: t.Source, Min: t.Min, Max: t.Max,
		UpDelay: resource.Duration(t.UpDelay), DownDelay: resource.Duration(t.DownDelay),
		Hold: resource.Duration(t.Hold), OnUnknown: t.OnUnknown,
	}
	if kind != resource.TrackPlugin { // the agent asks plugins
		v.Interval, v.Timeout = resource.Duration(t.Interval), resource.Duration(t.Timeout)
		v.Rise, v.Fall = t.Rise, t.Fall
	}
	b.add(v, t.Origin)
	return v.Key(), true
}

// authenticate adds the names of secrets to v.
func authenticate(a spec.Auth, v *resource.VRRPInstance) {
	var keys []string
	for _, id := range slices.Sorted(maps.Keys(a.Keys)) {
		keys = append(keys, fmt.Sprintf("%d=%s", id, a.Keys[id]))
	}
	v.Password, v.Auth, v.AuthActive = a.Password, a.Mode, a.Active
	v.AuthKeys, v.AuthWindow = resource.NewList(keys...), resource.Duration(a.Window)
}

func announce(a spec.Announce) resource.Announce {
	return resource.Announce{
		Repeat: a.Repeat, Delay: resource.Duration(a.Delay),
		Refresh: resource.Duration(a.Refresh), Interval: resource.Duration(a.Interval),
	}
}
