// Package haproxy handles the file that hareconcile adds to a running haproxy, and what of that
// haproxy changes without a reload: servers, maps and certificates.
package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A Managed is a haproxy of this node, and what hareconcile has in it.
type Managed struct {
	Path          string // the file that we write
	RuntimeSocket string // which that file declares
	MasterSocket  string // haproxy's -S
	Requires      string // the lowest release, such as "2.6"; "" is any
	Reload        Reload
	// IgnoreRuntime names what of servers stays as people set it on a socket: "admin_state",
	// "weight". Live.Foreign has such a server as it is, so that plans and status show a conflict.
	IgnoreRuntime []string
	// AddServers is whether new servers come without a reload: "auto", where the running release
	// does it well, "always", or else never.
	AddServers   string
	Adopt        bool // takes over a file at Path that is not ours
	Overwrite    bool // undoes what was changed in our file by hand
	Maps         []string
	Certificates []string
	// Texts are what the maps are to be, by path.
	Texts map[string]string `json:"-"`
	// Refused is why the host's owner does not allow what the definition asks for; then nothing
	// that it names is looked at or changed.
	Refused string `json:"-"`
}

// ignores reports whether people may set that part of a server.
func (m Managed) ignores(part string) bool { return slices.Contains(m.IgnoreRuntime, part) }

// A Reload is how reloads are made.
type Reload struct {
	// MinInterval is the least time between two. A change that comes sooner is ErrRefused with
	// the time at which it may be made; the pass of the agent after that makes it.
	MinInterval time.Duration
	Timeout     time.Duration // for the new worker to serve; 0 is 30 seconds
	// Keep leaves a file in its place with which a reload failed. Otherwise the last good one
	// comes back.
	Keep bool
}

// A Config says what New handles.
type Config struct {
	// Managed is asked at every pass for what the node's definition has.
	Managed func() []Managed
	// State is the folder of the last good files; "" is /var/lib/hareconcile/haproxy.
	State string
	// Refuse says why the host's owner does not allow a file with that text, or nothing; nil
	// allows all.
	Refuse func(text string) string
	Proc   string       // "" is /proc
	Log    *slog.Logger // nil is none; gets warnings of haproxy and what a reload carried over
}

// node is what the handlers of a host share.
type node struct {
	Config
	mu sync.Mutex // one change at a time; guards what is below
	// pending has maps that a plan will write before the file that uses them, from the plan's
	// preflight until the next look.
	pending map[string]string
}

// New returns the handlers of the maps, certificates, files and servers of this host's
// haproxies.
func New(c Config) []reconcile.Handler {
	if c.State == "" {
		c.State = "/var/lib/hareconcile/haproxy"
	}
	if c.Refuse == nil {
		c.Refuse = func(string) string { return "" }
	}
	if c.Proc == "" {
		c.Proc = "/proc"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	n := &node{Config: c, pending: map[string]string{}}
	return []reconcile.Handler{&mapFiles{n}, &certificates{n}, &files{n}, &servers{n}}
}

// find returns what is managed of which says yes.
func (n *node) find(which func(Managed) bool) (Managed, error) {
	all, err := n.all()
	if err != nil {
		return Managed{}, err
	}
	if i := slices.IndexFunc(all, which); i >= 0 {
		return all[i], nil
	}
	named := n.Managed()
	if i := slices.IndexFunc(named, which); i >= 0 {
		return Managed{}, fmt.Errorf("%w: %s", reconcile.ErrRefused, named[i].Refused)
	}
	return Managed{}, errors.New("no haproxy of this node's definition has it")
}

// all returns what is managed, and behind it what was and has left the definition. What the
// host's owner does not allow is neither.
func (n *node) all() ([]Managed, error) {
	refused := func(m Managed) bool { return m.Refused != "" }
	named := n.Managed()
	out := slices.DeleteFunc(slices.Clone(named), refused)
	old, err := n.records()
	if err != nil {
		return nil, err
	}
	for _, r := range old {
		if !slices.ContainsFunc(named, func(m Managed) bool { return m.Path == r.Managed.Path }) {
			gone := r.Managed
			gone.Adopt, gone.Overwrite = false, false
			out = append(out, gone)
		}
	}
	return out, nil
}

// answer is how long haproxy may take to answer a command.
const answer = 2 * time.Second

// ask asks on a socket. What is not there is errGone.
func ask(ctx context.Context, path string, commands ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	return gone(path)(socket.Ask(ctx, path, commands...))
}

// give gives a payload to a command.
func give(ctx context.Context, path, command, payload string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	return gone(path)(socket.Give(ctx, path, command, payload))
}

// errGone is that nothing listens on a socket.
var errGone = errors.New("no haproxy listens there")

// gone names the socket in an error.
func gone(path string) func(string, error) (string, error) {
	return func(reply string, err error) (string, error) {
		switch {
		case err == nil:
			return reply, nil
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
			return "", fmt.Errorf("%s: %w", path, errGone)
		}
		return "", fmt.Errorf("ask haproxy on %s: %w", path, err)
	}
}

// structure returns the fingerprint of what m's running worker has; "" if none runs, or if it was
// started without m's file.
func (n *node) structure(ctx context.Context, m Managed) (string, error) {
	s, err := n.started(ctx, m)
	if err != nil || s == "" {
		return "", err
	}
	return n.grown(ctx, m, s)
}

// started returns the fingerprint that m's running worker was started with; "" if none runs, or
// if it was started without m's file. The variable alone says nothing: a master keeps what an
// attempt to load the file set.
func (n *node) started(ctx context.Context, m Managed) (string, error) {
	reply, err := ask(ctx, m.RuntimeSocket, "show env")
	if errors.Is(err, errGone) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	env := haproxy.ParseEnv(reply)
	if env["HAPROXY_CFGFILES"] == "" {
		return "", fmt.Errorf("ask haproxy on %s: show env: %w", m.RuntimeSocket, haproxy.ErrReply)
	}
	var cwd string
	for _, name := range strings.Split(env["HAPROXY_CFGFILES"], ";") {
		if !filepath.IsAbs(name) && cwd == "" {
			master, err := n.master(ctx, m)
			if err != nil {
				return "", err
			}
			cwd = master.cwd
		}
		if sameFile(absolute(cwd, name), m.Path) {
			return env[haproxy.StructureVariable], nil
		}
	}
	return "", nil
}
