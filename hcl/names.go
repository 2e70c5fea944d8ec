package hcl

import "github.com/zclconf/go-cty/cty"

// Names is the tree of what one expression refers to: var.vip, pool.web.port, each.key. It
// is made for every expression and has few names, so its lists are short.
type names struct {
	name     string
	value    cty.Value
	leaf     bool
	children []*names
}

// at returns the place of a path, or of the value that covers it.
func (n *names) at(path ...string) *names {
	for _, p := range path {
		if n.leaf {
			return n
		}
		n = n.child(p)
	}
	return n
}

func (n *names) child(name string) *names {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	c := &names{name: name}
	n.children = append(n.children, c)
	return c
}

// set puts v at a path. A value that is set covers what lies below it.
func (n *names) set(v cty.Value, path ...string) {
	if n = n.at(path...); !n.leaf {
		n.leaf, n.value = true, v
	}
}

func (n *names) object() cty.Value {
	if n.leaf {
		return n.value
	}
	return cty.ObjectVal(n.variables())
}

func (n *names) variables() map[string]cty.Value {
	out := make(map[string]cty.Value, len(n.children))
	for _, c := range n.children {
		out[c.name] = c.object()
	}
	return out
}
