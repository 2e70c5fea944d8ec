// Package agent is the loop that owns a node's Cluster, Facts and status: every input
// becomes an entry in its inbox, and every pass goes from observe to apply.
package agent

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/checker"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/drain"
	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/notify"
	"github.com/hareconcile/hareconcile/internal/peer"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
	"golang.org/x/sync/errgroup"
)

// A Source fetches, verifies and compiles commits, and judges plans by the policies in force.
type Source interface {
	// Next returns the newest revision, nil if there is none newer than last, a
	// *revision.Refused if the newest may not be applied, or why the remote is unreachable.
	Next(ctx context.Context, last *revision.Revision) (*revision.Revision, error)
	// Policy returns what the policies say of going from prior (nil at first) to next by plan.
	Policy(ctx context.Context, next, prior *revision.Revision, plan reconcile.Plan, managed int) ([]reconcile.Finding, error)
}

// A Store keeps the last good revision, the one before it, and the one that is tried.
type Store interface {
	SaveGood(*revision.Revision) error
	LoadGood() (*revision.Revision, error)
	LoadPrior() (*revision.Revision, error)
	GoBack(*revision.Revision) error
	SaveCandidate(*revision.Revision) error
	LoadCandidate() (*revision.Revision, error)
}

// A DrainStore keeps the drains that people ordered.
type DrainStore interface {
	Save([]drain.Order) error
	Load() ([]drain.Order, error)
}

// Config is what an Agent is made of.
type Config struct {
	Node     string
	Version  string
	BootID   string
	Git      spec.GitSource
	PlanOnly bool
	// AllowEmpty lets a revision take everything away that the one in force has.
	AllowEmpty bool
	Handlers   []reconcile.Handler
	Source     Source
	Store      Store
	Journal    Journal
	Drains     DrainStore
	// Drift is what becomes of what others change.
	Drift spec.Drift
	// SetPlaces, if not nil, tells the Handlers of what definitions objects are looked at that
	// are where the cluster file says. It must not block.
	SetPlaces func(...*spec.Cluster)
	// SetChecks and SetTrackers replace what is probed, and which plugins may do it; they must
	// not block.
	SetChecks   func([]checker.Job)
	SetTrackers func([]spec.Tracker, *spec.Lock)
	// SetNotify, if not nil, replaces who is told of events, and NotifyStats says how that goes.
	// They must not block.
	SetNotify   func([]spec.Notify)
	NotifyStats func() []notify.Stats
	// Reports returns what plugins said last, by tracker; nil if there are none. It must not
	// block.
	Reports func() map[string]control.Report
	// ReportCheck hands the checker the word of those who look in its stead; CheckStats tells
	// how it copes. They must not block.
	ReportCheck func(ref reconcile.ServerRef, check int, v reconcile.Verdict, message string)
	CheckStats  func() control.Checks
	// Webhook returns what came in from git hosts; nil, or nil from it, if nothing can. It must
	// not block.
	Webhook func() *control.Webhook
	// SendTrack tells vrrpd how plugin trackers are, over a connection that it keeps.
	SendTrack func(context.Context, channel.Track) error
	// Peers are the other nodes; nil where nobody is to be asked. Resign hands over the named
	// instances, and has vrrpd leave another master alone for as long as hold; Release ends that.
	Peers   Peers
	Resign  func(ctx context.Context, instances []string, hold time.Duration) error
	Release func(ctx context.Context, instances []string) error
	Log     *slog.Logger
}

// An Agent reconciles one node. Create it with New and start it with Run; the methods
// that report events may be called at any time from any goroutine and never block.
type Agent struct {
	cfg   Config
	inbox *inbox
	// requests run on the loop's goroutine; never closed, unbuffered so that a caller knows it was taken.
	requests chan func(context.Context)
	// over is closed when the loop has ended.
	over chan struct{}
	book *book
	// fetch has room for one token: asking twice fetches once. Never closed.
	fetch   chan struct{}
	track   *trackBook
	status  atomic.Pointer[published]
	events  *event.Log
	toPeers atomic.Pointer[peer.Message] // what peers are told
	// storing has one place, for whoever writes the drains to disk; never closed.
	storing chan struct{}
	works   sync.WaitGroup

	// The fields below belong to the loop's goroutine.

	started      time.Time
	reporter     *reporter                          // of what is in events
	rev          *revision.Revision                 // in force; nil at first
	index        *reconcile.Index                   // of rev; nil until it is asked for
	homes        map[reconcile.ServerRef]*spec.Pool // the pools of rev, by server
	facts        reconcile.Facts
	seeded       bool // facts have the verdicts that an earlier agent left in the table
	results      map[reconcile.ServerRef]checker.Result
	trackers     map[string]trackerState
	vrrp         *channel.Status
	vrrpErr      error
	right        resource.Set // the objects that were once as they should be, to tell drift from news
	live         reconcile.Live
	cost         [costWindow]time.Duration // what the last observations took
	looks        int                       // how many there were
	slowTable    time.Duration             // what the IPVS table needs to be read, where that is much
	failures     int                       // attempts in a row in which a change failed
	retry        time.Time                 // when to make the stuck changes again
	stuck        []reconcile.Change        // what the last attempt did not make
	stuckErr     error                     // why not
	good         *revision.Revision        // the last that was verified
	candidate    *candidate                // waits to be tried; nil while there is none
	turn         turn
	away         handedOver            // for the attempt under way or about to be
	neighbours   map[string]*neighbour // the other nodes, where they take turns
	ignored      map[string]bool       // those that a person said not to wait for
	attempt      *attempt              // under way; nil while there is none
	failed       string                // why rev should not be in force, though it is
	suspension   *journal.Suspension
	quarantined  []journal.Quarantined
	journalAgain time.Time // not before is an attempt begun whose journal could not be written
	damaged      []string  // what of the journal could not be read
	storeErr     string    // why the last good revision is not on disk
	phase        control.Phase
	message      string
	converged    time.Time
	source       control.Source
	looked       control.Look // at the source
	refused      *revision.Refused
	findings     []reconcile.Finding
	conflicts    []reconcile.Conflict
	drift        control.Drift
	event        time.Time                // when the kernel's events were last looked after
	left         map[resource.ID]leftover // drift that is reported and stays
	contests     contests                 // who else writes what
	vrrpRepair   uint64                   // the part of vrrpd's repair counter that is in drift already
	work         *work                    // that is under way beside the loop
	hung         map[resource.Kind]hang   // what did not answer lately
	outside      outside
	raised       map[string][]reconcile.Alarm      // by virtual server
	alarms       []reconcile.Alarm                 // each of them once, in order
	upSince      map[reconcile.ServerRef]time.Time // servers in slow start
	orders       orderBook
	renamed      bool // orders are not on disk under their servers' new names
	departures   map[resource.ID]reconcile.Departure
	cutOff       map[resource.ID]int // connections of drained servers when their time was over
	quiet        time.Time           // until when a status that is dear to make is not made again
}

type trackerState struct {
	verdict reconcile.Verdict
	message string
}

// New returns an Agent that has done nothing yet.
func New(cfg Config) *Agent {
	a := &Agent{
		cfg:      cfg,
		inbox:    newInbox(),
		requests: make(chan func(context.Context)),
		over:     make(chan struct{}),
		book:     newBook(),
		fetch:    make(chan struct{}, 1),
		track:    newTrackBook(),
		storing:  make(chan struct{}, 1),
		events:   event.NewLog(),
		reporter: newReporter(),
		facts: reconcile.Facts{
			Servers:  map[reconcile.ServerRef]reconcile.Verdict{},
			Roles:    map[string]string{},
			Trackers: map[string]reconcile.Verdict{},
			Weights:  map[reconcile.ServerRef]int{},
			Shares:   map[reconcile.ServerRef]int{},
			Drains:   map[reconcile.ServerRef]time.Duration{},
			Quorum:   map[string]bool{},
		},
		right:    resource.Set{},
		contests: contests{of: map[resource.ID]*contest{}},
		hung:     map[resource.Kind]hang{},
		upSince:  map[reconcile.ServerRef]time.Time{},
		orders:   orderBook{},
		cutOff:   map[resource.ID]int{},
		results:  map[reconcile.ServerRef]checker.Result{},
		trackers: map[string]trackerState{},
		phase:    control.Starting,
		message:  "no revision yet",
		source:   control.Source{URL: cfg.Git.URL},
	}
	a.status.Store(&published{changed: make(chan struct{})})
	return a
}

// Run reconciles until ctx ends. It leaves the data plane as it is.
func (a *Agent) Run(ctx context.Context) error {
	a.started = time.Now()
	if err := a.loadDrains(); err != nil {
		return err
	}
	a.resume(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.loop(ctx) })
	g.Go(func() error { return a.follow(ctx) })
	g.Go(func() error { return a.keep(ctx) })
	g.Go(func() error { return a.tell(ctx) })
	defer a.works.Wait() // they end with ctx
	return g.Wait()
}
