package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Config is what a Network is made of.
type Config struct {
	Node string
	Key  ed25519.PrivateKey
	// Report returns what this node says of itself. It must not block.
	Report func() Message
	// Heard is told what another node says; nil with the reason why it cannot be heard. It
	// must not block.
	Heard func(node string, m *Message, err error)
	Log   *slog.Logger
}

// A Network is a node among its peers. Create it with New and start it with Run.
type Network struct {
	cfg  Config
	cert tls.Certificate
	// changed has room for one token: the members are others. Never closed.
	changed chan struct{}

	mu      sync.Mutex
	self    Member
	others  map[string]Member
	news    chan struct{} // closed when the report is another one
	version uint64        // of the report
	born    string        // tells this process's marks from those of others
}

// New returns a Network without members, which neither listens nor asks.
func New(cfg Config) (*Network, error) {
	cert, err := certificate(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &Network{
		cfg: cfg, cert: cert, changed: make(chan struct{}, 1), others: map[string]Member{},
		news: make(chan struct{}), born: fmt.Sprint(time.Now().UnixNano()),
	}, nil
}

// Set replaces the members, of which this node is one; none stops everything. It does not block.
func (n *Network) Set(members []Member) {
	n.mu.Lock()
	n.self, n.others = Member{}, map[string]Member{}
	for _, m := range members {
		if m.Name == n.cfg.Node {
			n.self = m
		} else {
			n.others[m.Name] = m
		}
	}
	if n.self.Name == "" {
		n.others = map[string]Member{}
	}
	self := n.self
	n.mu.Unlock()
	if mine := Public(n.cfg.Key); self.Key != "" && self.Key != mine {
		n.cfg.Log.Error("the cluster file has another key for this node, so no peer believes it", "key", self.Key, "want", mine)
	}
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// Changed tells that Report returns something else from now on.
func (n *Network) Changed() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.version++
	close(n.news)
	n.news = make(chan struct{})
}

// members returns the members now.
func (n *Network) members() (self Member, others map[string]Member) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.self, maps.Clone(n.others)
}

// knows reports whether a key is another member's.
func (n *Network) knows(key string) bool {
	_, others := n.members()
	for _, m := range others {
		if m.Key == key {
			return true
		}
	}
	return false
}

// mark returns how many reports there were, and a channel that is closed when there is another.
func (n *Network) mark() (uint64, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.version, n.news
}

// marked is what a reader of the report number count says that it knows.
func (n *Network) marked(count uint64) string { return fmt.Sprintf("%s-%d", n.born, count) }

// Run listens and follows the other members until ctx ends.
func (n *Network) Run(ctx context.Context) error {
	type running struct {
		member Member
		stop   context.CancelFunc
		done   chan struct{} // closed when it has ended
	}
	var all map[string]running // by node
	start := func(m Member, f func(context.Context, Member)) running {
		ctx, stop := context.WithCancel(ctx)
		r := running{m, stop, make(chan struct{})}
		go func() { defer close(r.done); f(ctx, m) }()
		return r
	}
	end := func(r running) { r.stop(); <-r.done }
	all = map[string]running{}
	defer func() {
		for _, r := range all {
			end(r)
		}
	}()
	for {
		self, others := n.members()
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if r := all[name]; r.member != self && r.member != others[name] {
				end(r)
				delete(all, name)
			}
		}
		for _, m := range others {
			if _, ok := all[m.Name]; !ok {
				all[m.Name] = start(m, n.followOne)
			}
		}
		if _, ok := all[self.Name]; !ok && self.Name != "" {
			all[self.Name] = start(self, n.serve)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.changed:
		}
	}
}
