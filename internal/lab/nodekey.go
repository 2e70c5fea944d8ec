package lab

import (
	"crypto/ed25519"
	"crypto/sha256"
	"path/filepath"

	"github.com/hareconcile/hareconcile/internal/peer"
)

// NodeKey returns the key of a node of a lab's cluster. It follows from the names, so that a
// cluster file can have its public half before there is a lab; it is no secret.
func NodeKey(cluster, node string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("hareconcile lab\x00" + cluster + "\x00" + node))
	return ed25519.NewKeyFromSeed(seed[:])
}

// key puts the node's key where its agent finds it.
func (h *hostPlan) key(cluster string) error {
	text, err := peer.Encode(NodeKey(cluster, h.Name))
	if err != nil {
		return err
	}
	h.Files = append(h.Files, filePlan{Path: filepath.Join("/var/lib/hareconcile", peer.KeyFile), Content: string(text), Mode: 0o600})
	return nil
}
