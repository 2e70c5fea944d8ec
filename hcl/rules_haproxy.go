package hcl

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// The limits of haproxies, so that a file loads in a moment and one answer of the runtime
// socket has all servers.
const (
	maxHAProxies      = 64      // in the cluster
	maxProxies        = 4096    // of one: defaults, frontends and backends
	maxHAProxyServers = 20_000  // of one
	maxHAProxyLines   = 20_000  // of one: binds and routes
	maxMapRecords     = 100_000 // of one
	maxHAProxyText    = 8 << 20 // bytes of one managed file
)

// haproxyRules refuses what haproxy would refuse or, worse, load.
func (v *view) haproxyRules() {
	taken := map[string]map[string]string{} // by node, then by path
	ports := newListeners(v)
	if n := len(v.cluster.HAProxies); n > maxHAProxies {
		v.ev.report.errorf(hcl2.Range{Filename: mainFile}, "There are too many haproxies", "They are %d; at most %d are supported.", n, maxHAProxies)
		return
	}
	for k := range v.cluster.HAProxies {
		h := &v.cluster.HAProxies[k]
		if !v.haproxySmall(h) || !v.haproxyNodes(h) {
			continue
		}
		v.haproxyPaths(h, taken)
		p := newProxies(v, h)
		for k := range h.Frontends {
			p.frontend(&h.Frontends[k])
			ports.frontend(h, &h.Frontends[k])
		}
		for k := range h.Backends {
			p.backend(&h.Backends[k])
		}
		v.haproxyFiles(h)
	}
	v.haproxyTrackers()
}

// haproxySmall reports whether one is within the limits, and says so if not.
func (v *view) haproxySmall(h *spec.HAProxy) bool {
	proxies, servers, lines, records := len(h.Defaults)+len(h.Frontends)+len(h.Backends), 0, 0, 0
	for k := range h.Frontends {
		lines += len(h.Frontends[k].Binds) + len(h.Frontends[k].Routes)
	}
	for k := range h.Backends {
		servers += len(h.Backends[k].Servers)
	}
	for _, m := range h.Maps {
		records += len(m.Entries)
	}
	if proxies > maxProxies || servers > maxHAProxyServers || lines > maxHAProxyLines || records > maxMapRecords {
		v.fail(h.Origin, "", "The haproxy is too large", "It has %d proxies, %d servers, %d binds and routes and %d entries of maps; at most %d, %d, %d and %d are supported.",
			proxies, servers, lines, records, maxProxies, maxHAProxyServers, maxHAProxyLines, maxMapRecords)
		return false
	}
	if n := len(haproxy.Render(*h, v.cluster.Name).Text); n > maxHAProxyText {
		v.fail(h.Origin, "", "The haproxy is too large", "Its file has %d bytes; at most %d are supported.", n, maxHAProxyText)
		return false
	}
	return true
}

// haproxyNodes reports whether the nodes are right, and says so if not.
func (v *view) haproxyNodes(h *spec.HAProxy) bool {
	if len(h.Nodes) == 0 {
		v.fail(h.Origin, "nodes", "nodes is empty", "Name the nodes that run it.")
		return false
	}
	if len(h.Nodes) > maxNodes {
		v.fail(h.Origin, "nodes", "There are too many nodes", "It is a list of %d; a cluster has at most %d.", len(h.Nodes), maxNodes)
		return false
	}
	good := true
	for k, n := range h.Nodes {
		at := v.at[h.Origin.Address].elementRange("nodes", k)
		if _, ok := v.cluster.NodeByName(n); !ok {
			v.ev.report.errorf(at, "There is no such node", "nodes names %.80q, which is no node of the cluster.%s", n, DidYouMean(n, v.nodeNames()))
			good = false
		}
		if slices.Contains(h.Nodes[:k], n) {
			v.ev.report.errorf(at, "The node is there twice", "%q is in nodes more than once.", n)
			good = false
		}
	}
	return good
}

// spoken returns the nodes of h for which this view speaks: where node.* is used there is a
// view for each, else one for all.
func (v *view) spoken(h *spec.HAProxy) []string {
	if !v.ev.perNode {
		return h.Nodes
	}
	if slices.Contains(h.Nodes, v.cluster.Node) {
		return []string{v.cluster.Node}
	}
	return nil
}

// haproxyPaths keeps the folders and sockets of a node's haproxies apart.
func (v *view) haproxyPaths(h *spec.HAProxy, taken map[string]map[string]string) {
	if h.RuntimeSocket == h.MasterSocket {
		v.fail(h.Origin, "master_socket", "The sockets are one", "%s is the worker's already. The master has its own, that of haproxy's -S.", h.RuntimeSocket)
		return
	}
	for _, n := range v.spoken(h) {
		if taken[n] == nil {
			taken[n] = map[string]string{}
		}
		for _, p := range []struct{ attr, path string }{{"config_dir", h.ConfigDir}, {"runtime_socket", h.RuntimeSocket}, {"master_socket", h.MasterSocket}} {
			if other, dup := taken[n][p.path]; dup {
				v.fail(h.Origin, p.attr, "Two haproxies share a path", "%s has %s, too, and both are on %s. Each process has its own folder and sockets.", other, p.path, n)
				continue
			}
			taken[n][p.path] = h.Origin.Address
		}
	}
}

// haproxyFiles keeps maps and certificates apart.
func (v *view) haproxyFiles(h *spec.HAProxy) {
	seen := map[string]spec.Origin{}
	once := func(o spec.Origin, path string) {
		if other, dup := seen[path]; dup {
			v.fail(o, "path", "The file is there twice", "%s is %s, too.", other.Address, path)
		}
		seen[path] = o
	}
	for _, m := range h.Maps {
		once(m.Origin, m.Path)
	}
	for _, c := range h.Certificates {
		once(c.Origin, c.Path)
	}
}

// haproxyTrackers warns of trackers that count what nobody checks, or that misspell a name.
func (v *view) haproxyTrackers() {
	bySocket := map[string]*spec.HAProxy{}
	for k := range v.cluster.HAProxies {
		bySocket[v.cluster.HAProxies[k].RuntimeSocket] = &v.cluster.HAProxies[k]
	}
	for k := range v.cluster.Trackers {
		t := &v.cluster.Trackers[k]
		var config struct {
			Socket              string
			Frontends, Backends []string
		}
		if t.Plugin != "haproxy" || json.Unmarshal(t.Config, &config) != nil || bySocket[config.Socket] == nil {
			continue
		}
		h := bySocket[config.Socket]
		var frontends, backends []string
		for k := range h.Frontends {
			frontends = append(frontends, h.Frontends[k].Name)
		}
		for k := range h.Backends {
			b := &h.Backends[k]
			backends = append(backends, b.Name)
			unchecked := slices.IndexFunc(b.Servers, func(s spec.HAProxyEntry) bool { return !s.Check })
			if slices.Contains(config.Backends, b.Name) && unchecked >= 0 {
				v.warn(b.Servers[unchecked].Origin, "", "The server is never down", "%s counts the servers of %s, and nobody checks this one. Write check \"tcp\" {} in the backend.", t.Origin.Address, b.Origin.Address)
			}
		}
		v.misspelt(t, h, config.Frontends, frontends, "frontend")
		v.misspelt(t, h, config.Backends, backends, "backend")
	}
}

// misspelt warns of a name that is nearly one of ours. Others may be in the user's own files.
func (v *view) misspelt(t *spec.Tracker, h *spec.HAProxy, names, ours []string, what string) {
	for _, n := range names {
		if near := DidYouMean(n, ours); !slices.Contains(ours, n) && near != "" {
			v.warn(t.Origin, "config", "The "+what+" is not one of ours", "%s has no %s %.80q, and unless haproxy's own files have one the tracker is never up.%s", h.Origin.Address, what, n, near)
		}
	}
}

// effectiveMode is what a proxy speaks.
func effectiveMode(own string, d *spec.HAProxyDefaults) string {
	if d != nil {
		return cmp.Or(own, d.Mode, "tcp")
	}
	return cmp.Or(own, "tcp")
}

// timed reports whether one of some texts sets a timeout.
func timed(name string, texts ...string) bool {
	for _, t := range texts {
		for l := range strings.SplitSeq(t, "\n") {
			words, _ := haproxy.Words(l)
			if len(words) > 2 && words[0].Text == "timeout" && words[1].Text == name {
				return true
			}
		}
	}
	return false
}
