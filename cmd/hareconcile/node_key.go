package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hareconcile/hareconcile/internal/peer"
)

// runNodeKey prints the public key of this host, which it makes if there is none.
func runNodeKey(_ context.Context, e *env, args []string) int {
	fs := e.flags("node-key")
	config := configFlag(fs)
	asJSON := fs.Bool("json", false, "print JSON")
	if err := e.parse(fs, args, 0); err != nil {
		return e.exit(err)
	}
	h, err := openHost(e, *config)
	if err != nil {
		return e.exit(err)
	}
	key, err := peer.LoadKey(h.cfg.DataDir)
	if err != nil {
		return e.exit(fmt.Errorf("the node's key: %w", err))
	}
	if *asJSON {
		return e.exit(json.NewEncoder(e.stdout).Encode(map[string]string{"node": h.cfg.NodeName, "key": peer.Public(key)}))
	}
	_, err = fmt.Fprintf(e.stdout, "key = %q\n", peer.Public(key))
	return e.exit(err)
}
