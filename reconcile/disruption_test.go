package reconcile_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestDisruption(t *testing.T) {
	router := func(f func(*resource.VRRPInstance)) resource.VRRPInstance {
		r := resource.VRRPInstance{
			Interface: "eth0", VRID: 100, Version: 3, Priority: 150, Interval: resource.Duration(time.Second),
			Addresses: resource.NewList("192.0.2.100/24", "192.0.2.101/24"),
		}
		if f != nil {
			f(&r)
		}
		return r
	}
	update := func(f func(*resource.VRRPInstance)) []reconcile.Change {
		a, b := router(nil), router(f)
		return []reconcile.Change{{Action: reconcile.Update, ID: a.ID(), Before: a, After: b}}
	}
	for _, tt := range []struct {
		name    string
		changes []reconcile.Change
		want    reconcile.Disruption
		routers []string
	}{
		{"nothing", nil, reconcile.Undisturbed, nil},
		{"a priority", update(func(r *resource.VRRPInstance) { r.Priority = 90 }), reconcile.Undisturbed, nil},
		{"one more address", update(func(r *resource.VRRPInstance) {
			r.Addresses = resource.NewList("192.0.2.100/24", "192.0.2.101/24", "192.0.2.102/24")
		}), reconcile.Undisturbed, nil},
		{"an address less", update(func(r *resource.VRRPInstance) { r.Addresses = resource.NewList("192.0.2.100/24") }), reconcile.MovesAddresses, []string{"eth0/100/ipv4"}},
		{"another MAC", update(func(r *resource.VRRPInstance) { r.VirtualMAC = true }), reconcile.MovesAddresses, []string{"eth0/100/ipv4"}},
		{"another version", update(func(r *resource.VRRPInstance) { r.Version = 2 }), reconcile.Lockstep, []string{"eth0/100/ipv4"}},
		{"an interval within bounds", update(func(r *resource.VRRPInstance) { r.Interval = resource.Duration(250 * time.Millisecond) }), reconcile.Undisturbed, nil},
		{"an interval out of bounds", update(func(r *resource.VRRPInstance) { r.Interval = resource.Duration(100 * time.Millisecond) }), reconcile.Lockstep, []string{"eth0/100/ipv4"}},
		{"the next step of authentication", update(func(r *resource.VRRPInstance) { r.Auth = resource.AuthReceiveOnly }), reconcile.Undisturbed, nil},
		{"a leap of authentication", update(func(r *resource.VRRPInstance) { r.Auth = resource.AuthEnforce }), reconcile.Lockstep, []string{"eth0/100/ipv4"}},
		{"unicast", update(func(r *resource.VRRPInstance) { r.Unicast = true }), reconcile.Lockstep, []string{"eth0/100/ipv4"}},
		{"no router any more", []reconcile.Change{{Action: reconcile.Delete, ID: router(nil).ID(), Before: router(nil)}}, reconcile.MovesAddresses, []string{"eth0/100/ipv4"}},
		{"another identifier", []reconcile.Change{
			{Action: reconcile.Create, ID: router(func(r *resource.VRRPInstance) { r.VRID = 101 }).ID(), After: router(func(r *resource.VRRPInstance) { r.VRID = 101 })},
			{Action: reconcile.Delete, ID: router(nil).ID(), Before: router(nil)},
		}, reconcile.Lockstep, []string{"eth0/100/ipv4"}},
		{"a service less", []reconcile.Change{{Action: reconcile.Delete, ID: resource.IPVSService{}.ID(), Before: resource.IPVSService{}}}, reconcile.ResetsConnections, nil},
		{"another scheduler", []reconcile.Change{{Action: reconcile.Update, Before: resource.IPVSService{}, After: resource.IPVSService{Scheduler: "mh"}}}, reconcile.Undisturbed, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, routers := reconcile.Plan{Changes: tt.changes}.Disruption()
			if got != tt.want || !slices.Equal(routers, tt.routers) {
				t.Errorf("Disruption = %v of %q, want %v of %q", got, routers, tt.want, tt.routers)
			}
		})
	}
}
