package policies

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

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
	symbols   map[string]cty.Value
}

// subjectsOf returns the plan and its changes as policies see them.
func subjectsOf(in Input) ([]subject, error) {
	plan, err := toValue(planOf(in))
	if err != nil {
		return nil, fmt.Errorf("describe the plan: %w", err)
	}
	out := []subject{{symbols: map[string]cty.Value{"plan": plan}}}
	for _, c := range in.Plan.Changes {
		s, err := changeOf(in.Node, c)
		if err != nil {
			return nil, fmt.Errorf("describe %s: %w", c.ID, err)
		}
		out = append(out, s)
	}
	vs, err := virtualSubjects(in)
	if err != nil {
		return nil, fmt.Errorf("describe virtual servers: %w", err)
	}
	return append(out, vs...), nil
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

func changeOf(node string, c reconcile.Change) (subject, error) {
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

func newSubject(m metaSymbol, attrs, prior any) (subject, error) {
	s := subject{kind: string(m.Kind), operation: m.Operation, address: m.Address, symbols: map[string]cty.Value{}}
	for name, v := range map[string]any{"attrs": attrs, "prior_attrs": prior, "meta": m} {
		val, err := toValue(v)
		if err != nil {
			return subject{}, err
		}
		s.symbols[name] = val
	}
	return s, nil
}

// toValue returns v as HCL sees it: under its JSON names. Nil is null.
func toValue(v any) (cty.Value, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return cty.NilVal, err
	}
	t, err := ctyjson.ImpliedType(b)
	if err != nil {
		return cty.NilVal, err
	}
	return ctyjson.Unmarshal(b, t)
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

// virtualSubjects returns the virtual servers that a push makes, changes or removes. They
// are matched by service, so a renamed block is no change.
func virtualSubjects(in Input) ([]subject, error) {
	before, after := virtuals(in.Prior), virtuals(in.Next)
	var out []subject
	add := func(operation string, o spec.Origin, attrs, prior any, service string) error {
		m := metaSymbol{Address: o.Address, Operation: operation, Kind: virtualServer, Name: service, Node: in.Node, File: o.File, Line: o.Line}
		s, err := newSubject(m, attrs, prior)
		out = append(out, s)
		return err
	}
	was, is := byService(before), byService(after)
	for _, v := range after {
		b, existed := was[v.Service]
		var err error
		switch {
		case !existed:
			err = add("create", v.origin, v.virtual, nil, v.Service)
		case !reflect.DeepEqual(b.virtual, v.virtual):
			err = add("update", v.origin, v.virtual, b.virtual, v.Service)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, v := range before {
		if _, stays := is[v.Service]; stays {
			continue
		}
		if err := add("delete", v.origin, nil, v.virtual, v.Service); err != nil {
			return nil, err
		}
	}
	return out, nil
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
	pools := make(map[string]spec.Pool, len(c.Pools))
	for _, p := range c.Pools {
		pools[p.Name] = p
	}
	var out []located
	for _, vs := range c.VirtualServers {
		pool := pools[vs.Pool]
		for _, s := range vs.Services {
			v := virtual{Service: reconcile.Key(s).String(), Pool: vs.Pool, Sorry: vs.Sorry, Checks: len(pool.Checks), Servers: make([]server, 0, len(pool.Servers))}
			for _, r := range pool.Servers {
				port := cmp.Or(r.Port, s.Port) // a pool without a port has that of the service
				v.Servers = append(v.Servers, server{r.Name, netip.AddrPortFrom(r.Address, port).String(), r.Weight})
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
