package hcl

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// rollout reads the cluster's rollout block, or what holds without one.
func (p *program) rollout(in *instance) spec.Rollout {
	def, _ := clusterBlock.block("rollout")
	r := &instance{ev: in.ev, def: def, body: &hclsyntax.Body{}, at: in.at, address: "rollout"}
	if found := in.children("rollout"); len(found) > 0 {
		r = found[0]
	}
	share, _ := percent(r.string("max_destroy"))
	out := spec.Rollout{
		MaxDestroyPercent: share,
		MinHealthyTime:    r.duration("min_healthy_time"), HealthyDeadline: r.duration("healthy_deadline"), ProgressDeadline: r.duration("progress_deadline"),
		KeepFailed: !r.boolean("auto_revert"), NoHandOver: !r.boolean("handover"), SkipUnreachable: r.string("on_unreachable") == "skip",
		PeerPort: uint16(r.int("peer_port")),
	}
	if out.HealthyDeadline <= out.MinHealthyTime {
		r.fail("healthy_deadline", "healthy_deadline is too short", "It is %s, and a node has to be healthy for %s (min_healthy_time) within it.", out.HealthyDeadline, out.MinHealthyTime)
	}
	return out
}

// keys checks the nodes' keys: with some nodes unknown to the others, no turn could ever be taken.
func (p *program) keys(nodes []*instance, c *spec.Cluster) {
	owner := map[string]string{}
	missing := ""
	for _, n := range nodes {
		key := n.string("key")
		if key == "" {
			missing = n.name
			continue
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(key, spec.KeyPrefix))
		switch other := owner[key]; {
		case !strings.HasPrefix(key, spec.KeyPrefix) || err != nil || len(raw) != ed25519.PublicKeySize:
			n.fail("key", "Not a key", "%.80q is not %q and 32 bytes in base64, as hareconcile node-key prints it.", key, spec.KeyPrefix)
		case other != "":
			n.fail("key", "The key is taken", "Node %q has it, too.", other)
		}
		owner[key] = n.name
	}
	if missing != "" && len(owner) > 0 {
		p.report.errorf(nodes[0].at, "A key is missing", "Node %q has none and others have one: either all nodes have a key, or none.", missing)
	}
}
