package vrrpd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/holding"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// cleanUpTick is how often CleanUp looks whether vrrpd runs.
const cleanUpTick = time.Second

// CleanUp stands in for a vrrpd that cannot come back, until ctx ends: once the lock was
// free for patience it gives up what the last one was MASTER of, so that a peer serves,
// and takes what it left off this host. Whoever restarts vrrpd has until then.
func CleanUp(ctx context.Context, o Options, patience time.Duration) error {
	log := slog.New(o.Log)
	tick := time.NewTicker(cleanUpTick)
	defer tick.Stop()
	free, done := time.Duration(0), false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		lock, err := tryLock(o.Lock)
		if err != nil {
			free, done = 0, false // it runs, or nobody can tell
			continue
		}
		if free += cleanUpTick; !done && free >= patience {
			done = true
			if err := withdraw(o, log); err != nil {
				log.Error("cannot clean up after vrrpd", "err", err)
				done = false
			}
		}
		_ = lock.Close() // lets go
	}
}

// tryLock takes the lock of the one writer if it is there and free.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", filepath.Base(path), err)
	}
	return f, nil
}

// withdraw resigns and takes off the host whatever a vrrpd left.
func withdraw(o Options, log *slog.Logger) error {
	w, err := wire.Open()
	if err != nil {
		return err
	}
	defer w.Close()
	conn, err := rtnl.Open()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was only asked
	st, doc, err := openStore(o.State)
	if err != nil {
		log.Warn("no state of vrrpd", "err", err)
	}
	defer st.close()
	table := holding.New(conn, log)
	links, err := conn.Links()
	if err != nil {
		return err
	}
	index := map[string]int{}
	for _, k := range links {
		index[k.Name] = k.Index
		table.Heard(&rtnl.Event{Kind: rtnl.LinkEvent, Link: k})
	}
	masters := map[string]bool{}
	for _, i := range doc.Instances {
		masters[i.Name] = i.State == vrrp.Master.String() && st.reclaim(i.Slot) && st.sent(i.Slot) > 0
	}
	secrets, err := readSecrets(doc.Config)
	if err != nil {
		log.Error("cannot sign for vrrpd", "err", err)
	}
	for _, cfg := range doc.Config.Instances {
		name := cfg.ID().Name
		if !masters[name] {
			continue
		}
		log.Warn("vrrpd does not come back: giving up", "router", name)
		if err := resignFor(cfg, secrets, index[cfg.Interface], w); err != nil {
			log.Error("cannot resign for vrrpd", "router", name, "err", err)
		}
		if !conn.Marks() {
			table.Want(name, wants(cfg))
		}
	}
	for _, i := range doc.Instances {
		if masters[i.Name] {
			table.Adopt(i.Name, i.Held)
			st.clear(i.Slot)
		}
	}
	return table.Sync().Err
}

// resignFor sends the last advert of a router.
func resignFor(cfg resource.VRRPInstance, secrets map[string]string, index int, w *wire.Wire) (err error) {
	if !cfg.Source.IsValid() {
		return nil // only its process knew it; peers will miss it soon
	}
	r := newRouter(cfg.ID().Name, cfg)
	if r.auth, err = authenticator(cfg, secrets); err != nil {
		return err
	}
	if err := r.address(cfg.Source, secrets[cfg.Password]); err != nil {
		return err
	}
	for _, l := range r.letters {
		if err := w.Send(index, l.To(), l.Packet(0, w.Wall())); err != nil {
			return err
		}
	}
	return nil
}
