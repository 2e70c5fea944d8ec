package agent

import (
	"context"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/revision"
)

// A book is what has still to be written to disk. Disks block, so the loop only notes it.
type book struct {
	// wake has room for one token: more notes than one are written at once. Never closed.
	wake chan struct{}
	// disk is held by whoever writes.
	disk sync.Mutex

	mu    sync.Mutex
	notes entries
}

// entries are notes of different kinds; of one kind the newest counts, but every record does.
type entries struct {
	quarantined *[]journal.Quarantined
	reverting   *journal.Attempt
	good        *revision.Revision
	back        bool // good was the prior one
	end         bool // of the attempt, once all before it is on disk
	suspended   *suspended
	records     []journal.Record
}

// suspended is a suspension, or its end.
type suspended struct{ s *journal.Suspension }

func newBook() *book { return &book{wake: make(chan struct{}, 1)} }

// note makes a note of something to write.
func (a *Agent) note(f func(*entries)) {
	a.book.mu.Lock()
	f(&a.book.notes)
	a.book.mu.Unlock()
	a.book.ring()
}

func (b *book) ring() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// record adds a line to the history.
func (a *Agent) record(r journal.Record) {
	r.Time = time.Now().UTC()
	a.tellRecord(r)
	a.note(func(e *entries) { e.records = append(e.records, r) })
}

// begin writes the begin of an attempt. What was still to be written of one before it is over.
func (b *book) begin(write func() error) error {
	b.disk.Lock()
	defer b.disk.Unlock()
	b.mu.Lock()
	end, reverting := b.notes.end, b.notes.reverting
	b.notes.end, b.notes.reverting = false, nil
	b.mu.Unlock()
	err := write()
	if err != nil { // the one before it has still to end
		b.mu.Lock()
		b.notes.end, b.notes.reverting = b.notes.end || end, cmpOr(b.notes.reverting, reverting)
		b.mu.Unlock()
	}
	return err
}

func cmpOr[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// storeRetry is the wait before what could not be written is tried again.
const storeRetry = 30 * time.Second

// keep writes what the loop has noted. It tries again for as long as that fails: a restart
// without git would use an older revision.
func (a *Agent) keep(ctx context.Context) error {
	retry := time.NewTimer(storeRetry)
	defer retry.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.book.wake:
		case <-retry.C:
		}
		if err := a.keepRenamed(ctx); err != nil {
			a.cfg.Log.Warn("drains of renamed servers not written; a restart would end them", "err", err)
			retry.Reset(storeRetry)
		}
		reason := ""
		if tried, err := a.write(); err != nil {
			reason = err.Error()
			retry.Reset(storeRetry)
		} else if !tried {
			continue
		}
		if reason != "" && reason != said {
			a.cfg.Log.Error("what became of a revision is not written; a restart without git would use an older one", "err", reason)
		}
		said = reason
		a.inbox.put(func(n *news) { n.storeErr = &reason })
	}
}

// write writes all notes in the order in which a crash between two of them does no harm. On an
// error the rest stays noted.
func (a *Agent) write() (tried bool, err error) {
	b := a.book
	b.disk.Lock()
	defer b.disk.Unlock()
	b.mu.Lock()
	e := b.notes
	b.notes = entries{}
	b.mu.Unlock()
	tried = e.quarantined != nil || e.reverting != nil || e.good != nil || e.end || e.suspended != nil || len(e.records) > 0
	if e.quarantined != nil {
		if err = a.cfg.Journal.Quarantine(*e.quarantined); err == nil {
			e.quarantined = nil
		}
	}
	if err == nil && e.reverting != nil {
		if err = a.cfg.Journal.Begin(*e.reverting); err == nil {
			e.reverting = nil
		}
	}
	if err == nil && e.good != nil {
		save := a.cfg.Store.SaveGood
		if e.back {
			save = a.cfg.Store.GoBack
		}
		if err = save(e.good); err == nil {
			e.good, e.back = nil, false
		}
	}
	if err == nil && e.end {
		if err = a.cfg.Journal.End(); err == nil {
			e.end = false
		}
	}
	if err == nil && e.suspended != nil {
		if err = a.cfg.Journal.Suspend(e.suspended.s); err == nil {
			e.suspended = nil
		}
	}
	if err == nil && len(e.records) > 0 {
		if err = a.cfg.Journal.Record(e.records...); err == nil {
			e.records = nil
		}
	}
	if err != nil {
		b.back(e)
	}
	return tried, err
}

// maxNoted bounds the records that wait for a disk.
const maxNoted = 1000

// back notes again what could not be written, where nothing newer was noted meanwhile.
func (b *book) back(e entries) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := &b.notes
	n.quarantined = cmpOr(n.quarantined, e.quarantined)
	n.reverting = cmpOr(n.reverting, e.reverting)
	if n.good == nil {
		n.good, n.back = e.good, e.back
	}
	n.suspended = cmpOr(n.suspended, e.suspended)
	n.end = n.end || e.end
	n.records = append(e.records, n.records...)
	n.records = n.records[max(0, len(n.records)-maxNoted):]
}
