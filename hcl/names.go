package hcl

import "github.com/zclconf/go-cty/cty"

// Names is the tree of what one expression refers to: var.vip, pool.web.port, each.key.
type names struct {
	value    cty.Value
	leaf     bool
	children map[string]*names
}

// at returns the place of a path, or of the value that covers it.
func (n *names) at(path ...string) *names {
	for _, p := range path {
		if n.leaf {
			return n
		}
		if n.children == nil {
			n.children = map[string]*names{}
		}
		if n.children[p] == nil {
			n.children[p] = &names{}
		}
		n = n.children[p]
	}
	return n
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
	for name, c := range n.children {
		out[name] = c.object()
	}
	return out
}
