package hcl

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// sameTrackers refuses trackers that members judge in different ways: a node that is content
// with less would take the address from one that serves better. What is watched may have
// another name on each node, so devices, paths and other texts may differ.
func sameTrackers(views []*view) {
	first := views[0]
	for _, v := range views[1:] {
		for _, t := range v.cluster.Trackers {
			o, ok := first.cluster.Tracker(t.Name)
			if !ok || !together(first.cluster, t.Name, first.cluster.Node, v.cluster.Node) {
				continue
			}
			if attr := differing(o, t); attr != "" {
				v.fail(t.Origin, attr, "The nodes judge differently", "%s of %s is not the same on %s and %s, and whoever is judged more mildly takes the addresses.", attr, t.Origin.Address, first.cluster.Node, v.cluster.Node)
			}
		}
	}
}

// together reports whether both nodes are members of an instance that uses the tracker.
func together(c *spec.Cluster, tracker, a, b string) bool {
	return slices.ContainsFunc(c.Instances, func(i spec.VRRPInstance) bool {
		_, hasA := i.Priority[a]
		_, hasB := i.Priority[b]
		used := slices.Contains(i.Gates, tracker) ||
			slices.ContainsFunc(i.Points, func(p spec.Points) bool { return p.Tracker == tracker })
		return hasA && hasB && used
	})
}

// differing returns the first attribute in which two nodes judge in different ways. What kind
// of thing is watched is the same on all: it is the attribute that is written.
func differing(a, b spec.Tracker) string {
	for _, d := range []struct {
		attr string
		same bool
	}{
		{"plugin", a.Plugin == b.Plugin},
		{"interval", a.Interval == b.Interval},
		{"timeout", a.Timeout == b.Timeout},
		{"rise", a.Rise == b.Rise},
		{"fall", a.Fall == b.Fall},
		{"hold", a.Hold == b.Hold},
		{"on_unknown", a.OnUnknown == b.OnUnknown},
		{"delay", a.UpDelay == b.UpDelay && a.DownDelay == b.DownDelay},
		{"min", a.Min == b.Min},
		{"max", a.Max == b.Max},
		{"config", reflect.DeepEqual(limits(a.Config), limits(b.Config))},
	} {
		if !d.same {
			return d.attr
		}
	}
	return ""
}

// limits is a plugin's configuration without its texts: what is left are numbers, switches
// and the names of what is written.
func limits(config []byte) any {
	var out any
	if json.Unmarshal(config, &out) != nil {
		return nil // there is none
	}
	return withoutText(out)
}

func withoutText(x any) any {
	switch x := x.(type) {
	case string:
		return ""
	case map[string]any:
		for name, e := range x {
			x[name] = withoutText(e)
		}
	case []any:
		for k, e := range x {
			x[k] = withoutText(e)
		}
	}
	return x
}

// movingTargets warns of plugins that are asked about a virtual address: whoever is MASTER
// answers, so a backup tests the other node, and as a gate it is down with it.
func (v *view) movingTargets(i spec.VRRPInstance) {
	used := slices.Clone(i.Gates)
	for _, p := range i.Points {
		used = append(used, p.Tracker)
	}
	for _, name := range used {
		t, _ := v.cluster.Tracker(name)
		if t.Plugin == "" {
			continue
		}
		for _, a := range v.vips[i.Name] {
			if addr := a.Prefix.Addr(); mentions(string(t.Config), addr.String()) {
				v.warn(t.Origin, "config", "The tracker looks at a virtual address", "%s is where %s is MASTER, so a backup tests another node and not itself. Ask the node's own address, or 127.0.0.1.", addr, i.Origin.Address)
				return
			}
		}
	}
}

// mentions reports whether text names an address, and not a part of another.
func mentions(text, addr string) bool {
	part := func(b byte) bool { return b == '.' || b >= '0' && b <= '9' || b >= 'a' && b <= 'f' }
	for at := 0; ; at++ {
		k := strings.Index(text[at:], addr)
		if k < 0 {
			return false
		}
		at += k
		end := at + len(addr)
		if (at == 0 || !part(text[at-1])) && (end == len(text) || !part(text[end])) {
			return true
		}
	}
}
