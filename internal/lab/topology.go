package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// vrrpdNice is Nice in dist/hareconcile-vrrpd.service.
const vrrpdNice = -15

// settings is what the topology does not learn from the cluster's files.
type settings struct {
	name, dir, bin string
	trusted        string        // the repository's first commit
	interval       time.Duration // of the agents' fetch
	uml            bool
	signers        string // a line of allowed signers: who signs the lab's commits
	forge          *forge // the git server; nil if nodes read the repository from the disk
}

// topology turns what people wrote into what the daemon builds.
func topology(c *spec.Cluster, l *spec.Lab, s settings) (config, error) {
	cfg := config{Name: s.name, Dir: s.dir, Bin: s.bin, Delay: l.RestartDelay, UML: s.uml}
	for _, seg := range l.Segments {
		cfg.Segments = append(cfg.Segments, seg.Name)
	}
	for _, n := range c.Nodes {
		h := hostPlan{Name: n.Name, Node: true}
		for k, seg := range l.Segments {
			if slices.Contains(seg.Nodes, n.Name) {
				h.link(k, netip.PrefixFrom(addressOn(c, n, seg.Prefix), seg.Prefix.Bits()))
			}
		}
		if len(h.Links) == 0 {
			return cfg, fmt.Errorf("node %q is on no segment of lab.hcl", n.Name)
		}
		h.sources(c, l)
		if err := errors.Join(h.node(c, s), h.key(c.Name)); err != nil {
			return cfg, err
		}
		cfg.Hosts = append(cfg.Hosts, h)
	}
	for _, x := range l.Hosts {
		k := slices.IndexFunc(l.Segments, func(seg spec.Segment) bool { return seg.Name == x.Segment })
		if k < 0 {
			return cfg, fmt.Errorf("host %q is on segment %q, which lab.hcl does not have", x.Name, x.Segment)
		}
		h := hostPlan{Name: x.Name}
		h.link(k, netip.PrefixFrom(x.Address, l.Segments[k].Prefix.Bits()))
		cfg.Hosts = append(cfg.Hosts, h)
	}
	if s.forge != nil {
		h, err := s.forge.host(l, s.bin, cfg.Hosts[:len(c.Nodes)])
		if err != nil {
			return cfg, err
		}
		for k := range cfg.Hosts {
			s.forge.client(&cfg.Hosts[k])
		}
		cfg.Hosts = append(cfg.Hosts, h)
	}
	for _, v := range l.Serves {
		k := slices.IndexFunc(cfg.Hosts, func(h hostPlan) bool { return h.Name == v.Host })
		if k < 0 {
			return cfg, fmt.Errorf("serve %q names no host of the lab", v.Host)
		}
		cfg.Hosts[k].serve(v)
	}
	return cfg, cfg.addHostsFile()
}

// addressOn returns a node's address on a segment: its own, the one that a VRRP instance
// uses there, or else the segment's address with the host part of the node's own.
func addressOn(c *spec.Cluster, n spec.Node, p netip.Prefix) netip.Addr {
	if p.Contains(n.Address) {
		return n.Address
	}
	for _, i := range c.Instances {
		if a, ok := i.Source[n.Name]; ok && p.Contains(a) {
			return a
		}
	}
	host, out := n.Address.AsSlice(), p.Masked().Addr().AsSlice()
	for k := 1; k <= min(len(host), len(out)); k++ {
		keep := min(8, max(0, p.Bits()-8*(len(out)-k))) // network bits of this byte
		out[len(out)-k] |= host[len(host)-k] & (0xff >> keep)
	}
	a, _ := netip.AddrFromSlice(out)
	return a
}

func (h *hostPlan) link(segment int, prefix netip.Prefix) {
	h.Links = append(h.Links, linkPlan{fmt.Sprintf("eth%d", len(h.Links)), segment, []string{prefix.String()}})
}

// sources gives a node the addresses that it sends adverts from and that are on no segment,
// as those of IPv6 beside a segment of IPv4, each with the length of what it is to announce.
func (h *hostPlan) sources(c *spec.Cluster, l *spec.Lab) {
	for _, i := range c.Instances {
		a, ok := i.Source[h.Name]
		if !ok || len(i.Addresses) == 0 || slices.ContainsFunc(l.Segments, func(seg spec.Segment) bool { return seg.Prefix.Contains(a) }) {
			continue
		}
		prefix := netip.PrefixFrom(a, i.Addresses[0].Prefix.Bits()).String()
		for k := range h.Links {
			if link := &h.Links[k]; link.Device == i.Interface && !slices.Contains(link.Prefixes, prefix) {
				link.Prefixes = append(link.Prefixes, prefix)
			}
		}
	}
}

// node gives a host what every node of the cluster runs.
func (h *hostPlan) node(c *spec.Cluster, s settings) error {
	h.file("/etc/hareconcile/agent.hcl", agentConfig(h.Name, s))
	h.file("/etc/hareconcile/allowed_signers", s.signers)
	for _, i := range c.Instances {
		if _, ok := i.Priority[h.Name]; ok {
			h.Services = append(h.Services, servicePlan{"vrrpd", []string{filepath.Join(s.bin, "hareconcile-vrrpd")}, vrrpdNice})
			break
		}
	}
	h.Services = append(h.Services, servicePlan{"agent", []string{
		filepath.Join(s.bin, "hareconcile"), "agent", "-config", "/etc/hareconcile/agent.hcl",
	}, 0})
	return h.proxies(c)
}

func (h *hostPlan) file(path, content string) {
	h.Files = append(h.Files, filePlan{Path: path, Content: content})
}

// addHostsFile lets every host call the others by name.
func (c *config) addHostsFile() error {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, h := range c.Hosts {
		for _, l := range h.Links {
			for _, prefix := range l.Prefixes {
				p, err := netip.ParsePrefix(prefix)
				if err != nil {
					return fmt.Errorf("address of %s: %w", h.Name, err)
				}
				fmt.Fprintf(&b, "%s %s\n", p.Addr(), h.Name)
			}
		}
	}
	for k := range c.Hosts {
		c.Hosts[k].file("/etc/hosts", b.String())
	}
	return nil
}

// agentConfig returns a node's agent.hcl.
func agentConfig(node string, s settings) string {
	sources := fmt.Sprintf("source \"git\" \"lab\" {\n  url      = %q\n  ref      = { branch = \"main\" }\n  interval = %q\n}\n",
		"file://"+filepath.Join(s.dir, repository), s.interval)
	signers := ""
	if s.forge != nil {
		sources = s.forge.sources(s)
		if s.forge.Signed {
			signers = "  allowed_signers_file = \"/etc/hareconcile/allowed_signers\"\n"
		}
	}
	return fmt.Sprintf(`node_name = %q

%s
verify {
  trusted_from = %q
%s}

plugins {
  dir = %q
}
`, node, sources, s.trusted, signers, s.bin)
}
