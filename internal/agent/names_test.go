package agent

import (
	"net/netip"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestTheTwoFamiliesOfOneVRIDHaveNames(t *testing.T) {
	router := func(name, prefix string) spec.VRRPInstance {
		return spec.VRRPInstance{Name: name, Interface: "eth0", VRID: 51, Addresses: []spec.VirtualAddress{{Prefix: netip.MustParsePrefix(prefix)}}}
	}
	c := &spec.Cluster{Instances: []spec.VRRPInstance{router("four", "192.0.2.1/24"), router("six", "fe80::1/64")}}
	for key, want := range map[string]string{"eth0/51/ipv4": "four", "eth0/51/ipv6": "six", "eth1/51/ipv4": "eth1/51/ipv4"} {
		if got := instanceName(c, key); got != want {
			t.Errorf("instanceName(%s) = %q, want %q", key, got, want)
		}
	}
}

func TestPluginsThatCountForPointsAreAsked(t *testing.T) {
	i := spec.VRRPInstance{Priority: map[string]uint8{"ka1": 100}, Gates: []string{"gate"}, Points: []spec.Points{{Tracker: "points", Lose: 60}}}
	c := &spec.Cluster{Instances: []spec.VRRPInstance{i}}
	for _, name := range []string{"gate", "points", "unused"} {
		c.Trackers = append(c.Trackers, spec.Tracker{Name: name, Plugin: "p"})
	}
	if got := pluginTrackers(c, "ka1"); len(got) != 2 || got[0].Name != "gate" || got[1].Name != "points" {
		t.Errorf("pluginTrackers = %v, want gate and points", got)
	}
}
