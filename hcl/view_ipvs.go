package hcl

import (
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// ipvs reads the ipvs block.
func (v *view) ipvs(in *instance) *spec.IPVS {
	out := &spec.IPVS{Origin: v.note(in)}
	o := in.object("timeouts")
	for _, t := range []struct {
		field string
		to    *time.Duration
	}{{"tcp", &out.TCP}, {"tcp_fin", &out.TCPFin}, {"udp", &out.UDP}} {
		if *t.to = o.duration(t.field); *t.to%time.Second != 0 {
			o.fail(t.field, t.field+" cannot be that", "The kernel counts whole seconds, and it is %s.", *t.to)
		}
	}
	out.Sysctls = v.ipvsSysctls(in)
	seen := map[string]bool{}
	for _, s := range in.children("sync") {
		v.once(seen, s)
		out.Syncs = append(out.Syncs, v.sync(s))
	}
	return out
}

// sync reads a sync block. What is the kernel's default stays out.
func (v *view) sync(in *instance) spec.Sync {
	s := spec.Sync{
		Origin: in.origin(), Name: in.name, On: in.string("on"), Interface: in.device("interface"),
		ID: uint8(in.int("id")), MaxLen: uint16(in.int("max_len")),
	}
	if in.body.Attributes["id"] == nil {
		i, _ := v.cluster.Instance(s.On)
		s.ID = i.VRID
	}
	if g := in.multicast("group"); g.String() != "224.0.0.81" {
		s.Group = g
	}
	if p := in.int("port"); p != 8848 {
		s.Port = uint16(p)
	}
	if ttl := in.int("ttl"); ttl != 1 {
		s.TTL = uint8(ttl)
	}
	return s
}
