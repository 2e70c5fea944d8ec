package ipvs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/cloudflare/ipvs"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// timeouts owns those of the kernel's timeouts that the ledger lists, with the values that
// they had before.
type timeouts struct {
	dial   func() (ipvs.Client, error)
	ledger *ledger.Ledger
}

var _ reconcile.Handler = (*timeouts)(nil)

// NewTimeouts returns the handler of how long connections are remembered.
func NewTimeouts(l *ledger.Ledger) reconcile.Handler { return &timeouts{ipvs.New, l} }

// Kind implements reconcile.Handler.
func (h *timeouts) Kind() resource.Kind { return resource.KindIPVSTimeouts }

// Observe implements reconcile.Handler. The timeouts exist before they are ours, so
// nothing is foreign: to set some is to create them, to delete them is to put back what was
// there before. Those that nobody asked for are not looked at.
func (h *timeouts) Observe(context.Context) (reconcile.Live, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	prior, ours := h.prior()
	if !ours {
		return live, nil
	}
	var now ipvs.Config
	err := h.do(func(c ipvs.Client) (err error) {
		now, err = c.Config()
		return err
	})
	if err != nil {
		return reconcile.Live{}, fmt.Errorf("read the IPVS timeouts: %w", err)
	}
	mask(&now.TCPTimeout, prior.TCPTimeout)
	mask(&now.TCPFinTimeout, prior.TCPFinTimeout)
	mask(&now.UDPTimeout, prior.UDPTimeout)
	t := resource.IPVSTimeouts{TCP: seconds(now.TCPTimeout), TCPFin: seconds(now.TCPFinTimeout), UDP: seconds(now.UDPTimeout)}
	live.Owned[t.ID()] = t
	return live, nil
}

// Apply implements reconcile.Handler.
func (h *timeouts) Apply(_ context.Context, c reconcile.Change) error {
	var want resource.IPVSTimeouts
	if c.Action != reconcile.Delete {
		var ok bool
		if want, ok = c.After.(resource.IPVSTimeouts); !ok {
			return fmt.Errorf("%T is not the IPVS timeouts", c.After)
		}
	} else if !h.ledger.Has(c.ID) {
		return nil
	}
	if err := h.do(func(c ipvs.Client) error { return h.set(c, want) }); err != nil {
		return fmt.Errorf("set the IPVS timeouts: %w", err)
	}
	if c.Action == reconcile.Delete {
		return h.ledger.Forget(c.ID)
	}
	return nil
}

// set makes the timeouts those that are wanted. One that was ours and is not wanted any
// more gets back what it was before.
func (h *timeouts) set(c ipvs.Client, want resource.IPVSTimeouts) error {
	now, err := c.Config()
	if err != nil {
		return err
	}
	before, ours := h.prior()
	after, next := before, before
	one := func(want resource.Duration, now uint32, before, after, next *uint32) {
		if want == 0 { // what it was before, or 0, which leaves it
			*after = 0
			return
		}
		if *before == 0 {
			*before, *after = now, now
		}
		*next = uint32(time.Duration(want) / time.Second)
	}
	one(want.TCP, now.TCPTimeout, &before.TCPTimeout, &after.TCPTimeout, &next.TCPTimeout)
	one(want.TCPFin, now.TCPFinTimeout, &before.TCPFinTimeout, &after.TCPFinTimeout, &next.TCPFinTimeout)
	one(want.UDP, now.UDPTimeout, &before.UDPTimeout, &after.UDPTimeout, &next.UDPTimeout)
	if err := h.remember(before); err != nil {
		return err
	}
	err = c.SetConfig(next)
	switch {
	case err == nil:
		return h.remember(after)
	case !ours:
		err = errors.Join(err, h.ledger.Forget(resource.IPVSTimeouts{}.ID()))
	}
	return err
}

// prior returns the values of before; 0 stands for a timeout that is not ours.
func (h *timeouts) prior() (ipvs.Config, bool) {
	text, ours := h.ledger.Prior(resource.IPVSTimeouts{}.ID())
	var c ipvs.Config
	_ = json.Unmarshal([]byte(text), &c) // a record that says nothing restores nothing
	return c, ours
}

func (h *timeouts) remember(c ipvs.Config) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return h.ledger.Amend(resource.IPVSTimeouts{}.ID(), string(b))
}

// do runs f with a connection of its own: this happens once a cycle at most.
func (h *timeouts) do(f func(ipvs.Client) error) error {
	c, err := h.dial()
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoModule
	}
	if err != nil {
		return fmt.Errorf("open IPVS: %w", err)
	}
	if c, ok := c.(io.Closer); ok {
		defer c.Close()
	}
	return f(c)
}

// mask clears what is not ours.
func mask(now *uint32, prior uint32) {
	if prior == 0 {
		*now = 0
	}
}

func seconds(n uint32) resource.Duration { return resource.Duration(time.Duration(n) * time.Second) }
