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
	key  uint64
	name string
	at   int
}

func (p place) compare(o place) int {
	if p.key != o.key {
		return cmp.Compare(p.key, o.key)
	}
	return strings.Compare(p.name, o.name)
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
		places[ends[r]] = place{name: cs[k].ID.Name, at: k}
		ends[r]++
	}
	from := 0
	for _, end := range ends {
		byName(places[from:end])
		from = end
	}
	arrange(cs, places)
}

// byName sorts the places of one kind.
func byName(places []place) {
	if len(places) < 2 {
		return
	}
	common := places[0].name
	for k := range places {
		if name := places[k].name; !strings.HasPrefix(name, common) {
			common = common[:shared(name, common)]
		}
	}
	for k := range places {
		var next [8]byte // a name that ends goes before those that it begins
		copy(next[:], places[k].name[len(common):])
		places[k].key = binary.BigEndian.Uint64(next[:])
	}
	slices.SortFunc(places, place.compare)
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
