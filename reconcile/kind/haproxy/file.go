package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// files handles the managed files. A file is ours if its first line says so.
type files struct{ *node }

var _ reconcile.Preflighter = (*files)(nil)

// Kind implements reconcile.Handler.
func (h *files) Kind() resource.Kind { return resource.KindHAProxyFile }

// Observe implements reconcile.Handler. A haproxy that accepts connections and does not answer
// is an error, so that nothing is planned for it; one that is not there runs nothing.
func (h *files) Observe(ctx context.Context) (reconcile.Live, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	all, err := h.all()
	if err != nil {
		return reconcile.Live{}, err
	}
	for _, m := range all {
		b, err := disk.Read(m.Path, maxFile)
		if err != nil {
			return reconcile.Live{}, err
		}
		if b == nil {
			continue
		}
		f := resource.HAProxyFile{Path: m.Path, Text: string(b)}
		if f.Structure, err = h.structure(ctx, m); err != nil {
			return reconcile.Live{}, err
		}
		if err := h.loaded(m, f); err != nil {
			return reconcile.Live{}, err
		}
		if haproxy.Managed(string(b)) {
			live.Owned[f.ID()] = f
		} else {
			live.Foreign[f.ID()] = f
		}
	}
	return live, nil
}

// loaded takes a file that was being loaded when an agent ended for the last good one, if the
// worker has it.
func (h *files) loaded(m Managed, f resource.HAProxyFile) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.record(m)
	text := string(f.Text)
	if err != nil || r.Loading == "" || r.Loading != sum(text) || f.Structure == "" || f.Structure != haproxy.FileStructure(text) {
		return err
	}
	r.Loading = ""
	return errors.Join(h.good(step{m: m, record: r, want: &text}), h.remember(r))
}

// A step is one change of a file on its way.
type step struct {
	m      Managed
	record record
	had    *string // what is on disk
	want   *string // nil removes the file
	// structure is the fingerprint of want, running that of the worker.
	structure, running string
}

// edited reports whether somebody changed our file since we wrote it.
func (s step) edited() bool {
	if s.had == nil || s.record.Written == "" || !haproxy.Managed(*s.had) {
		return false
	}
	had := sum(*s.had)
	return had != s.record.Written && had != s.record.Replaced
}

// step reads what c is about, and refuses what is not ours to change.
func (h *files) step(ctx context.Context, c reconcile.Change) (step, error) {
	m, err := h.find(func(m Managed) bool { return m.Path == c.ID.Name })
	if err != nil {
		return step{}, fmt.Errorf("write %s: %w", c.ID.Name, err)
	}
	s := step{m: m}
	if s.record, err = h.record(m); err != nil {
		return step{}, err
	}
	if c.Action != reconcile.Delete {
		f, ok := c.After.(resource.HAProxyFile)
		if !ok {
			return step{}, fmt.Errorf("%T is not a file of haproxy", c.After)
		}
		text := f.Text
		if !haproxy.Managed(text) {
			return step{}, fmt.Errorf("%s is to be written without the first line that says whose it is", m.Path)
		}
		if why := h.Refuse(text); why != "" {
			return step{}, fmt.Errorf("%w: write %s: %s", reconcile.ErrRefused, m.Path, why)
		}
		s.want, s.structure = &text, f.Structure
	}
	b, err := disk.Read(m.Path, maxFile)
	if err != nil {
		return step{}, err
	}
	if b != nil {
		text := string(b)
		s.had = &text
	}
	switch {
	case s.had != nil && !haproxy.Managed(*s.had) && (!m.Adopt || s.want == nil):
		return step{}, fmt.Errorf("%w: %s was not written by hareconcile; move its content elsewhere, or set adopt = true", reconcile.ErrRefused, m.Path)
	case s.edited() && !m.Overwrite && (s.want == nil || *s.want != *s.had):
		return s, fmt.Errorf("%w: %s was changed by hand since hareconcile wrote it (%s is how it was); "+
			"put it back, or set overwrite = true", reconcile.ErrRefused, m.Path, h.statePath(m.Path, ".good"))
	}
	s.running, err = h.structure(ctx, m)
	return s, err
}

// Preflight implements reconcile.Preflighter. A haproxy that does not run or answer may do so
// later, so that is no reason.
func (h *files) Preflight(ctx context.Context, cs []reconcile.Change) []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]error, len(cs))
	for i, c := range cs {
		if err := h.preflight(ctx, c); errors.Is(err, reconcile.ErrRefused) {
			out[i] = err
		}
	}
	return out
}

func (h *files) preflight(ctx context.Context, c reconcile.Change) error {
	s, err := h.step(ctx, c)
	if err != nil || s.settled() {
		return err
	}
	mr, err := h.node.master(ctx, s.m)
	if err != nil {
		return err
	}
	return h.loadable(ctx, mr, s, h.pending)
}

// settled reports whether the worker runs what the file is to say, so that no reload is needed.
// Another text that was being loaded when an agent ended may still be on its way.
func (s step) settled() bool {
	coming := s.record.Loading != "" && (s.want == nil || s.record.Loading != sum(*s.want))
	return s.running == s.structure && !coming
}

// loadable refuses what a reload would fail with, where maps are still to be written.
func (n *node) loadable(ctx context.Context, mr master, s step, maps map[string]string) error {
	if s.want != nil && s.m.Requires != "" {
		if err := release(ctx, mr, s.m.Requires); err != nil {
			return err
		}
	}
	if err := n.check(ctx, mr, s.m, s.want, maps); err != nil || s.want == nil {
		return err
	}
	// Sockets on disk are bound as others are.
	if dir := filepath.Dir(s.m.RuntimeSocket); !isFolder(dir) {
		return fmt.Errorf("%w: haproxy could not make %s, since there is no folder %s", reconcile.ErrRefused, s.m.RuntimeSocket, dir)
	}
	if err := unshared(mr, s.m, *s.want); err != nil {
		return err
	}
	if st, err := os.Lstat(s.m.RuntimeSocket); err == nil && st.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w: haproxy would put its socket in the place of %s", reconcile.ErrRefused, s.m.RuntimeSocket)
	}
	return n.bindable(mr, *s.want)
}

// Apply implements reconcile.Handler. However much of a file changes, there is one reload, and
// none if the running worker knows all that it learns by a reload alone.
func (h *files) Apply(ctx context.Context, c reconcile.Change) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, err := h.step(ctx, c)
	if err != nil {
		return err
	}
	if s.settled() {
		if err := h.write(&s); err != nil {
			return err
		}
		return h.good(s)
	}
	mr, err := h.node.master(ctx, s.m)
	switch {
	case errors.Is(err, errGone) && s.want == nil:
		return errors.Join(h.write(&s), h.good(s))
	case errors.Is(err, errGone):
		return h.dormant(s, err)
	case err != nil:
		return err
	}
	if err := h.loadable(ctx, mr, s, nil); err != nil {
		return err
	}
	if s.want != nil && !mr.loads(s.m.Path) {
		if err := h.write(&s); err != nil {
			return err
		}
		return fmt.Errorf("%w: %s is written and checked, but haproxy was started without it: add `-f %s` to its arguments "+
			"(EXTRAOPTS in /etc/default/haproxy, beside -S) and restart it", reconcile.ErrRefused, s.m.Path, filepath.Dir(s.m.Path))
	}
	if told, err := h.grow(ctx, &s); told || err != nil {
		return err
	}
	if err := s.early(time.Now()); err != nil {
		return err
	}
	if err := h.ending(ctx, s.m); err != nil {
		return err
	}
	return h.reload(ctx, mr, s)
}

// grow does without a reload where new servers are all that is new. A worker that does not take
// them is reloaded after all.
func (h *files) grow(ctx context.Context, s *step) (done bool, err error) {
	added, err := h.additions(ctx, *s)
	if err != nil || len(added) == 0 {
		return false, err
	}
	err = h.add(ctx, s, added)
	if errors.Is(err, errNotAdded) {
		h.Log.Warn("haproxy is reloaded for new servers", "path", s.m.Path, "err", err)
		return false, nil
	}
	return true, err
}

// dormant puts a haproxy that does not run in a state to be started: with its folder, and with
// the last good file where that is wanted, or where power went in a reload with another one.
// Nothing else can be checked.
func (h *files) dormant(s step, gone error) error {
	gone = fmt.Errorf("%w: haproxy does not run, starts just now, or has no master socket (haproxy -W -S): %w", reconcile.ErrRefused, gone)
	if err := os.Mkdir(filepath.Dir(s.m.Path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return errors.Join(gone, err)
	}
	b, err := disk.Read(h.statePath(s.m.Path, ".good"), maxFile)
	if err != nil || b == nil {
		return errors.Join(gone, err)
	}
	good := string(b)
	if s.had != nil && *s.had == good || *s.want != good && (s.had == nil || sum(*s.had) != s.record.Loading) {
		return gone
	}
	back := step{m: s.m, record: s.record, had: s.had, want: &good}
	back.record.Loading = ""
	if err := h.write(&back); err != nil {
		return errors.Join(gone, err)
	}
	return fmt.Errorf("%w; the last good file is back for its start", gone)
}

// again is how long a text waits that a reload failed with: each try costs connections.
const again = 10 * time.Minute

// early refuses a reload that comes too soon.
func (s step) early(now time.Time) error {
	// A clock that was set back keeps nobody waiting.
	since := func(t time.Time) time.Duration { return max(now.Sub(t), -now.Sub(t)) }
	if d := since(s.record.ReloadedAt); d < s.m.Reload.MinInterval {
		return fmt.Errorf("%w: haproxy was reloaded %v ago, and may be again in %v (min_interval)",
			reconcile.ErrRefused, d.Round(time.Millisecond), (s.m.Reload.MinInterval - d).Round(time.Millisecond))
	}
	if d := since(s.record.FailedAt); s.want != nil && s.record.Failed == sum(*s.want) && d < again {
		return fmt.Errorf("%w: a reload with just this file failed %v ago, and is tried again in %v unless the file changes: %s",
			reconcile.ErrRefused, d.Round(time.Second), (again - d).Round(time.Second), s.record.Reason)
	}
	return nil
}

// write makes the file what is wanted. What is written is remembered first, so that we know
// it for ours whatever happens in between.
func (n *node) write(s *step) error {
	if s.want == nil {
		if err := os.Remove(s.m.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", s.m.Path, err)
		}
		return nil
	}
	if s.had != nil && *s.had == *s.want && s.record.Written == sum(*s.want) {
		return nil
	}
	before, replaced := s.record, ""
	if s.had != nil && !s.edited() {
		replaced = sum(*s.had)
	}
	s.record.Written, s.record.Replaced = sum(*s.want), replaced
	if err := n.remember(s.record); err != nil {
		return err
	}
	if err := replace(s.m.Path, *s.want, 0o640); err != nil {
		s.record.Written, s.record.Replaced = before.Written, before.Replaced
		return errors.Join(err, n.remember(s.record))
	}
	return nil
}

// good keeps the file as the one that comes back when a reload fails with the next.
func (n *node) good(s step) error {
	if s.want == nil {
		return n.forget(s.record)
	}
	path := n.statePath(s.m.Path, ".good")
	if b, err := disk.Read(path, maxFile); err == nil && string(b) == *s.want {
		return nil
	}
	return disk.Replace(path, []byte(*s.want))
}
