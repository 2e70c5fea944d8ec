package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/hareconcile/hareconcile/internal/spawn"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/plugins/proto"
)

// An entry is a plugin's in the lock file, if there is one.
type entry struct {
	spec.LockedPlugin
	there bool
}

// open waits until a process may be started, and opens the binary if it may run.
func (s *supervisor) open(ctx context.Context) (*binary, entry, error) {
	var e entry
	if err := allowed(s.name, s.host.cfg); err != nil {
		return nil, e, err
	}
	if err := s.host.queue(ctx); err != nil {
		return nil, e, err
	}
	bin, err := find(s.host.cfg.Dir, s.name)
	if err != nil {
		return nil, e, err
	}
	if e.LockedPlugin, e.there = s.host.locked(s.name); e.there {
		if err := bin.matches(e.LockedPlugin); err != nil {
			return nil, e, errors.Join(err, bin.file.Close())
		}
	}
	return bin, e, nil
}

// account returns whom plugins run as, if they reach their sockets.
func (s *supervisor) account() (spawn.Account, error) {
	who, err := spawn.AccountFor(s.host.cfg.User)
	if err != nil {
		return who, err
	}
	return who, who.Reaches(s.host.sockets)
}

// start starts the plugin's process and connects to it, or leaves nothing behind.
func (s *supervisor) start(ctx context.Context) (*session, error) {
	bin, locked, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = bin.file.Close() }() // the process has its own, or none
	who, err := s.account()
	if err != nil {
		return nil, err
	}
	var key *hostKey
	if !locked.there || locked.AutoMTLS {
		if key, err = s.host.key(); err != nil {
			return nil, err
		}
	}
	var p *process
	limited, cancel := context.WithCancelCause(ctx)
	var clock sync.WaitGroup
	defer clock.Wait()
	defer cancel(nil)
	release := func() bool { return true }
	defer func() { release() }()
	cfg := s.config(key)
	cfg.RunnerFunc = func(_ hclog.Logger, cmd *exec.Cmd, sockets string) (runner.Runner, error) {
		var err error
		if p, err = newProcess(bin, s.host.cfg.MemoryLimit, append(cmd.Env, key.env()...), sockets, who, s.spawner); err != nil {
			return nil, err
		}
		release = context.AfterFunc(limited, p.end) // Start knows no context
		clock.Go(func() { cancel(s.host.timing.startTime(limited, p.pid)) })
		return p, os.Chown(sockets, who.UID, who.GID)
	}
	conn, info, err := connect(limited, s.name, plugin.NewClient(cfg), cfg)
	if err == nil && locked.there && clip(info.Version) != locked.Version {
		err = errors.Join(fmt.Errorf("it is version %s, and the lock file says %s", clip(info.Version), clip(locked.Version)), conn.Close())
	}
	if err != nil {
		if slow := context.Cause(limited); errors.Is(slow, errSlow) {
			err = slow
		}
		return nil, p.abandon(err)
	}
	ses := &session{
		process: p, conn: conn, version: clip(info.Version), timing: s.host.timing, secrets: &s.sink.secrets,
		hung: make(chan struct{}), instances: map[string]string{}, answered: time.Now(),
		host: s.host, want: want{bin.id, lockText(locked.LockedPlugin, locked.there)},
		pushes: slices.Contains(info.Features, proto.FeatureWatch), asksAll: slices.Contains(info.Features, proto.FeatureCheckAll),
		streams: map[string]*stream{},
	}
	ses.output.Go(func() { drainOutput(ses.conn, s.sink) })
	return ses, nil
}

// abandon ends a process that could not be used, if there is one, and adds how it ended to err.
func (p *process) abandon(err error) error {
	if p == nil {
		return err
	}
	p.end()
	_ = os.RemoveAll(p.sockets) // swept again at the next start
	if how := p.how(); how != "" {
		return fmt.Errorf("%w (%s)", err, how)
	}
	return err
}

// config is what go-plugin has to know, but for the process. Without a key there are no
// certificates; with one they are those of AutoMTLS.
func (s *supervisor) config(key *hostKey) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: proto.Version, MagicCookieKey: proto.CookieKey, MagicCookieValue: proto.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{proto.Version: {}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		TLSConfig:        key.config(),
		SkipHostEnv:      true,
		StartTimeout:     (longestStart + 1) * s.host.timing.start, // startTime ends it before
		Logger:           s.sink.logger(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: s.host.sockets},
	}
}
