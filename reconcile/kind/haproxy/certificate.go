package haproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// certificates handles those that haproxy serves from files which somebody else renews. What is
// wanted has no fingerprint, since the file decides; live has one if haproxy serves another.
type certificates struct{ *node }

// Kind implements reconcile.Handler.
func (h *certificates) Kind() resource.Kind { return resource.KindHAProxyCertificate }

// Observe implements reconcile.Handler. What haproxy has not loaded is in order: it will read
// the file once it does.
func (h *certificates) Observe(ctx context.Context) (reconcile.Live, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	for _, m := range h.Managed() {
		if m.Refused != "" {
			continue
		}
		for _, path := range m.Certificates {
			c := resource.HAProxyCertificate{Socket: m.RuntimeSocket, Path: path}
			serves, err := h.serves(ctx, m, path)
			if err != nil {
				return reconcile.Live{}, err
			}
			// What cannot be read as a certificate is a difference that Apply speaks of.
			b, _ := disk.ReadLinked(path, maxFile)
			if has, _ := haproxy.Leaf(b); serves != has {
				c.SHA1 = serves
			}
			live.Owned[c.ID()] = c
		}
	}
	return live, nil
}

// serves returns the fingerprint of the certificate that haproxy has, or "".
func (h *certificates) serves(ctx context.Context, m Managed, path string) (string, error) {
	if !sendable(path) {
		return "", fmt.Errorf("%q cannot be part of a command", path)
	}
	reply, err := ask(ctx, m.RuntimeSocket, "show ssl cert "+path)
	if errors.Is(err, errGone) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return haproxy.ParseCertificate(reply)
}

// Apply implements reconcile.Handler. The key goes from the file to haproxy and nowhere else.
func (h *certificates) Apply(ctx context.Context, c reconcile.Change) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, ok := c.After.(resource.HAProxyCertificate)
	if c.Action == reconcile.Delete {
		return nil // the file stays, and a reload decides what haproxy serves
	}
	if !ok {
		return fmt.Errorf("%T is not a certificate of haproxy", c.After)
	}
	m, err := h.find(func(m Managed) bool {
		return m.RuntimeSocket == v.Socket && slices.Contains(m.Certificates, v.Path)
	})
	if err != nil {
		return err
	}
	b, err := disk.ReadLinked(v.Path, maxFile)
	if err != nil {
		return err
	}
	want, err := haproxy.Leaf(b)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", reconcile.ErrRefused, v.Path, err)
	}
	serves, err := h.serves(ctx, m, v.Path)
	if err != nil || serves == "" || serves == want {
		return err
	}
	return h.swap(ctx, m, v.Path, string(b), want)
}

// swap makes haproxy serve what the file has.
func (h *certificates) swap(ctx context.Context, m Managed, path, text, want string) error {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	said, err := give(ctx, m.RuntimeSocket, "set ssl cert "+path, strings.Join(lines, "\n"))
	if err == nil {
		var more string
		more, err = ask(ctx, m.RuntimeSocket, "commit ssl cert "+path)
		said += more
	}
	if err != nil {
		return fmt.Errorf("%w: give haproxy the certificate %s: %w", reconcile.ErrRefused, path, err)
	}
	switch serves, err := h.serves(ctx, m, path); {
	case err != nil:
		return err
	case serves != want:
		_, err = ask(ctx, m.RuntimeSocket, "abort ssl cert "+path)
		return errors.Join(fmt.Errorf("%w: haproxy did not take the certificate %s: %.300s",
			reconcile.ErrRefused, path, strings.Join(strings.Fields(said), " ")), err)
	}
	return nil
}
