package haproxy

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

var (
	_ reconcile.Classifier = (*files)(nil)
	_ reconcile.Classifier = (*servers)(nil)
	_ reconcile.Classifier = (*mapFiles)(nil)
)

// Classify implements reconcile.Classifier.
func (h *files) Classify(ctx context.Context, cs []reconcile.Change) []reconcile.Class {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]reconcile.Class, len(cs))
	for i, c := range cs {
		out[i] = h.class(ctx, c)
	}
	return out
}

// class returns the class of a change, as far as it can be told; Apply says what cannot.
func (h *files) class(ctx context.Context, c reconcile.Change) reconcile.Class {
	s, err := h.step(ctx, c)
	switch {
	case s.edited():
		return reconcile.ClassHandEdited
	case err != nil:
		return ""
	case s.settled():
		return reconcile.ClassFileOnly
	}
	mr, err := h.node.master(ctx, s.m)
	switch {
	case errors.Is(err, errGone) && s.want == nil:
		return reconcile.ClassFileOnly
	case errors.Is(err, errGone), err == nil && s.want != nil && !mr.loads(s.m.Path):
		return reconcile.ClassRestart
	case err != nil:
		return ""
	}
	if added, err := h.additions(ctx, s); err == nil && len(added) > 0 {
		return reconcile.ClassRuntime
	}
	return reconcile.ClassReload
}

// Classify implements reconcile.Classifier. Where the file has the value that is wanted, it is
// the running haproxy that somebody changed.
func (h *servers) Classify(ctx context.Context, cs []reconcile.Change) []reconcile.Class {
	out := make([]reconcile.Class, len(cs))
	texts := map[string][]haproxy.Server{}
	for i, c := range cs {
		w, ok := c.After.(resource.HAProxyServer)
		if !ok {
			continue
		}
		written, known := texts[w.Socket]
		if !known {
			written = h.loaded(ctx, w.Socket)
			texts[w.Socket] = written
		}
		k := slices.IndexFunc(written, func(s haproxy.Server) bool { return s.Backend == w.Backend && s.Name == w.Name })
		switch {
		case k >= 0 && says(written[k], w):
			out[i] = reconcile.ClassDrift
		case c.Action == reconcile.Update:
			out[i] = reconcile.ClassRuntime
		}
	}
	return out
}

// loaded returns the servers of a file that a worker runs with; none if it runs with another.
func (h *servers) loaded(ctx context.Context, socket string) []haproxy.Server {
	m, err := h.find(func(m Managed) bool { return m.RuntimeSocket == socket })
	if err != nil {
		return nil
	}
	b, err := disk.Read(m.Path, maxFile)
	if err != nil {
		return nil
	}
	if running, err := h.structure(ctx, m); err != nil || running == "" || running != haproxy.FileStructure(string(b)) {
		return nil
	}
	return haproxy.Servers(string(b))
}

// says reports whether a line of the file says w. Of a drain it says the weight 0.
func says(line haproxy.Server, w resource.HAProxyServer) bool {
	words := []string{w.Address.String()}
	weight := w.Weight
	if w.Admin == "drain" {
		weight = 0
	}
	words = append(words, "weight", strconv.Itoa(weight))
	if w.MaxConn > 0 {
		words = append(words, "maxconn", strconv.Itoa(w.MaxConn))
	}
	if w.Admin == "maint" {
		words = append(words, "disabled")
	}
	if !slices.Contains(line.Runtime, "weight") { // structure, where the algorithm is static
		words = slices.Delete(words, 1, 3)
	}
	return slices.Equal(line.Runtime, words)
}

// Classify implements reconcile.Classifier.
func (h *mapFiles) Classify(_ context.Context, cs []reconcile.Change) []reconcile.Class {
	out := make([]reconcile.Class, len(cs))
	for i, c := range cs {
		switch before, ok := c.Before.(resource.HAProxyMap); {
		case ok && strings.HasPrefix(before.Text, otherwise):
			out[i] = reconcile.ClassDrift
		case c.Action == reconcile.Update:
			out[i] = reconcile.ClassRuntime
		}
	}
	return out
}
