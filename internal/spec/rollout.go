package spec

import "time"

// KeyPrefix is what a node's public key starts with.
const KeyPrefix = "ed25519:"

// Rollout says how a push reaches the nodes, and what it may do.
type Rollout struct {
	// MaxDestroyPercent is the share of managed objects that one plan may delete; 0 means no bound was written.
	MaxDestroyPercent int `json:"max_destroy_percent,omitempty"`
	// MinHealthyTime is how long a node has to be healthy, without a break, before a revision
	// counts as verified there and the next node may go.
	MinHealthyTime time.Duration `json:"min_healthy_time"`
	// HealthyDeadline is how long that may take; then the revision is undone.
	HealthyDeadline time.Duration `json:"healthy_deadline"`
	// ProgressDeadline is how long a node waits for its turn before status calls it stalled.
	ProgressDeadline time.Duration `json:"progress_deadline"`
	// KeepFailed leaves a revision in force that could not be verified (auto_revert = false).
	KeepFailed bool `json:"keep_failed,omitempty"`
	// NoHandOver makes disruptive changes on masters, too (handover = false).
	NoHandOver bool `json:"no_handover,omitempty"`
	// SkipUnreachable counts a peer that was not heard for ProgressDeadline as absent
	// (on_unreachable = "skip"); otherwise it blocks.
	SkipUnreachable bool `json:"skip_unreachable,omitempty"`
	// PeerPort is the tcp port on which nodes tell each other how they are.
	PeerPort uint16 `json:"peer_port"`
}
