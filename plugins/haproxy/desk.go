package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/internal/joint"
	"github.com/hareconcile/hareconcile/internal/listening"
)

// fresh is how old an answer may be that another watcher has asked for. No watcher gets the
// same answer twice, and the end of a process is no answer.
const fresh = 250 * time.Millisecond

// A desk is where the watchers of this plugin ask: what several want to know at the same time
// is asked once. It keeps no connection: haproxy serves ten clients of its runtime sockets,
// and one that asks again and again on the same connection is served by the same worker after
// a reload too, which would never end for it.
type desk struct {
	fresh     time.Duration
	listening joint.Question[[]listening.Socket]

	mu       sync.Mutex
	counters map[string]*counter // by the path of the socket
}

func newDesk(fresh time.Duration) *desk {
	return &desk{
		fresh:     fresh,
		listening: joint.Question[[]listening.Socket]{Fresh: fresh},
		counters:  map[string]*counter{},
	}
}

// A counter is the place for one socket: a runtime socket or a master's.
type counter struct {
	path  string
	users int // guarded by the desk

	runtime joint.Question[*answer]
	procs   joint.Question[*haproxy.Procs]

	mu       sync.Mutex
	wanted   map[string]int // how many watchers want to have a command sent
	commands []string       // those of wanted; nil if they have to be listed again
}

// An answer is what a worker said on its runtime socket.
type answer struct {
	commands []string // what it was asked, sorted
	info     haproxy.Info
	stats    []haproxy.Stat
	garbled  error // of stats
	clients  int   // of the socket, if nothing was said
}

// open returns the counter of a socket for one who wants commands sent there.
func (d *desk) open(path string, commands []string) *counter {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.counters[path]
	if c == nil {
		c = &counter{
			path: path, wanted: map[string]int{},
			runtime: joint.Question[*answer]{Fresh: d.fresh}, procs: joint.Question[*haproxy.Procs]{Fresh: d.fresh},
		}
		d.counters[path] = c
	}
	c.users++
	c.want(commands, 1)
	return c
}

// leave takes back what open gave.
func (d *desk) leave(c *counter, commands []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.want(commands, -1)
	if c.users--; c.users == 0 {
		delete(d.counters, c.path)
	}
}

func (c *counter) want(commands []string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, command := range commands {
		if c.wanted[command] += n; c.wanted[command] == 0 {
			delete(c.wanted, command)
		}
	}
	c.commands = nil
}

// all returns the commands that anybody wants, `show info` first, as far as they go on a line.
func (c *counter) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.commands == nil {
		c.commands = []string{showInfo}
		size := 0
		for _, command := range slices.Sorted(maps.Keys(c.wanted)) {
			if size += len(command) + 1; command != showInfo && size <= maxNames {
				c.commands = append(c.commands, command)
			}
		}
	}
	return c.commands
}

// ask asks for all, and for what one needs alone if that was not part of it: as just after its
// configuration, and where there is more than goes on a line.
func (c *counter) ask(ctx context.Context, since time.Time, needed []string) *joint.Answer[*answer] {
	a := c.runtime.Ask(ctx, since, func(ctx context.Context) (*answer, error) { return c.exchange(ctx, c.all()) })
	if a.Err != nil || !slices.ContainsFunc(needed, func(command string) bool { return !a.Value.said(command) }) {
		return a
	}
	alone := &joint.Answer[*answer]{Asked: time.Now()}
	alone.Value, alone.Err = c.exchange(ctx, needed)
	return alone
}

func (a *answer) said(command string) bool {
	if command == showInfo {
		return true
	}
	_, ok := slices.BinarySearch(a.commands[1:], command)
	return ok
}

// exchange asks on the runtime socket. The answer is never nil.
func (c *counter) exchange(ctx context.Context, commands []string) (*answer, error) {
	a := &answer{commands: commands}
	reply, err := socket.Ask(ctx, c.path, commands...)
	if err != nil {
		if silent(err) {
			a.clients, _, _ = listening.Clients(c.path) // without, silence is all that is known
		}
		return a, err
	}
	if a.info, err = haproxy.ParseInfo(reply); err != nil {
		return a, err
	}
	a.stats, a.garbled = parseStats(reply)
	return a, nil
}

// askProcs asks the master for its processes.
func (c *counter) askProcs(ctx context.Context, since time.Time) *joint.Answer[*haproxy.Procs] {
	return c.procs.Ask(ctx, since, func(ctx context.Context) (*haproxy.Procs, error) {
		reply, err := socket.Ask(ctx, c.path, "show proc")
		if err != nil {
			return nil, err
		}
		p, err := haproxy.ParseProcs(reply)
		if err != nil {
			return nil, err
		}
		return &p, nil
	})
}

// parseStats reads what follows on `show info`. A proxy that does not exist is told in words.
func parseStats(reply string) ([]haproxy.Stat, error) {
	_, tables, ok := strings.Cut(reply, "\n# ")
	if !ok {
		return nil, nil
	}
	return haproxy.ParseStats(strings.ReplaceAll("# "+tables, "No such proxy.\n", ""))
}
