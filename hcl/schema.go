package hcl

// An attribute is one row of the table that drives decoding, suggestions and the reference.
type attribute struct {
	name     string
	kind     kind
	required bool
	def      string // the default as it would be written; "" is none
	doc      string
	later    bool // a later version accepts it
	secret   bool // may hold secret("name")

	fields []attribute // what the object of an objectKind may hold
}

// A block is one block type of the language.
type block struct {
	name   string
	labels []string // what the labels are
	doc    string
	attrs  []attribute
	blocks []*block
	single bool // at most one in its parent
	each   bool // accepts for_each
	static bool // the same on every node: node.* is not known in it
	open   bool // accepts any attribute (locals)
	later  bool // a later version accepts it
}

func (b *block) attr(name string) (attribute, bool) {
	for _, a := range b.attrs {
		if a.name == name {
			return a, true
		}
	}
	return attribute{}, false
}

// row returns the row itself of an attribute, or nil.
func (b *block) row(name string) *attribute {
	for k := range b.attrs {
		if b.attrs[k].name == name {
			return &b.attrs[k]
		}
	}
	return nil
}

func (b *block) block(name string) (*block, bool) {
	for _, c := range b.blocks {
		if c.name == name {
			return c, true
		}
	}
	return nil, false
}

// attrNames returns the attributes that work, for suggestions.
func (b *block) attrNames() []string {
	var names []string
	for _, a := range b.attrs {
		if !a.later {
			names = append(names, a.name)
		}
	}
	return names
}

// blockNames returns the blocks that work, for suggestions.
func (b *block) blockNames() []string {
	var names []string
	for _, c := range b.blocks {
		if !c.later {
			names = append(names, c.name)
		}
	}
	return names
}

// later makes rows for names that this version refuses.
func laterAttrs(names ...string) []attribute {
	var out []attribute
	for _, n := range names {
		out = append(out, attribute{name: n, later: true})
	}
	return out
}

func laterBlocks(names ...string) []*block {
	var out []*block
	for _, n := range names {
		out = append(out, &block{name: n, later: true})
	}
	return out
}
