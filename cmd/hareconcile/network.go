package main

import (
	"log/slog"

	"github.com/hareconcile/hareconcile/internal/agent"
	"github.com/hareconcile/hareconcile/internal/peer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// newNetwork returns this node among its peers, with the key in its data folder.
func newNetwork(cfg spec.Agent, report func() peer.Message, heard func(string, *peer.Message, error), log *slog.Logger) (*peer.Network, error) {
	key, err := peer.LoadKey(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	return peer.New(peer.Config{Node: cfg.NodeName, Key: key, Report: report, Heard: heard, Log: log})
}

// asPeers returns n, or nobody where there is none.
func asPeers(n *peer.Network) agent.Peers {
	if n == nil {
		return nil
	}
	return n
}
