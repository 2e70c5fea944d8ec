package vrrpd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	maxInstances = slots
	maxTrackers  = 4096
	maxHeld      = 16384 // addresses, routes or rules of one instance
	maxName      = 15    // of an interface (IFNAMSIZ)
	maxPassword  = 8     // bytes (RFC 3768, section 5.3.10)
	ethernetMTU  = 1500  // into which an advert has to fit
	// longestTime bounds what is added to a time: a sum beyond the largest number would be in
	// the past, and due without end.
	longestTime = 365 * 24 * time.Hour
)

// checkConfig refuses what vrrpd could not run as it is written.
func checkConfig(c channel.Config) error {
	if len(c.Instances) > maxInstances || len(c.Trackers) > maxTrackers {
		return fmt.Errorf("%d instances and %d trackers: at most %d of each", len(c.Instances), len(c.Trackers), maxInstances)
	}
	trackers := map[string]bool{}
	for _, t := range c.Trackers {
		if err := checkTracker(t); err != nil {
			return fmt.Errorf("tracker %s: %w", t.Key(), err)
		}
		if trackers[t.Key()] {
			return fmt.Errorf("tracker %s is there twice", t.Key())
		}
		trackers[t.Key()] = true
	}
	names, vips := map[string]bool{}, map[netip.Addr]string{}
	for _, i := range c.Instances {
		name := i.ID().Name
		if err := checkInstance(i, trackers); err != nil {
			return fmt.Errorf("instance %s: %w", name, err)
		}
		if names[name] {
			return fmt.Errorf("instance %s is there twice", name)
		}
		names[name] = true
		for _, v := range append(virtuals(i.Addresses), virtuals(i.Excluded)...) {
			a := v.Prefix.Addr()
			if a.IsLinkLocalUnicast() {
				continue // once on every link
			}
			if other, dup := vips[a]; dup {
				return fmt.Errorf("instance %s: address %v is also on %s", name, a, other)
			}
			vips[a] = name
		}
	}
	return nil
}

func checkTracker(t resource.VRRPTracker) error {
	var err error
	polled := false
	switch t.Type {
	case resource.TrackInterface, resource.TrackPlugin:
	case resource.TrackProcess, resource.TrackFile:
		polled = true
	case resource.TrackRoute:
		_, err = netip.ParsePrefix(t.Target)
	case resource.TrackPing, resource.TrackBFD:
		polled = true
		_, err = netip.ParseAddr(t.Target)
	case resource.TrackAddress:
		_, err = netip.ParseAddr(t.Target)
	default:
		return fmt.Errorf("type %q is not known", t.Type)
	}
	switch {
	case err != nil:
		return err
	case t.Target == "" || len(t.Target) > 255:
		return errors.New("no target")
	case t.Type == resource.TrackPlugin && t.OnUnknown != up && t.OnUnknown != down,
		t.OnUnknown != "" && t.OnUnknown != up && t.OnUnknown != down:
		return fmt.Errorf("on_unknown is %q, want up or down", t.OnUnknown)
	case !sane(t.Hold, t.UpDelay, t.DownDelay, t.Interval, t.Timeout):
		return fmt.Errorf("a time is negative or more than %v", longestTime)
	case polled && time.Duration(t.Interval) < time.Millisecond:
		return fmt.Errorf("interval is %v", t.Interval)
	}
	return nil
}

// sane reports whether these are times that may be waited for.
func sane(times ...resource.Duration) bool {
	for _, d := range times {
		if d < 0 || time.Duration(d) > longestTime {
			return false
		}
	}
	return true
}

func checkInstance(i resource.VRRPInstance, trackers map[string]bool) error {
	interval, step, longest := time.Duration(i.Interval), vrrp.Tick, vrrp.MaxInterval
	if i.Version == 2 {
		step, longest = time.Second, 255*time.Second
	}
	six := i.Family == resource.IPv6
	switch {
	case i.Interface == "" || len(i.Interface) > maxName || strings.ContainsAny(i.Interface, "/ \x00"):
		return fmt.Errorf("interface %q is not a name", i.Interface)
	case i.VRID == 0:
		return errors.New("virtual router id is 0")
	case i.Family != "" && i.Family != resource.IPv4 && !six:
		return fmt.Errorf("family %q is not known", i.Family)
	case i.Version != 3 && i.Version != 2 || i.Version == 2 && six:
		return fmt.Errorf("version %d is not supported, want 3, or 2 with IPv4", i.Version)
	case i.Priority == 0:
		return errors.New("priority is 0, want 1 to 255")
	case interval < step || interval > longest || interval%step != 0:
		return fmt.Errorf("advert interval %v, want a multiple of %v up to %v", i.Interval, step, longest)
	case !sane(i.PreemptDelay, i.StartDelay, i.Announce.Refresh, i.Announce.Interval, max(i.Announce.Delay, 0)):
		return fmt.Errorf("a time is negative or more than %v", longestTime)
	case i.Source.IsValid() && i.Source.Is6() != six, !i.Source.IsValid() && !six, i.Source.Zone() != "":
		return fmt.Errorf("source %v is not an address of the family, without a zone", i.Source)
	case i.Unicast && i.Peers == "":
		return errors.New("unicast without peers")
	case i.MinTTL != 0 && !i.Unicast:
		return errors.New("a least TTL is for unicast only")
	case i.Checksum != "" && i.Checksum != resource.ChecksumPseudo && i.Checksum != resource.ChecksumMessage:
		return fmt.Errorf("checksum %q is not known", i.Checksum)
	case i.Password != "" && i.Version != 2:
		return errors.New("a password is for version 2 only")
	case i.Auth != "" && i.Version != 3:
		return errors.New("authentication is for version 3 only")
	}
	return errors.Join(checkAddresses(i, six), checkPeers(i, six), checkTrackers(i, trackers), checkAuth(i))
}

func checkAddresses(i resource.VRRPInstance, six bool) error {
	items := i.Addresses.Items()
	if limit := vrrp.MaxAddressesFor(i.Version, six, i.Auth != "", ethernetMTU); len(items) == 0 || len(items) > limit {
		return fmt.Errorf("%d addresses, want 1 to %d", len(items), limit)
	}
	if len(i.Excluded.Items())+len(i.Routes.Items())+len(i.Rules.Items()) > maxHeld {
		return fmt.Errorf("more than %d excluded addresses, routes and rules", maxHeld)
	}
	seen := map[netip.Addr]bool{}
	for n, s := range append(items, i.Excluded.Items()...) {
		v, err := resource.ParseVirtualAddress(s)
		if err != nil {
			return err
		}
		a := v.Prefix.Addr()
		switch {
		case n < len(items) && a.Is6() != six:
			return fmt.Errorf("address %v is not of the family", a)
		case seen[a]:
			return fmt.Errorf("address %v is there twice", a)
		case len(v.Device) > maxName || len(v.Label) > maxName:
			return fmt.Errorf("address %v: a name is too long", a)
		}
		seen[a] = true
	}
	for _, s := range i.Routes.Items() {
		if _, err := resource.ParseVirtualRoute(s); err != nil {
			return err
		}
	}
	for _, s := range i.Rules.Items() {
		if _, err := resource.ParseVirtualRule(s); err != nil {
			return err
		}
	}
	return nil
}

func checkPeers(i resource.VRRPInstance, six bool) error {
	peers := i.Peers.Items()
	for n, s := range peers {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil || a.Is6() != six:
			return fmt.Errorf("peer %q is not an address of the family", s)
		case a.Zone() != "":
			return fmt.Errorf("peer %v has a zone, which no advert tells", a)
		case a == i.Source:
			return fmt.Errorf("peer %v is this node itself", a)
		case slices.Contains(peers[:n], s):
			return fmt.Errorf("peer %v is there twice", a)
		}
	}
	return nil
}

func checkTrackers(i resource.VRRPInstance, trackers map[string]bool) error {
	for _, g := range i.Gates.Items() {
		if !trackers[g] {
			return fmt.Errorf("gate %s is not a tracker", g)
		}
	}
	for _, s := range i.Points.Items() {
		p, err := resource.ParsePoints(s)
		if err != nil {
			return err
		}
		if !trackers[p.Tracker] {
			return fmt.Errorf("points of %s, which is not a tracker", p.Tracker)
		}
	}
	return nil
}

func checkAuth(i resource.VRRPInstance) error {
	switch i.Auth {
	case "", resource.AuthReceiveOnly, resource.AuthPermissive, resource.AuthEnforce:
	default:
		return fmt.Errorf("authentication mode %q is not known", i.Auth)
	}
	for _, k := range i.AuthKeys.Items() {
		id, name, ok := strings.Cut(k, "=")
		if n, err := strconv.ParseUint(id, 10, 8); err != nil || n == 0 || !ok || name == "" {
			return fmt.Errorf("key %q is not ID=SECRET with an id of 1 to 255", k)
		}
	}
	return nil
}
