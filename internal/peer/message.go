package peer

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/hareconcile/hareconcile/internal/rollout"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// A Member is a node of the cluster.
type Member struct {
	Name    string
	Address netip.AddrPort // where it tells of itself
	Key     string         // "ed25519:..."
}

// MemberOf returns a node of the cluster file, which tells of itself at port.
func MemberOf(n spec.Node, port uint16) Member {
	return Member{Name: n.Name, Address: netip.AddrPortFrom(n.Address, port), Key: n.Key}
}

// A Message is what a node says of itself.
type Message struct {
	rollout.Report
	// Subject is of the commit that it has verified, Message why it is as it is, in a sentence.
	Subject string `json:"subject,omitempty"`
	State   string `json:"state"` // what its agent is about: "converged", "applying", "degraded"
	Message string `json:"message,omitempty"`
	Drift   uint64 `json:"drift"` // repairs so far
	Version string `json:"hareconcile_version"`
	// Born tells this run of the agent from others, Count its messages from older ones.
	Born  string `json:"born"`
	Count uint64 `json:"count"`
	// Reasons say why a commit is in quarantine, by commit.
	Reasons map[string]string `json:"reasons,omitempty"`
}

// What is read of another node. It is known by its key, and may be in the wrong hands.
const (
	maxMessage     = 64 << 10
	maxText        = 1000
	maxInstances   = 255
	maxQuarantined = 100
)

// Older reports whether m is older than o, of the same run of an agent.
func (m Message) Older(o Message) bool { return m.Born == o.Born && m.Count < o.Count }

// A posted message has the mark by which a reader says that it knows it.
type posted struct {
	Mark    string  `json:"mark"`
	Message Message `json:"message"`
}

// decode reads what node said.
func decode(r io.Reader, node string) (posted, error) {
	var p posted
	d := json.NewDecoder(io.LimitReader(r, maxMessage))
	if err := d.Decode(&p); err != nil {
		return posted{}, fmt.Errorf("read what %s says: %w", node, err)
	}
	m := &p.Message
	if m.Node != node {
		return posted{}, fmt.Errorf("%s says that it is %.80q", node, m.Node)
	}
	if len(m.Instances) > maxInstances || len(m.Quarantined) > maxQuarantined || len(m.Reasons) > maxQuarantined {
		return posted{}, fmt.Errorf("%s says more than there can be", node)
	}
	for _, s := range []*string{&m.Verified, &m.Candidate, &m.Subject, &m.State, &m.Message, &m.Version, &m.Born, &p.Mark} {
		*s = (*s)[:min(len(*s), maxText)]
	}
	for k := range m.Instances {
		i := &m.Instances[k]
		i.Name, i.State = i.Name[:min(len(i.Name), maxText)], i.State[:min(len(i.State), maxText)]
	}
	return p, nil
}

// How long things take at the most.
const (
	// beat is how often a node that has nothing new says so.
	beat = 2 * time.Second
	// patience is how long a node may be silent before it counts as not heard.
	patience = 3*time.Second + beat
	askWait  = 2 * time.Second
	again    = time.Second // between two attempts to reach a node, or to listen
)
