package main

import (
	"context"
	"log/slog"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/internal/webhook"
)

// A doorbell is the agent's receiver of webhooks; its server is nil where none is configured.
type doorbell struct {
	server *webhook.Server
	listen string
}

func newDoorbell(cfg *spec.Webhook, fetch func(), log *slog.Logger) doorbell {
	if cfg == nil {
		return doorbell{}
	}
	return doorbell{webhook.New(*cfg, fetch, log), cfg.Listen.String()}
}

// run receives webhooks until ctx ends.
func (d doorbell) run(ctx context.Context) error {
	if d.server == nil {
		return nil
	}
	return d.server.Run(ctx)
}

// stats is what status shows of it.
func (d doorbell) stats() *control.Webhook {
	if d.server == nil {
		return nil
	}
	s := d.server.Stats()
	return &control.Webhook{Address: d.listen, Accepted: s.Accepted, Refused: s.Refused, LastAccepted: s.LastAccepted, Error: s.Error}
}
