package storm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/checker"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// childEnv makes the test binary be a checker; its value is the limit of descriptors, or 0.
const childEnv = "HARECONCILE_TEST_STORM"

// An order is what the test wants of the checker, one JSON object a line: jobs, or a word.
type order struct {
	Word  string           `json:"word,omitempty"` // "hog", "free", "tell", "calm"
	Addrs []netip.AddrPort `json:"addrs,omitempty"`
	Check *spec.Check      `json:"check,omitempty"`
}

// A word is what the checker says: a verdict, or its figures.
type word struct {
	Ref     string    `json:"ref,omitempty"`
	Verdict string    `json:"verdict,omitempty"`
	Message string    `json:"message,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Figures *figures  `json:"figures,omitempty"`
}

// figures are of the process; those of Most are the greatest so far.
type figures struct {
	Stats checker.Stats `json:"stats"`
	Now   resources     `json:"now"`
	Most  resources     `json:"most"`
}

type resources struct {
	Descriptors, Routines, InFlight int
	RSS                             int64 // KiB
}

// child runs the checker and does not return if newStorm has started this program.
func child() {
	limit := os.Getenv(childEnv)
	if limit == "" {
		return
	}
	if err := check(limit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func check(limit string) error {
	var n uint64
	if _, err := fmt.Sscan(limit, &n); err != nil {
		return err
	}
	if n > 0 {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	c := &checking{engine: checker.New(slog.New(slog.DiscardHandler)), out: json.NewEncoder(os.Stdout)}
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	var all sync.WaitGroup
	all.Go(func() { err = c.engine.Run(ctx) })
	all.Go(func() { c.tell(ctx) })
	all.Go(func() { c.measure(ctx) })
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var o order
		if in.Decode(&o) != nil {
			break // the test is over
		}
		c.obey(o)
	}
	cancel()
	all.Wait()
	return err
}

// A checking is the state of a child.
type checking struct {
	engine *checker.Engine
	hogged []int

	mu   sync.Mutex
	out  *json.Encoder
	most resources
}

func (c *checking) obey(o order) {
	switch {
	case o.Check != nil:
		checks := []spec.Check{*o.Check}
		var jobs []checker.Job
		for i, a := range o.Addrs {
			jobs = append(jobs, checker.Job{Ref: reconcile.NewServerRef("farm", fmt.Sprint(i)), Address: a, Checks: checks})
		}
		c.engine.Set(jobs)
	case o.Word == "calm":
		c.engine.Set(nil)
	case o.Word == "hog":
		for {
			fd, err := unix.Dup(0)
			if errors.Is(err, unix.EMFILE) {
				break
			}
			c.hogged = append(c.hogged, fd)
		}
	case o.Word == "free":
		for _, fd := range c.hogged {
			_ = unix.Close(fd)
		}
		c.hogged = nil
	case o.Word == "tell":
		f := figures{Stats: c.engine.Stats(), Now: c.resources()}
		c.mu.Lock()
		defer c.mu.Unlock()
		f.Most = c.most
		_ = c.out.Encode(word{Figures: &f}) // the test notices
	}
}

// tell tells verdicts.
func (c *checking) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-c.engine.Results():
			c.mu.Lock()
			_ = c.out.Encode(word{Ref: string(r.Ref), Verdict: string(r.Verdict), Message: r.Message, At: r.At})
			c.mu.Unlock()
		}
	}
}

// measure keeps the greatest figures.
func (c *checking) measure(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now := c.resources()
			c.mu.Lock()
			c.most.Descriptors = max(c.most.Descriptors, now.Descriptors)
			c.most.Routines = max(c.most.Routines, now.Routines)
			c.most.InFlight = max(c.most.InFlight, now.InFlight)
			c.most.RSS = max(c.most.RSS, now.RSS)
			c.mu.Unlock()
		}
	}
}

func (c *checking) resources() resources {
	r := resources{Routines: runtime.NumGoroutine(), InFlight: c.engine.Stats().InFlight}
	if list, err := os.ReadDir("/proc/self/fd"); err == nil { // there may be none left to ask with
		r.Descriptors = len(list) - 1
	}
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(b)) {
			_, _ = fmt.Sscanf(line, "VmRSS: %d", &r.RSS)
		}
	}
	return r
}
