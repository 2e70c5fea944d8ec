package vrrpd

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// A simPlan is a cluster and all that will happen to it.
type simPlan struct {
	seed          uint64
	nodes         int
	starts        []time.Duration // of the nodes
	routers       []simRouter
	names         []string      // of the routers
	configs       [][]simConfig // by node and router
	delay, jitter time.Duration // of a packet: delay to delay+jitter
	twice         float64       // how likely a packet is to arrive twice
	faults        []simFault
	moves         int // transitions in its life
	lived         time.Duration
}

type simRouter struct {
	vrid    uint8
	segment int
	version int
	grouped bool // a member of the one sync group
	six     bool // IPv6
	unicast bool
}

type simConfig struct {
	priority uint8
	interval time.Duration
	preempt  bool
	delay    time.Duration // of preemption
}

func (p *simPlan) router(segment int, vrid uint8) int {
	for r := range p.routers {
		if p.routers[r].segment == segment && p.routers[r].vrid == vrid {
			return r
		}
	}
	panic(fmt.Sprintf("segment %d has no router %d", segment, vrid))
}

// groupOf names the group of r by its first member.
func (p *simPlan) groupOf(r int) int {
	if p.routers[r].grouped {
		for o := range p.routers {
			if p.routers[o].grouped {
				return o
			}
		}
	}
	return r
}

func (p *simPlan) longest(r int) (d time.Duration) {
	for n := range p.configs {
		d = max(d, p.configs[n][r].interval)
	}
	return d
}

func (p *simPlan) shortest(r int) time.Duration {
	d := never
	for n := range p.configs {
		d = min(d, p.configs[n][r].interval)
	}
	return d
}

// A simFault is one thing that happens.
type simFault struct {
	kind     simKind
	at, last time.Duration
	node     int
	router   int
	segment  int
	peers    uint8   // the other side of a cut
	way      int     // of a cut: 0 both, 1 from node, 2 to node
	fuse     int     // calls of the kernel before a pause or kill strikes
	priority uint8   // to change to
	loss     float64 // of packets
}

type simKind uint8

const (
	simCut simKind = iota
	simLossy
	simPause
	simKill
	simReboot
	simQuit
	simReprioritize
	simResigns
	simGate
	simUnplug
	simStrip
	simKinds
)

var simKindNames = [...]string{"cut", "loss", "pause", "kill", "reboot", "quit", "reprioritize", "resign", "gate", "unplug", "strip"}

// newSimPlan draws a plan.
func newSimPlan(seed uint64) *simPlan {
	rnd := rand.New(rand.NewPCG(seed, 0x68617265))
	p := &simPlan{seed: seed, nodes: 2 + rnd.IntN(simMaxNodes-1)}
	base := []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second}[rnd.IntN(3)]
	version := 3
	if base == time.Second && rnd.IntN(3) == 0 {
		version = 2
	}
	group := rnd.IntN(2) == 0
	for r := range 1 + rnd.IntN(simMaxRouters) {
		p.routers = append(p.routers, simRouter{
			vrid: uint8(10 + r), segment: rnd.IntN(r + 1), version: version, grouped: group && (r < 2 || rnd.IntN(2) == 0),
			six: version == 3 && rnd.IntN(4) == 0, unicast: rnd.IntN(4) == 0,
		})
	}
	p.drawConfigs(rnd, base)
	for r := range p.routers {
		p.names = append(p.names, p.instance(0, r).ID().Name)
	}
	together := rnd.IntN(2) == 0
	for range p.nodes {
		at := time.Duration(rnd.Int64N(int64(5 * base)))
		if together {
			at = 0
		}
		p.starts = append(p.starts, at)
	}
	p.delay = time.Duration(rnd.Int64N(int64(base / 20)))
	if rnd.IntN(2) == 0 {
		p.jitter = time.Duration(rnd.Int64N(int64(base / 10)))
	}
	if rnd.IntN(3) == 0 {
		p.twice = 0.2
	}
	count := rnd.IntN(9)
	for range count {
		p.drawFault(rnd, base, time.Duration(4+3*count)*base)
	}
	return p
}

// drawConfigs gives the members of a group one priority per node, as they must have.
func (p *simPlan) drawConfigs(rnd *rand.Rand, base time.Duration) {
	differ := rnd.IntN(4) == 0 && p.routers[0].version == 3 // intervals of the nodes
	style := rnd.IntN(4)
	for range p.nodes {
		common := simConfig{priority: p.drawPriority(rnd), interval: base, preempt: style != 1}
		if style == 2 {
			common.delay = time.Duration(1+rnd.IntN(6)) * base
		}
		if style == 3 {
			common.preempt = rnd.IntN(2) == 0
		}
		if p.routers[0].version == 2 {
			common.interval *= time.Duration(1 + p.seed%2)
		}
		if differ {
			common.interval *= time.Duration(1 + rnd.IntN(2))
		}
		var row []simConfig
		for _, r := range p.routers {
			c := common
			if !r.grouped {
				c.priority = p.drawPriority(rnd)
			}
			row = append(row, c)
		}
		p.configs = append(p.configs, row)
	}
}

func (p *simPlan) drawPriority(rnd *rand.Rand) uint8 {
	return []uint8{1, 50, 100, 100, 150, 200, 254, vrrp.OwnerPriority}[rnd.IntN(8)]
}

func (p *simPlan) drawFault(rnd *rand.Rand, base, span time.Duration) {
	f := simFault{
		kind: simKind(rnd.IntN(int(simKinds))), at: time.Duration(rnd.Int64N(int64(span))), last: time.Duration(rnd.Int64N(int64(10 * base))),
		node: rnd.IntN(p.nodes), router: rnd.IntN(len(p.routers)), priority: p.drawPriority(rnd), loss: rnd.Float64() * 0.9,
	}
	f.segment = p.routers[f.router].segment
	f.peers, f.way = uint8(rnd.UintN(1<<p.nodes)), rnd.IntN(3)
	switch f.kind {
	case simPause, simKill:
		if rnd.IntN(2) == 0 {
			f.fuse = 1 + rnd.IntN(30)
		}
	case simReprioritize, simResigns, simStrip:
		f.last = 0
	case simGate, simUnplug:
		if rnd.IntN(3) == 0 {
			f.last = base / time.Duration(1+rnd.IntN(10)) // flaps
		}
	}
	p.faults = append(p.faults, f)
}

func (f simFault) String() string {
	s := fmt.Sprintf("%v %s", f.at, simKindNames[f.kind])
	switch f.kind {
	case simCut:
		s += fmt.Sprintf(" node %c and %#b on segment %d, way %d, for %v", 'A'+f.node, f.peers, f.segment, f.way, f.last)
	case simLossy:
		s += fmt.Sprintf(" of %.0f%% for %v", 100*f.loss, f.last)
	case simReprioritize:
		s += fmt.Sprintf(" router %d of node %c to %d", f.router, 'A'+f.node, f.priority)
	case simResigns, simStrip:
		s += fmt.Sprintf(" router %d of node %c", f.router, 'A'+f.node)
	case simGate:
		s += fmt.Sprintf(" of router %d of node %c down for %v", f.router, 'A'+f.node, f.last)
	case simUnplug:
		s += fmt.Sprintf(" segment %d of node %c for %v", f.segment, 'A'+f.node, f.last)
	default:
		s += fmt.Sprintf(" node %c for %v, after %d calls", 'A'+f.node, f.last, f.fuse)
	}
	return s
}

func (p *simPlan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d nodes, delay %v to %v, twice %v\n", p.seed, p.nodes, p.delay, p.delay+p.jitter, p.twice)
	for r, o := range p.routers {
		fmt.Fprintf(&b, "  router %d: %+v\n", r, o)
	}
	for n, row := range p.configs {
		fmt.Fprintf(&b, "  node %c from %v: %+v\n", 'A'+n, p.starts[n], row)
	}
	for _, f := range p.faults {
		fmt.Fprintf(&b, "  %v\n", f)
	}
	return b.String()
}
