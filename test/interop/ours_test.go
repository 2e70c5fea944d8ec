package interop

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// An ours is our own program.
type ours struct {
	*vrrpdtest.Node
	plan       plan
	configured bool
}

// The names of the secrets that plans need.
const (
	passwordSecret = "vrrp-password"
	keySecret      = "vrrp-key"
)

func newOurs(n *vrrpdtest.Node, p plan) *ours {
	if p.password != "" {
		n.Secret(passwordSecret, p.password)
	}
	if p.auth != "" {
		n.Secret(keySecret, "thirty-two bytes at the very least")
	}
	return &ours{Node: n, plan: p}
}

// instances says p in our own words.
func (p plan) instances() []resource.VRRPInstance {
	var out []resource.VRRPInstance
	for _, v := range p.routers {
		i := resource.VRRPInstance{
			Interface: v.device, VRID: v.vrid, Family: p.family, Version: p.version, Priority: p.priority,
			Interval: resource.Duration(p.interval), Preempt: !p.neverPreempt, PreemptDelay: resource.Duration(p.preemptDelay),
			Unicast: p.unicast, Source: on(v.device, p.own)[0], Peers: list(on(v.device, p.peers...)), Auth: p.auth, VirtualMAC: p.mac,
		}
		i.Addresses = list(v.vips)
		if p.unicast && p.family == resource.IPv6 {
			i.MinTTL = 64 // keepalived leaves the hop limit to the kernel
		}
		if p.message {
			i.Checksum = resource.ChecksumMessage
		}
		if p.password != "" {
			i.Password = passwordSecret
		}
		if p.group {
			i.Group = "all"
		}
		if p.auth != "" {
			i.AuthKeys, i.AuthActive = resource.NewList("1="+keySecret), 1
		}
		out = append(out, i)
	}
	return out
}

// on are the addresses of the same hosts on another segment.
func on(device string, hosts ...netip.Addr) []netip.Addr {
	out := slices.Clone(hosts)
	for i, a := range out {
		if b := a.As16(); device == "eth1" && a.Is4() {
			out[i] = netip.AddrFrom4([4]byte{b[12], b[13], 1, b[15]}) // as in host
		}
	}
	return out
}

func list[T fmt.Stringer](items []T) resource.List {
	var texts []string
	for _, i := range items {
		texts = append(texts, i.String())
	}
	return resource.NewList(texts...)
}

func (o *ours) start() {
	o.Start()
	if !o.configured { // its state holds the configuration from then on
		o.Apply(o.plan.instances()...)
		o.configured = true
	}
}

func (o *ours) stop() { o.Signal(syscall.SIGTERM) }

func (o *ours) kill() { o.Signal(syscall.SIGKILL) }

func (o *ours) states() map[uint8]string {
	out := map[uint8]string{}
	if !o.Running() {
		return out
	}
	names := map[string]uint8{}
	for _, i := range o.plan.instances() {
		names[i.ID().Name] = i.VRID
	}
	for _, i := range o.Status().Instances {
		out[names[i.Name]] = i.State
	}
	return out
}

// router is our first virtual router now.
func (o *ours) router() channel.InstanceStatus { return o.Named(o.plan.instances()[0].ID().Name) }

func (o *ours) held() map[netip.Addr]bool { return present(o.NS) }

// present are the addresses of a namespace.
func present(ns *nstest.NS) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for a := range ns.Addresses() {
		out[a] = true
	}
	return out
}
