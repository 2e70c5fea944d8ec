package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/hareconcile/hareconcile/internal/spawn"
	"github.com/hareconcile/hareconcile/plugins/proto"
)

// start starts the plugin's process and connects to it, or leaves nothing behind.
func (s *supervisor) start(ctx context.Context) (*session, error) {
	if err := allowed(s.name, s.host.cfg); err != nil {
		return nil, err
	}
	if err := s.host.queue(ctx); err != nil {
		return nil, err
	}
	bin, err := find(s.host.cfg.Dir, s.name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = bin.file.Close() }() // the process has its own, or none
	locked, isLocked := s.host.locked(s.name)
	if isLocked {
		if err := bin.matches(locked); err != nil {
			return nil, err
		}
	}
	who, err := spawn.AccountFor(s.host.cfg.User)
	if err != nil {
		return nil, err
	}
	if err := who.Reaches(s.host.sockets); err != nil {
		return nil, err
	}
	var p *process
	release := func() bool { return true }
	defer func() { release() }()
	cfg := &plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: proto.Version, MagicCookieKey: proto.CookieKey, MagicCookieValue: proto.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{proto.Version: {}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         !isLocked || locked.AutoMTLS,
		SkipHostEnv:      true,
		StartTimeout:     s.host.timing.start,
		Logger:           s.sink.logger(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: s.host.sockets},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, sockets string) (runner.Runner, error) {
			var err error
			if p, err = newProcess(bin, s.host.cfg.MemoryLimit, cmd.Env, sockets, who, s.spawner); err != nil {
				return nil, err
			}
			release = context.AfterFunc(ctx, p.end) // Start knows no context
			return p, os.Chown(sockets, who.UID, who.GID)
		},
	}
	client := plugin.NewClient(cfg)

	limited, cancel := context.WithTimeout(ctx, s.host.timing.start)
	defer cancel()
	// connect is bounded by StartTimeout and then by limited; both start now.
	conn, info, err := connect(limited, s.name, client, cfg)
	if err != nil {
		if p != nil {
			p.end()
			_ = os.RemoveAll(p.sockets) // swept again at the next start
			if how := p.how(); how != "" {
				return nil, fmt.Errorf("%w (%s)", err, how)
			}
		}
		return nil, err
	}
	version := clip(info.Version)
	if isLocked && version != locked.Version {
		p.end()
		_ = os.RemoveAll(p.sockets)
		return nil, errors.Join(fmt.Errorf("it is version %s, and the lock file says %s", version, clip(locked.Version)), conn.Close())
	}
	ses := &session{
		process: p, conn: conn, version: version, timing: s.host.timing, secrets: &s.sink.secrets,
		hung: make(chan struct{}), instances: map[string]string{}, answered: time.Now(),
		host: s.host, want: want{bin.id, lockText(locked, isLocked)}, pushes: slices.Contains(info.Features, "watch"),
		streams: map[string]*stream{},
	}
	ses.output.Go(func() { drainOutput(ses.conn, s.sink) })
	return ses, nil
}
