package reconcile

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// rank is the place of a kind in resource.Order. What is not in it comes first.
func rank(k resource.Kind) int { return 1 + slices.Index(resource.Order, k) }

// compare orders IDs by kind and name.
func compare(a, b resource.ID) int {
	if n := rank(a.Kind) - rank(b.Kind); n != 0 {
		return n
	}
	return strings.Compare(a.Name, b.Name)
}

// A place is where a change of some kind stands in a plan, and where it stood before.
type place struct {
	// key is how the name goes on behind what all names of the kind begin with. It tells
	// most of them apart at the price of one comparison of numbers.
	key uint64
	at  int
}

// inOrder sorts cs as compare does. Places are moved about and not the changes, which are
// several times as long and move once: ordering a large plan costs as much as making it.
func inOrder(cs []Change) {
	ends := make([]int, 2+len(resource.Order)) // of each rank in places, shifted by one
	for k := range cs {
		ends[1+rank(cs[k].ID.Kind)]++
	}
	for r := range ends[1:] {
		ends[1+r] += ends[r]
	}
	places := make([]place, len(cs))
	for k := range cs {
		r := rank(cs[k].ID.Kind)
		places[ends[r]].at = k
		ends[r]++
	}
	from := 0
	for _, end := range ends {
		byName(cs, places[from:end])
		from = end
	}
	arrange(cs, places)
}

// byName sorts the places of one kind.
func byName(cs []Change, places []place) {
	if len(places) < 2 {
		return
	}
	name := func(p place) string { return cs[p.at].ID.Name }
	common := name(places[0])
	for _, p := range places {
		if !strings.HasPrefix(name(p), common) {
			common = common[:shared(name(p), common)]
		}
	}
	for k, p := range places {
		var next [8]byte // a name that ends goes before those that it begins
		copy(next[:], name(p)[len(common):])
		places[k].key = binary.BigEndian.Uint64(next[:])
	}
	slices.SortFunc(places, func(p, o place) int {
		if p.key != o.key {
			return cmp.Compare(p.key, o.key)
		}
		return strings.Compare(name(p), name(o))
	})
}

// shared returns how many bytes a and b have in common at the front.
func shared(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// arrange moves every change of cs to where places has it, along the circles of those that
// take each other's place.
func arrange(cs []Change, places []place) {
	for start := range places {
		if places[start].at == start {
			continue
		}
		first, to := cs[start], start
		for {
			from := places[to].at
			places[to].at = to
			if from == start {
				cs[to] = first
				break
			}
			cs[to] = cs[from]
			to = from
		}
	}
}
