package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hareconcile/hareconcile/internal/agent"
	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/probe"
	"github.com/hareconcile/hareconcile/internal/checker"
	"github.com/hareconcile/hareconcile/internal/compile"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/drain"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/notify"
	"github.com/hareconcile/hareconcile/internal/peer"
	"github.com/hareconcile/hareconcile/internal/pluginhost"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/secret"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/internal/sys"
	"github.com/hareconcile/hareconcile/internal/vrrpd"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/address"
	"golang.org/x/sync/errgroup"
)

// runAgent follows the git source and keeps this node as it says, until a signal ends it;
// SIGHUP makes it look at the source at once.
func runAgent(ctx context.Context, e *env, args []string) int {
	fs := e.flags("agent")
	config := configFlag(fs)
	verbose := fs.Bool("v", false, "log debug messages")
	if err := e.parse(fs, args, 0); err != nil {
		return e.exit(err)
	}
	return e.exit(serveAgent(ctx, e, *config, *verbose))
}

func serveAgent(ctx context.Context, e *env, config string, verbose bool) error {
	h, err := openHost(e, config)
	if err != nil {
		return err
	}
	if err := h.mayFollow(config); err != nil {
		return err
	}
	if err := sys.NoCore(); err != nil {
		return err
	}
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: level})).With("node", h.cfg.NodeName)
	for dir, mode := range map[string]os.FileMode{h.runDir: 0o755, h.cfg.DataDir: 0o700} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("create directory: %w", err)
		}
	}
	lock, err := control.TakeLock(filepath.Join(h.runDir, "agent.lock"))
	if errors.Is(err, control.ErrLocked) {
		return &codeError{exitLocked, err}
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	listener, err := lock.Listen(h.cfg.Socket)
	if err != nil {
		return err
	}
	return runParts(ctx, h, listener, log)
}

// mayFollow says what an agent lacks on this host.
func (h *host) mayFollow(config string) error {
	switch {
	case h.cfg.Source.URL == "":
		return fmt.Errorf("the agent needs %s: it names this node and the repository that it follows", config)
	case os.Geteuid() != 0:
		return errors.New("the agent needs root: it changes addresses, sysctls and the IPVS table")
	}
	return nil
}

// parts are what an agent works with.
type parts struct {
	checks  *checker.Engine
	plugins *pluginhost.Host
	kept    *channel.Kept
	bell    doorbell
	network *peer.Network // nil without a key
	told    *notify.Host
}

// assemble makes the agent, and the parts that tell it something.
func (ps *parts) assemble(h *host, hs []reconcile.Handler, boot string, log *slog.Logger) *agent.Agent {
	cfg := h.cfg
	var a *agent.Agent
	ps.bell = newDoorbell(cfg.Webhook, func() { a.FetchNow() }, log.With("kind", "webhook"))
	var err error
	ps.network, err = newNetwork(cfg, func() peer.Message { return a.Report() },
		func(node string, m *peer.Message, err error) { a.PeerHeard(node, m, err) }, log.With("kind", "peer"))
	if err != nil { // without a disk everything else goes on
		log.Error("this node has no key, so it cannot take turns with others", "err", err)
	}
	a = agent.New(agent.Config{
		Node: cfg.NodeName, Version: build.Version, BootID: boot, Git: cfg.Source, PlanOnly: cfg.PlanOnly, AllowEmpty: cfg.AllowEmpty, Drift: cfg.Drift,
		Handlers:  hs,
		Source:    compile.New(cfg, log.With("kind", "source")),
		Journal:   journal.New(cfg.DataDir),
		Store:     revision.NewStore(cfg.DataDir),
		Drains:    drain.NewStore(filepath.Join(cfg.DataDir, "drains.json")),
		SetChecks: ps.checks.Set, SetTrackers: ps.plugins.Set, SetPlaces: h.proxies.follow,
		Reports: func() map[string]control.Report { return trackerReports(ps.plugins.Reports()) },
		ReportCheck: func(ref reconcile.ServerRef, place int, v reconcile.Verdict, message string) {
			ps.checks.Report(ref, place, check.State(v), message)
		},
		CheckStats: func() control.Checks { return checkStats(ps.checks.Stats()) },
		Webhook:    ps.bell.stats,
		SetNotify:  func(n []spec.Notify) { ps.told.Set(n) }, NotifyStats: func() []notify.Stats { return ps.told.Stats() },
		SendTrack: func(ctx context.Context, t channel.Track) error {
			_, err := ps.kept.Do(ctx, channel.Request{Track: &t})
			return err
		},
		Peers: asPeers(ps.network),
		Resign: func(ctx context.Context, ids []string, hold time.Duration) error {
			_, err := ps.kept.Do(ctx, channel.Request{Resign: &channel.Resign{Instances: ids, Hold: hold}})
			return err
		},
		Release: func(ctx context.Context, ids []string) error {
			_, err := ps.kept.Do(ctx, channel.Request{Release: &channel.Release{Instances: ids}})
			return err
		},
		Log: log,
	})
	ps.told = newNotifier(h, a.Events(), log)
	return a
}

// runParts makes the agent and everything that feeds it, and runs them until ctx ends.
func runParts(ctx context.Context, h *host, listener net.Listener, log *slog.Logger) error {
	hup := make(chan os.Signal, 1) // asking twice fetches once
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	cfg := h.cfg
	hs, err := handlers(cfg, h.runDir, h.proxies, log.With("kind", "haproxy"))
	if err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	checks := newChecker(cfg.Plugins, log.With("kind", "check"))
	plugins := pluginhost.New(cfg.Plugins, h.runDir, log.With("kind", "plugin"))
	kept := channel.NewKept(cfg.VRRPSocket)
	defer kept.Close()
	ps := &parts{checks: checks, plugins: plugins, kept: kept}
	a := ps.assemble(h, hs, boot, log)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(ctx) })
	if ps.network != nil {
		g.Go(func() error { return ps.network.Run(ctx) })
	}
	g.Go(func() error { return checks.Run(ctx) })
	g.Go(func() error { return ps.bell.run(ctx) })
	g.Go(func() error { return ps.told.Run(ctx) })
	g.Go(func() error { return plugins.Run(ctx) })
	g.Go(func() error { return control.Serve(ctx, listener, a, log.With("kind", "control")) })
	g.Go(func() error { return channel.Watch(ctx, cfg.VRRPSocket, a.VRRPStatus) })
	g.Go(func() error { return vrrpd.CleanUp(ctx, vrrpdFiles(h, log), vrrpdPatience) })
	g.Go(func() error { return address.Watch(ctx, a.KernelChanged) })
	g.Go(func() error { return pump(ctx, hup, func(os.Signal) { a.FetchNow() }) })
	g.Go(func() error {
		return pump(ctx, checks.Results(), a.ServerVerdict)
	})
	g.Go(func() error {
		return pump(ctx, plugins.Results(), func(r pluginhost.Result) { a.TrackerVerdict(r.Tracker, r.Verdict, r.Message) })
	})
	// Without systemd there is nobody to tell, which is no error.
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	return g.Wait()
}

// checkSockets is how many connections checks may have under way: enough for as many servers
// that let a check wait for a second each second.
const checkSockets = 4096

func newChecker(cfg spec.Plugins, log *slog.Logger) *checker.Engine {
	c := checker.New(log)
	c.MaxSockets = checkSockets
	c.Probes = probe.Options{
		Secret:    func(name string) ([]byte, error) { s, err := secret.Read(secret.Dirs(), name); return []byte(s), err },
		AllowExec: cfg.AllowExec, ExecUser: cfg.User,
	}
	return c
}

// checkStats is what status shows of the checker's figures.
func checkStats(s checker.Stats) control.Checks {
	return control.Checks{
		Targets: s.Targets, Made: s.Checks, InFlight: s.InFlight + s.Probes, LatenessP99: s.Lateness.Quantile(0.99),
		Unmeasured: s.Unmeasured, Complainer: reconcile.ServerRef(s.Complaint.Key), Complaint: s.Complaint.Message, ComplainedAt: s.Complaint.At,
	}
}

// vrrpdPatience is longer than any restart policy takes: vrrpd itself cleans up when it
// comes back sooner.
const vrrpdPatience = 10 * time.Second

// vrrpdFiles is where this host's vrrpd keeps its things.
func vrrpdFiles(h *host, log *slog.Logger) vrrpd.Options {
	return vrrpd.Options{
		Socket: h.cfg.VRRPSocket, State: filepath.Join(h.runDir, "vrrpd.state"), Lock: filepath.Join(h.runDir, "vrrpd.lock"),
		Log: log.With("kind", "vrrp").Handler(),
	}
}

// pump hands what arrives on c to f, which must not block, until ctx ends.
func pump[T any](ctx context.Context, c <-chan T, f func(T)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case v := <-c:
			f(v)
		}
	}
}
