package haproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func notThere(w resource.HAProxyServer) error {
	return fmt.Errorf("%w: haproxy does not have the server %s/%s yet: a reload with the file brings it", reconcile.ErrRefused, w.Backend, w.Name)
}

// bringBack reloads where somebody removed servers on the socket, which the file has, and returns
// the servers there are then.
func (h *servers) bringBack(ctx context.Context, m Managed, list []server, cs []reconcile.Change) ([]server, error) {
	b, err := disk.Read(m.Path, maxFile)
	if err != nil {
		return nil, err
	}
	var gone error
	for _, c := range cs {
		w := c.After.(resource.HAProxyServer)
		if _, ok := lookup(list, w); ok {
			continue
		}
		if len(list) == 0 || !slices.ContainsFunc(haproxy.Servers(string(b)), func(s haproxy.Server) bool { return s.Backend == w.Backend && s.Name == w.Name }) {
			return nil, notThere(w)
		}
		gone = fmt.Errorf("haproxy does not have the server %s/%s any more", w.Backend, w.Name)
	}
	if gone == nil {
		return list, nil
	}
	if err := h.escalate(ctx, m, nil, gone); err != nil {
		return nil, err
	}
	return h.list(ctx, m)
}

// escalate reloads where haproxy does not take a value on the socket, as it takes no weights
// where `balance` works on a table made at the start. The file has the values already.
func (h *servers) escalate(ctx context.Context, m Managed, want map[string]resource.HAProxyServer, refused error) error {
	r, err := h.record(m)
	if err != nil {
		return err
	}
	b, err := disk.Read(m.Path, maxFile)
	if err != nil {
		return err
	}
	text := string(b)
	s := step{m: m, record: r, had: &text, want: &text}
	if s.running, err = h.structure(ctx, m); err != nil {
		return err
	}
	s.structure = s.running
	if sum(text) != r.Written {
		return refused // the file is not ours to load
	}
	mr, err := h.master(ctx, m)
	if err != nil {
		return errors.Join(refused, err)
	}
	if err := s.early(time.Now()); err != nil {
		return fmt.Errorf("%w (%w)", err, refused)
	}
	if err := h.ending(ctx, m); err != nil {
		return fmt.Errorf("%w (%w)", err, refused)
	}
	if err := h.loadable(ctx, mr, s, nil); err != nil {
		return fmt.Errorf("%w (%w)", err, refused)
	}
	if err := h.reload(ctx, mr, s); err != nil {
		return err
	}
	list, err := h.list(ctx, m)
	if err != nil {
		return err
	}
	return verify(list, want, "nothing after a reload")
}
