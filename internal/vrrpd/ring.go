package vrrpd

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// ringSize is how many lines may wait for whoever reads the log: a burst of transitions
// of every router fits.
const ringSize = 4096

// A ring is a slog.Handler that never waits: lines that do not fit are counted and dropped.
type ring struct {
	slog.Handler // formats and writes; only drain calls it
	shared       *ringState
}

type ringState struct {
	lines   chan line // closed by nobody
	dropped atomic.Uint64
}

type line struct {
	to  slog.Handler
	rec slog.Record
}

func newRing(h slog.Handler) *ring {
	return &ring{h, &ringState{lines: make(chan line, ringSize)}}
}

// Handle implements slog.Handler.
func (r *ring) Handle(_ context.Context, rec slog.Record) error {
	select {
	case r.shared.lines <- line{r.Handler, rec}:
	default:
		r.shared.dropped.Add(1)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (r *ring) WithAttrs(as []slog.Attr) slog.Handler {
	return &ring{r.Handler.WithAttrs(as), r.shared}
}

// WithGroup implements slog.Handler.
func (r *ring) WithGroup(name string) slog.Handler { return &ring{r.Handler.WithGroup(name), r.shared} }

// drain writes lines until stop is closed, and then what is left.
func (r *ring) drain(stop <-chan struct{}) {
	for {
		select {
		case l := <-r.shared.lines:
			r.write(l)
		case <-stop:
			for {
				select {
				case l := <-r.shared.lines:
					r.write(l)
				default:
					return
				}
			}
		}
	}
}

func (r *ring) write(l line) {
	ctx := context.Background()
	_ = l.to.Handle(ctx, l.rec)
	if n := r.shared.dropped.Swap(0); n > 0 {
		rec := slog.NewRecord(l.rec.Time, slog.LevelWarn, "log lines were dropped", 0)
		rec.AddAttrs(slog.Uint64("count", n))
		_ = r.Handler.Handle(ctx, rec)
	}
}
