package main

import (
	"log/slog"
	"path/filepath"

	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/notify"
	"github.com/hareconcile/hareconcile/internal/secret"
)

// newNotifier returns what tells others of events, as far as this host lets a repository.
func newNotifier(h *host, events *event.Log, log *slog.Logger) *notify.Host {
	return notify.New(events, notify.Options{
		AllowExec: h.cfg.Plugins.AllowExec, User: h.cfg.Plugins.User,
		Secret:   func(name string) (string, error) { return secret.Read(secret.Dirs(), name) },
		StateDir: filepath.Join(h.runDir, "notify"), Log: log.With("kind", "notify"),
	})
}
