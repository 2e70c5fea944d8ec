package haproxy

import (
	"cmp"
	"hash/fnv"
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// maxID bounds the ids of servers: consistent hashes place a server by 4096 times its id, in 32
// bits, so that ids further apart than that would meet (lb_chash.c, chash_queue_dequeue_srv).
const maxID = 1<<20 - 1

// ids returns an id for each server of a backend. Hashes and stick tables go by it, so that it
// comes from the server's name and stays when others come and go. `balance first` fills servers
// in the order of their ids, which is there the order of the file.
func ids(b *spec.HAProxyBackend) []int {
	out := make([]int, len(b.Servers))
	order := make([]int, len(b.Servers))
	for k := range out {
		out[k], order[k] = k+1, k
	}
	if algorithm(b.Balance) == "first" {
		return out
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(b.Servers[x].Name, b.Servers[y].Name) })
	taken := map[int]bool{}
	for _, k := range order {
		h := fnv.New32a()
		_, _ = h.Write([]byte(b.Servers[k].Name)) // a hash takes everything
		id := 1 + int(h.Sum32()%maxID)
		for taken[id] && len(taken) < maxID {
			id = 1 + id%maxID
		}
		out[k], taken[id] = id, true
	}
	return out
}
