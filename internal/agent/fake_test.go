package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

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

// host is a machine that lives in maps, with one handler for each kind.
type host struct {
	mu      sync.Mutex
	owned   resource.Set
	foreign resource.Set
	broken  map[resource.Kind]error // Apply fails
	blind   map[resource.Kind]error // Observe fails
	applies int
	slow    time.Duration // Observe of IPVS services takes that long
	hangs   resource.Kind // Observe of it ends with its context
	busy    map[resource.ID]int
	held    map[resource.Kind]chan struct{} // Apply waits for it
}

func newHost() *host {
	return &host{owned: resource.Set{}, foreign: resource.Set{},
		broken: map[resource.Kind]error{}, blind: map[resource.Kind]error{}}
}

func (h *host) handlers() []reconcile.Handler {
	var hs []reconcile.Handler
	for _, k := range resource.Order {
		hs = append(hs, &kind{h, k})
	}
	return hs
}

// put changes the machine behind the agent's back.
func (h *host) put(v interface{ ID() resource.ID }) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owned[v.ID()] = v
}

func (h *host) get(id resource.ID) any {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.owned[id]
}

type kind struct {
	host *host
	kind resource.Kind
}

func (k *kind) Kind() resource.Kind { return k.kind }

func (k *kind) Observe(ctx context.Context) (reconcile.Live, error) {
	k.host.mu.Lock()
	slow, hangs := k.host.slow, k.host.hangs == k.kind
	k.host.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return reconcile.Live{}, ctx.Err()
	}
	if k.kind == resource.KindIPVSService && slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return reconcile.Live{}, ctx.Err()
		}
	}
	k.host.mu.Lock()
	defer k.host.mu.Unlock()
	only := func(s resource.Set) resource.Set {
		s = maps.Clone(s)
		maps.DeleteFunc(s, func(id resource.ID, _ any) bool { return id.Kind != k.kind })
		return s
	}
	return reconcile.Live{Owned: only(k.host.owned), Foreign: only(k.host.foreign), Connections: maps.Clone(k.host.busy)}, k.host.blind[k.kind]
}

func (k *kind) Apply(ctx context.Context, c reconcile.Change) error {
	k.host.mu.Lock()
	held := k.host.held[k.kind]
	k.host.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	k.host.mu.Lock()
	defer k.host.mu.Unlock()
	k.host.applies++
	if err := k.host.broken[k.kind]; err != nil {
		return err
	}
	if c.Action == reconcile.Delete {
		delete(k.host.owned, c.ID)
		return nil
	}
	if c.Action == reconcile.Adopt && k.host.foreign[c.ID] != c.After {
		return fmt.Errorf("adopt %s: it was changed meanwhile", c.ID)
	}
	k.host.owned[c.ID] = c.After
	delete(k.host.foreign, c.ID)
	return nil
}

// origin is a Source with a branch that tests push to.
type origin struct {
	mu       sync.Mutex
	tip      *revision.Revision
	err      error
	findings []reconcile.Finding
	ponders  bool // Policy ends with its context
	nexts    int  // calls of Next
}

func (o *origin) push(r *revision.Revision) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tip, o.err = r, nil
}

func (o *origin) judge(f []reconcile.Finding) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.findings = f
}

func (o *origin) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

// asked returns how often Next was called.
func (o *origin) asked() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.nexts
}

func (o *origin) Next(_ context.Context, last *revision.Revision) (*revision.Revision, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.nexts++
	if o.err != nil {
		return nil, o.err
	}
	if o.tip == nil || (last != nil && last.Commit == o.tip.Commit) {
		return nil, nil
	}
	return o.tip, nil
}

func (o *origin) Policy(ctx context.Context, _, _ *revision.Revision, _ reconcile.Plan, _ int) ([]reconcile.Finding, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ponders {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return o.findings, nil
}

// orders is a DrainStore in memory.
type orders struct {
	mu   sync.Mutex
	list []drain.Order
	err  error         // Save fails
	slow time.Duration // and how long it takes
}

func (o *orders) Save(list []drain.Order) error {
	o.mu.Lock()
	slow := o.slow
	o.mu.Unlock()
	<-time.After(slow)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.list = list
	}
	return o.err
}

func (o *orders) Load() ([]drain.Order, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.list, nil
}

// A world is one agent with everything around it.
type world struct {
	*Agent
	host     *host
	origin   *origin
	shelf    *shelf
	orders   *orders
	journal  *journal.Journal // on a real disk
	reports  []string
	trackers []spec.Tracker
	jobs     []checker.Job

	mu     sync.Mutex
	tracks []channel.Track // what vrrpd was told, by a goroutine of its own
}

// told returns what vrrpd was told.
func (w *world) told() []channel.Track {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.tracks)
}

// newWorld returns the agent of node ka1, ready to run.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{host: newHost(), origin: &origin{}, shelf: &shelf{}, orders: &orders{}, journal: journal.New(t.TempDir())}
	w.Agent = New(w.config())
	return w
}

// config is what the agent of w is made of.
func (w *world) config() Config {
	return Config{
		Node: "ka1", Version: "test", BootID: "boot",
		Git:      spec.GitSource{URL: "file:///lab.git", Branch: "main", Interval: 10 * time.Second},
		Handlers: w.host.handlers(),
		Source:   w.origin,
		Store:    w.shelf,
		Drains:   w.orders,
		Journal:  w.journal,
		ReportCheck: func(ref reconcile.ServerRef, check int, v reconcile.Verdict, message string) {
			w.reports = append(w.reports, fmt.Sprintf("%s %d %q %s", ref, check, v, message))
		},
		CheckStats:  func() control.Checks { return control.Checks{} },
		SetChecks:   func(j []checker.Job) { w.jobs = j },
		SetTrackers: func(ts []spec.Tracker, _ *spec.Lock) { w.trackers = ts },
		SendTrack: func(_ context.Context, tr channel.Track) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.tracks = append(w.tracks, tr)
			return nil
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

// start runs the agent until the returned function is called.
func (w *world) start(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1) // room for the result of the one goroutine
	go func() { done <- w.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Run() = %v, want nil", err)
		}
	}
}

func (w *world) verdict(server string, v reconcile.Verdict) {
	w.ServerVerdict(checker.Result{Ref: reconcile.NewServerRef("web", server), Verdict: v, Message: "test"})
}

// lab returns the revision of the reference cluster with that weight for rs1.
func lab(commit string, weight int) *revision.Revision {
	addr := netip.MustParseAddr
	vip := addr("172.25.254.100")
	c := &spec.Cluster{
		Name: "lab", Node: "ka1",
		Nodes: []spec.Node{
			{Name: "ka1", Address: addr("172.25.254.10")}, {Name: "ka2", Address: addr("172.25.254.20")},
		},
		Instances: []spec.VRRPInstance{{
			Name: "web", Interface: "eth0", VRID: 100, Version: 3, Interval: time.Second,
			Priority: map[string]uint8{"ka1": 150, "ka2": 100}, Preempt: true,
			Addresses: []spec.VirtualAddress{{Prefix: netip.PrefixFrom(vip, 24)}},
		}},
		Pools: []spec.Pool{{
			Name: "web", Port: 80, OnFail: "weight_zero",
			Servers: []spec.Server{
				{Name: "rs1", Address: addr("172.25.254.110"), Port: 80, Weight: weight},
				{Name: "rs2", Address: addr("172.25.254.120"), Port: 80, Weight: 1},
			},
			Checks: []spec.Check{{Type: "http", Interval: time.Second, Timeout: time.Second, Rise: 2, Fall: 2}},
		}},
		VirtualServers: []spec.VirtualServer{{
			Name: "http", On: "web", Services: []spec.Service{{Protocol: "tcp", Address: vip, Port: 80}}, Scheduler: "wrr", Forward: "dr", Pool: "web",
		}},
	}
	return &revision.Revision{Ref: "main", Commit: commit, Subject: "test", Digest: "sha256:" + commit, Cluster: c}
}

var (
	labService = resource.ServiceKey{Protocol: "tcp", Address: netip.MustParseAddrPort("172.25.254.100:80")}
	rs1        = resource.IPVSServer{Service: labService, Address: netip.MustParseAddrPort("172.25.254.110:80"), Forward: "dr"}
)

// weight returns rs1's weight in the table, -1 if it is not there.
func (w *world) weight() int {
	if s, ok := w.host.get(rs1.ID()).(resource.IPVSServer); ok {
		return s.Weight
	}
	return -1
}
