package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// mapFiles handles map files and the maps that haproxy made of them. A map is ours if we wrote
// its file.
type mapFiles struct{ *node }

var _ reconcile.Preflighter = (*mapFiles)(nil)

// Kind implements reconcile.Handler.
func (h *mapFiles) Kind() resource.Kind { return resource.KindHAProxyMap }

// otherwise begins the text of a map that haproxy has with other entries than the file.
const otherwise = "# haproxy has other entries than the file\n"

// Observe implements reconcile.Handler.
func (h *mapFiles) Observe(ctx context.Context) (reconcile.Live, error) {
	h.mu.Lock()
	clear(h.pending) // another plan
	h.mu.Unlock()
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	all, err := h.all()
	if err != nil {
		return reconcile.Live{}, err
	}
	for _, m := range all {
		r, err := h.record(m)
		if err != nil {
			return reconcile.Live{}, err
		}
		paths := slices.Concat(m.Maps, r.Maps)
		slices.Sort(paths)
		for _, path := range slices.Compact(paths) {
			text, there, err := h.live(ctx, m, path)
			if err != nil {
				return reconcile.Live{}, err
			}
			v := resource.HAProxyMap{Socket: m.RuntimeSocket, Path: path, Text: text}
			switch {
			case !there:
			case slices.Contains(r.Maps, path):
				live.Owned[v.ID()] = v
			default:
				v.Text = foreign(text, m.Texts[path])
				live.Foreign[v.ID()] = v
			}
		}
	}
	return live, nil
}

// foreign is what plans show of a file that is not ours: it is read as root, and a definition
// can name any. What is wanted anyway is no secret, and lets the file be adopted.
func foreign(text, wanted string) string {
	if text == wanted {
		return text
	}
	return "# a file of somebody else, SHA-256 " + sum(text) + "\n"
}

// live returns the text of a map, and whether there is such a file.
func (h *mapFiles) live(ctx context.Context, m Managed, path string) (text string, there bool, err error) {
	b, err := disk.Read(path, maxFile)
	if err != nil { // one that is no file must not hide the others
		return "# " + err.Error() + "\n", true, nil
	}
	if b == nil {
		return "", false, nil
	}
	entries, loaded, err := h.running(ctx, m, path)
	if err != nil {
		return "", false, err
	}
	if loaded && entries != sorted(string(b)) {
		return otherwise + entries, true, nil
	}
	return string(b), true, nil
}

// sorted returns the lines of a text in order.
func sorted(text string) string {
	lines := slices.Collect(strings.Lines(text))
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// running returns the entries of a map that haproxy has loaded.
func (h *mapFiles) running(ctx context.Context, m Managed, path string) (entries string, loaded bool, err error) {
	reply, err := ask(ctx, m.RuntimeSocket, "show map")
	if errors.Is(err, errGone) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	all, err := haproxy.ParseMaps(reply)
	if err != nil || !all[path] {
		return "", false, err
	}
	if reply, err = ask(ctx, m.RuntimeSocket, "show map "+path); err != nil {
		return "", false, err
	}
	entries, err = haproxy.ParseMap(reply)
	return entries, true, err
}

// Preflight implements reconcile.Preflighter. haproxy checks the file that is there with the maps
// as they will be, and later the file that is to come.
func (h *mapFiles) Preflight(ctx context.Context, cs []reconcile.Change) []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.pending)
	for _, c := range cs {
		if v, ok := c.After.(resource.HAProxyMap); ok {
			h.pending[v.Path] = v.Text
		}
	}
	out := make([]error, len(cs))
	found := map[string]error{} // by socket
	for i, c := range cs {
		v, ok := c.After.(resource.HAProxyMap)
		if !ok {
			continue
		}
		if _, asked := found[v.Socket]; !asked {
			found[v.Socket] = h.preflight(ctx, v.Socket)
		}
		if err := found[v.Socket]; errors.Is(err, reconcile.ErrRefused) {
			out[i] = err
		}
	}
	return out
}

// preflight checks the maps of one haproxy.
func (h *mapFiles) preflight(ctx context.Context, socket string) error {
	m, err := h.find(func(m Managed) bool { return m.RuntimeSocket == socket })
	if err != nil {
		return err
	}
	b, err := disk.Read(m.Path, maxFile)
	if err != nil || b == nil {
		return err
	}
	text := string(b)
	uses := false
	for path := range h.pending {
		uses = uses || mentions(text, path)
	}
	if !uses {
		return nil // the check of a file that does is to come
	}
	mr, err := h.master(ctx, m)
	if err != nil {
		return err
	}
	return h.check(ctx, mr, m, &text, h.pending)
}

// Apply implements reconcile.Handler.
func (h *mapFiles) Apply(ctx context.Context, c reconcile.Change) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, ok := c.After.(resource.HAProxyMap)
	if c.Action == reconcile.Delete {
		v, ok = c.Before.(resource.HAProxyMap)
	}
	if !ok || !sendable(v.Path) {
		return fmt.Errorf("%v is not a map of haproxy", c.ID)
	}
	m, err := h.find(func(m Managed) bool { return m.RuntimeSocket == v.Socket })
	if err != nil {
		return err
	}
	r, err := h.record(m)
	if err != nil {
		return err
	}
	// A plan that was saved says nothing of what its host allows; the definition was asked.
	if !slices.Contains(r.Maps, v.Path) && (c.Action == reconcile.Delete || !slices.Contains(m.Maps, v.Path)) {
		if _, err := os.Lstat(v.Path); c.Action == reconcile.Delete && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("%w: %s is no map of this haproxy's definition", reconcile.ErrRefused, v.Path)
	}
	if c.Action == reconcile.Delete {
		return h.remove(ctx, m, r, v.Path)
	}
	if !slices.Contains(r.Maps, v.Path) {
		if err := unclaimed(v); err != nil {
			return err
		}
		r.Maps = append(r.Maps, v.Path)
		if err := h.remember(r); err != nil {
			return err
		}
	}
	if c.Action == reconcile.Adopt {
		return nil
	}
	// What haproxy refuses must not be what it starts with next.
	if err := h.swap(ctx, m, v.Path, v.Text); err != nil {
		return err
	}
	if b, err := disk.Read(v.Path, maxFile); err != nil || b == nil || string(b) != v.Text {
		return replace(v.Path, v.Text, 0o644)
	}
	return nil
}

// unclaimed refuses a file with other content that somebody made since the plan.
func unclaimed(v resource.HAProxyMap) error {
	b, err := disk.Read(v.Path, maxFile)
	if err == nil && b != nil && string(b) != v.Text {
		err = fmt.Errorf("%w: %s was not written by hareconcile, and says otherwise; move it elsewhere", reconcile.ErrRefused, v.Path)
	}
	return err
}

// swap gives haproxy the map's new entries in one step, if it has the map.
func (h *mapFiles) swap(ctx context.Context, m Managed, path, text string) error {
	entries, loaded, err := h.running(ctx, m, path)
	if err != nil || !loaded || entries == sorted(text) {
		return err
	}
	reply, err := ask(ctx, m.RuntimeSocket, "prepare map "+path)
	if err != nil {
		return err
	}
	version, err := haproxy.ParseMapVersion(reply)
	if err != nil {
		return err
	}
	if err := h.fill(ctx, m, version, path, text); err != nil {
		// What was prepared stays in memory otherwise, and there may be many tries.
		_, _ = ask(context.WithoutCancel(ctx), m.RuntimeSocket, fmt.Sprintf("clear map @%s %s", version, path))
		return err
	}
	switch entries, _, err = h.running(ctx, m, path); {
	case err != nil:
		return err
	case entries != sorted(text):
		return fmt.Errorf("the map %s has other entries after it was replaced", path)
	}
	return nil
}

// fill gives a prepared version its entries, and makes it the one that counts.
func (h *mapFiles) fill(ctx context.Context, m Managed, version, path, text string) error {
	for _, part := range portions(text) {
		reply, err := give(ctx, m.RuntimeSocket, fmt.Sprintf("add map @%s %s", version, path), part)
		if err != nil {
			return err
		}
		if said := strings.TrimSpace(reply); said != "" {
			return fmt.Errorf("%w: add to the map %s: haproxy says: %.200s", reconcile.ErrRefused, path, strings.Join(strings.Fields(said), " "))
		}
	}
	_, err := ask(ctx, m.RuntimeSocket, fmt.Sprintf("commit map @%s %s", version, path))
	return err
}

// portion is how many bytes of a map are sent at once.
const portion = 8 << 10

// portions cuts a text between lines.
func portions(text string) []string {
	var out []string
	var part strings.Builder
	for line := range strings.Lines(text) {
		if part.Len() > 0 && part.Len()+len(line) > portion {
			out = append(out, part.String())
			part.Reset()
		}
		part.WriteString(line)
	}
	if part.Len() > 0 {
		out = append(out, part.String())
	}
	return out
}

// remove removes a map's file. While haproxy uses it, its next reload would fail without.
func (h *mapFiles) remove(ctx context.Context, m Managed, r record, path string) error {
	_, loaded, err := h.running(ctx, m, path)
	if err != nil {
		return err
	}
	if loaded {
		return fmt.Errorf("%w: haproxy still uses the map %s", reconcile.ErrRefused, path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.Maps = slices.DeleteFunc(r.Maps, func(p string) bool { return p == path })
	if len(r.Maps) == 0 && r.Written == "" {
		return h.forget(r)
	}
	return h.remember(r)
}
