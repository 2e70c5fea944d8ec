package policies

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// virtualServer is the kind by which policies know a virtual_server block with its pool.
const virtualServer resource.Kind = "virtual_server"

// A subject is something that policies judge: the plan (kind "") or one change of it.
type subject struct {
	kind      string
	operation string
	address   string
	// raw is what symbols are made of when a policy asks: most have no policy at all, and
	// values of HCL take many times the space.
	raw     map[string]any
	symbols map[string]cty.Value
}

// describe fills in the symbols.
func (s *subject) describe() error {
	if s.symbols != nil {
		return nil
	}
	symbols := map[string]cty.Value{}
	for name, v := range s.raw {
		val, err := toValue(v)
		if err != nil {
			return err
		}
		symbols[name] = val
	}
	s.symbols = symbols
	return nil
}

// subjects yields the plan and its changes as policies see them.
func subjects(in Input) iter.Seq[*subject] {
	return func(yield func(*subject) bool) {
		if !yield(&subject{raw: map[string]any{"plan": planOf(in)}}) {
			return
		}
		for _, c := range in.Plan.Changes {
			if !yield(changeOf(in.Node, c)) {
				return
			}
		}
		virtualSubjects(in, yield)
	}
}

// metaSymbol is `meta` in a resource_policy.
type metaSymbol struct {
	Address   string        `json:"address"` // of the block; the ID of what is deleted
	Operation string        `json:"operation"`
	Kind      resource.Kind `json:"kind"`
	Name      string        `json:"name"`
	Node      string        `json:"node"`
	File      string        `json:"file"`
	Line      int           `json:"line"`
}

func changeOf(node string, c reconcile.Change) *subject {
	m := metaSymbol{
		Address: c.Origin.Address, Operation: c.Action.String(), Kind: c.ID.Kind, Name: c.ID.Name,
		Node: node, File: c.Origin.File, Line: c.Origin.Line,
	}
	if m.Address == "" {
		m.Address = c.ID.String()
	}
	before := c.Before
	if c.Action == reconcile.Adopt {
		m.Operation, before = "create", nil
	}
	return newSubject(m, c.After, before)
}

func newSubject(m metaSymbol, attrs, prior any) *subject {
	return &subject{
		kind: string(m.Kind), operation: m.Operation, address: m.Address,
		raw: map[string]any{"attrs": attrs, "prior_attrs": prior, "meta": m},
	}
}

// planSymbol is `plan` in a plan_policy.
type planSymbol struct {
	Node    string   `json:"node"`
	First   bool     `json:"first"` // no revision was in force before
	Summary summary  `json:"summary"`
	VIPs    sides    `json:"vips"`
	Virtual sides    `json:"virtual_servers"` // services
	VRRP    []router `json:"vrrp_instances"`  // of the new cluster
	Rollout rollout  `json:"rollout"`
}

type summary struct {
	Add            int `json:"add"`
	Change         int `json:"change"`
	Destroy        int `json:"destroy"`
	Adopt          int `json:"adopt"`
	Conflicts      int `json:"conflicts"`
	Managed        int `json:"managed"`
	DestroyPercent int `json:"destroy_percent"`
}

// sides are names before and after the push, and those that go.
type sides struct {
	Before  []string `json:"before"`
	After   []string `json:"after"`
	Removed []string `json:"removed"`
}

// A virtual is `attrs` of a virtual_server: the block with the servers of its pool.
type virtual struct {
	Service string   `json:"service"` // such as "tcp 192.0.2.1:80"
	Pool    string   `json:"pool"`
	Sorry   string   `json:"sorry"`
	Checks  int      `json:"checks"`
	Servers []server `json:"servers"`
}

type server struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Weight  int    `json:"weight"`
}

// A router is a vrrp_instance.
type router struct {
	Address    string `json:"address"` // of the block
	Interface  string `json:"interface"`
	VRID       int    `json:"virtual_router_id"`
	Family     string `json:"family"` // "ipv4" or "ipv6"
	Version    int    `json:"version"`
	Interval   string `json:"advert_interval"`
	Priorities []int  `json:"priorities"` // falling
	Peers      int    `json:"peers"`      // routers that are no members
}

// A rollout is what the cluster file allows one push to do.
type rollout struct {
	// MaxDestroyPercent is the stricter of the old and the new bound; 0 if none is written.
	MaxDestroyPercent int `json:"max_destroy_percent"`
}

func planOf(in Input) planSymbol {
	prior, next := in.Prior, in.Next
	if prior == nil {
		prior = &spec.Cluster{}
	}
	if next == nil {
		next = &spec.Cluster{}
	}
	destroy := in.Plan.Count(reconcile.Delete)
	p := planSymbol{
		Node: in.Node, First: in.Prior == nil,
		Summary: summary{
			Add: in.Plan.Count(reconcile.Create), Change: in.Plan.Count(reconcile.Update), Destroy: destroy,
			Adopt: in.Plan.Count(reconcile.Adopt), Conflicts: len(in.Plan.Conflicts),
			Managed: in.Managed, DestroyPercent: planfile.Percent(destroy, in.Managed),
		},
		VIPs:    namesOf(texts(prior.VIPs()), texts(next.VIPs())),
		VRRP:    []router{},
		Rollout: rollout{stricter(prior.Rollout.MaxDestroyPercent, next.Rollout.MaxDestroyPercent)},
	}
	p.Virtual = namesOf(services(prior), services(next))
	for _, i := range next.Instances {
		r := router{
			Address: i.Origin.Address, Interface: i.Interface, VRID: int(i.VRID), Family: resource.IPv4, Version: i.Version,
			Interval: i.Interval.String(), Priorities: []int{}, Peers: len(i.Peers),
		}
		if i.IPv6() {
			r.Family = resource.IPv6
		}
		for _, m := range i.Members() {
			r.Priorities = append(r.Priorities, int(i.Priority[m]))
		}
		p.VRRP = append(p.VRRP, r)
	}
	return p
}

// stricter returns the smaller bound of those that are written.
func stricter(a, b int) int {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

func texts(list []netip.Addr) []string {
	out := []string{}
	for _, a := range list {
		out = append(out, a.String())
	}
	return out
}

func namesOf(before, after []string) sides {
	s := sides{Before: before, After: after, Removed: []string{}}
	stays := map[string]bool{}
	for _, n := range after {
		stays[n] = true
	}
	for _, n := range before {
		if !stays[n] {
			s.Removed = append(s.Removed, n)
		}
	}
	return s
}

// services returns the virtual services of a cluster, such as "tcp 192.0.2.1:80".
func services(c *spec.Cluster) []string {
	out := []string{}
	for _, vs := range c.VirtualServers {
		for _, s := range vs.Services {
			out = append(out, reconcile.Key(s).String())
		}
	}
	return out
}

// virtualSubjects yields the virtual servers that a push makes, changes or removes. They
// are matched by service, so a renamed block is no change.
func virtualSubjects(in Input, yield func(*subject) bool) {
	if in.Prior == in.Next {
		return
	}
	subject := func(operation string, o spec.Origin, attrs, prior any, service string) *subject {
		m := metaSymbol{Address: o.Address, Operation: operation, Kind: virtualServer, Name: service, Node: in.Node, File: o.File, Line: o.Line}
		return newSubject(m, attrs, prior)
	}
	before, after := virtuals(in.Prior), virtuals(in.Next)
	was, is := byService(before), byService(after)
	for _, v := range after {
		b, existed := was[v.Service]
		switch {
		case !existed:
			if !yield(subject("create", v.origin, v.virtual, nil, v.Service)) {
				return
			}
		case !b.equal(v.virtual):
			if !yield(subject("update", v.origin, v.virtual, b.virtual, v.Service)) {
				return
			}
		}
	}
	for _, v := range before {
		if _, stays := is[v.Service]; !stays && !yield(subject("delete", v.origin, nil, v.virtual, v.Service)) {
			return
		}
	}
}

func (v virtual) equal(o virtual) bool {
	return v.Service == o.Service && v.Pool == o.Pool && v.Sorry == o.Sorry && v.Checks == o.Checks && slices.Equal(v.Servers, o.Servers)
}

// A located virtual server is one with the place of its block.
type located struct {
	virtual
	origin spec.Origin
}

func virtuals(c *spec.Cluster) []located {
	if c == nil {
		return nil
	}
	pools := c.PoolsByName()
	var out []located
	for _, vs := range c.VirtualServers {
		pool := pools[vs.Pool]
		for _, s := range vs.Services {
			v := virtual{Service: reconcile.Key(s).String(), Pool: vs.Pool, Sorry: vs.Sorry, Checks: len(pool.Checks), Servers: make([]server, 0, len(pool.Servers))}
			for _, r := range pool.Servers {
				v.Servers = append(v.Servers, server{r.Name, r.AddrPort(s.Port).String(), r.Weight})
			}
			out = append(out, located{v, vs.Origin})
		}
	}
	return out
}

func byService(list []located) map[string]located {
	out := make(map[string]located, len(list))
	for _, v := range list {
		out[v.Service] = v
	}
	return out
}
