// Package sysctl handles values under /proc/sys.
package sysctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"sync"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// handler owns the values that the ledger lists; the ledger has what was there before.
type handler struct {
	root   string
	ledger *ledger.Ledger
	mu     sync.Mutex // one change at a time: reading the prior value and writing belong together
}

var _ reconcile.Handler = (*handler)(nil)

// New returns the handler for the values below root, which is "/proc/sys" on a host.
func New(root string, l *ledger.Ledger) reconcile.Handler {
	return &handler{root: root, ledger: l}
}

// Kind implements reconcile.Handler.
func (h *handler) Kind() resource.Kind { return resource.KindSysctl }

// Observe implements reconcile.Handler. Every value under /proc/sys exists before it is
// ours, so nothing is foreign: to set one is to create it, to delete one is to put back
// what was there before.
func (h *handler) Observe(ctx context.Context) (reconcile.Live, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	for _, id := range h.ledger.IDs(resource.KindSysctl) {
		if err := ctx.Err(); err != nil {
			return reconcile.Live{}, err
		}
		value, err := h.read(id.Name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its interface is gone
		}
		if err != nil {
			return reconcile.Live{}, err
		}
		live.Owned[id] = resource.Sysctl{Key: id.Name, Value: value}
	}
	return live, nil
}

// Apply implements reconcile.Handler.
func (h *handler) Apply(_ context.Context, c reconcile.Change) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.Action == reconcile.Delete {
		return h.restore(c.ID)
	}
	s, ok := c.After.(resource.Sysctl)
	if !ok {
		return fmt.Errorf("%T is not a sysctl", c.After)
	}
	return h.set(s)
}

// ipvs is where IPVS has its values. They come with the module; what else is set does not
// depend on them.
const ipvs = "net/ipv4/vs/"

func (h *handler) set(s resource.Sysctl) error {
	if err := checkValue(s.Value); err != nil {
		return fmt.Errorf("set %s: %w", s.Key, err)
	}
	prior, err := h.read(s.Key)
	if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(s.Key, ipvs) {
		return fmt.Errorf("%w: the kernel has no sysctl %s: it is too old for it, or the module ip_vs is not loaded (`modprobe ip_vs`)", reconcile.ErrRefused, s.Key)
	}
	if err != nil {
		return err
	}
	if err := h.ledger.Record(s.ID(), prior); err != nil || prior == s.Value {
		return err // where /proc/sys is read-only, as in a container, the owner may have set it
	}
	return h.write(s.Key, s.Value)
}

func (h *handler) restore(id resource.ID) error {
	prior, ours := h.ledger.Prior(id)
	if !ours {
		return nil
	}
	now, err := h.read(id.Name)
	if err == nil && now != prior {
		err = h.write(id.Name, prior)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return h.ledger.Forget(id)
}

// keyPattern is a path below /proc/sys. An interface's name may be one of its parts.
var keyPattern = regexp.MustCompile(`^[a-z0-9_-]+(/[A-Za-z0-9_.:@+-]+)+$`)

// checkKey refuses what is not a path below /proc/sys.
func checkKey(key string) error {
	if len(key) > 255 || !keyPattern.MatchString(key) {
		return fmt.Errorf("%q is not the name of a sysctl", key)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "." || part == ".." {
			return fmt.Errorf("%q is not the name of a sysctl", key)
		}
	}
	return nil
}

// checkValue refuses what is not one short line.
func checkValue(v string) error {
	if v == "" || len(v) > maxValue || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("%q is not the value of a sysctl", v)
	}
	return nil
}
