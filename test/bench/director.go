package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hareconcile/hareconcile/internal/agent"
	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/checker"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/drain"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// checkedVIP is the service whose servers are checked.
var checkedVIP = netip.AddrPortFrom(nth(96, 0), servicePort)

// checked are the servers that are checked: so many, and the victim.
func checked(n int, withVictim bool) []netip.AddrPort {
	out := make([]netip.AddrPort, 0, n+1)
	for i := range n {
		out = append(out, netip.AddrPortFrom(nth(112, i), serverPort))
	}
	if withVictim {
		out = append(out, victim)
	}
	return out
}

// runDirector is the process of our agent, with its checker and the handlers of the table,
// for a cluster that does not come from git.
func runDirector(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	hs, err := tableHandlers(args[2])
	if err != nil {
		return err
	}
	rev := &revision.Revision{Commit: fmt.Sprintf("%040d", 1), Digest: "sha256:bench", Cluster: checkedCluster(args[0], checked(n, true))}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	checks := checker.New(log)
	a := agent.New(agent.Config{
		Node: director, Git: spec.GitSource{Interval: time.Hour}, Handlers: append(hs, &absorber{resource.Set{}}),
		Source: fixed{rev}, Store: fixed{rev}, Drains: nobodyDrains{}, Journal: journal.New(os.TempDir()),
		SetChecks: checks.Set, SetTrackers: func([]spec.Tracker, *spec.Lock) {},
		ReportCheck: func(reconcile.ServerRef, int, reconcile.Verdict, string) {},
		CheckStats:  func() control.Checks { return control.Checks{} },
		SendTrack:   func(context.Context, channel.Track) error { return nil },
		Log:         log,
	})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(ctx) })
	g.Go(func() error { return checks.Run(ctx) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case r := <-checks.Results():
				a.ServerVerdict(r)
			}
		}
	})
	return g.Wait()
}

// checkedCluster has one service with those servers, each checked once a second.
func checkedCluster(kind string, servers []netip.AddrPort) *spec.Cluster {
	check := spec.Check{Type: kind, Interval: checkInterval, Timeout: checkTimeout, Rise: 1, Fall: 1}
	if kind == "http" {
		check.HTTP = &spec.HTTPCheck{Method: "GET", Path: "/", Status: []spec.StatusRange{{Low: 200, High: 200}}}
	}
	p := spec.Pool{Name: "checked", Port: serverPort, OnFail: "remove", Checks: []spec.Check{check}}
	for i, s := range servers {
		p.Servers = append(p.Servers, spec.Server{Name: fmt.Sprintf("s%d", i), Address: s.Addr(), Port: s.Port(), Weight: 1})
	}
	c := catalogue{services: 2}.cluster()
	c.Pools = []spec.Pool{p}
	c.VirtualServers = c.VirtualServers[:1]
	c.VirtualServers[0].Pool, c.VirtualServers[0].Forward = p.Name, string(resource.ForwardNAT)
	return c
}

// fixed is a source and a store with one revision, which is the last good one from the start.
type fixed struct{ rev *revision.Revision }

func (f fixed) Next(context.Context, *revision.Revision) (*revision.Revision, error) { return nil, nil }

func (f fixed) Policy(context.Context, *revision.Revision, *revision.Revision, reconcile.Plan, int) ([]reconcile.Finding, error) {
	return nil, nil
}

func (f fixed) SaveGood(*revision.Revision) error { return nil }

func (f fixed) GoBack(*revision.Revision) error { return nil }

func (f fixed) LoadPrior() (*revision.Revision, error) { return nil, nil }

func (f fixed) SaveCandidate(*revision.Revision) error { return nil }

func (f fixed) LoadCandidate() (*revision.Revision, error) { return nil, nil }

func (f fixed) LoadGood() (*revision.Revision, error) { return f.rev, nil }

type nobodyDrains struct{}

func (nobodyDrains) Save([]drain.Order) error { return nil }

func (nobodyDrains) Load() ([]drain.Order, error) { return nil, nil }

// An absorber says that virtual routers are as they should be: here is no vrrpd.
type absorber struct{ set resource.Set }

func (a *absorber) Kind() resource.Kind { return resource.KindVRRPInstance }

func (a *absorber) Observe(context.Context) (reconcile.Live, error) {
	return reconcile.Live{Owned: a.set, Foreign: resource.Set{}}, nil
}

func (a *absorber) Apply(_ context.Context, c reconcile.Change) error {
	a.set[c.ID] = c.After
	return nil
}
