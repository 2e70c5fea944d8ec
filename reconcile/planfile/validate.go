package planfile

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func checkFormat(version string) error {
	major, _, _ := strings.Cut(version, ".")
	ours, _, _ := strings.Cut(FormatVersion, ".")
	if major != ours {
		return fmt.Errorf("format_version is %q, want %s.x", version, ours)
	}
	return nil
}

// Validate reports whether f could have been made by New: a File that came over a socket
// is judged by it before anything is done with it.
func (f File) Validate() error {
	if err := checkFormat(f.FormatVersion); err != nil {
		return err
	}
	if len(f.Changes) > MaxChanges || len(f.Conflicts) > MaxChanges || len(f.Policies) > MaxChanges || len(f.Errors) > MaxChanges {
		return fmt.Errorf("more than %d entries in a list", MaxChanges)
	}
	if f.Node == "" {
		return errors.New("node is missing")
	}
	for i, c := range f.Changes {
		if err := c.validate(); err != nil {
			return fmt.Errorf("resource_changes[%d]: %w", i, err)
		}
	}
	for i, c := range f.Conflicts {
		id := resource.ID{Kind: c.Kind, Name: c.Name}
		if err := errors.Join(checkID(c.Address, id, c.Live), checkID(c.Address, id, c.Want)); err != nil {
			return fmt.Errorf("conflicts[%d]: %w", i, err)
		}
	}
	if len(f.HAProxies) > MaxChanges {
		return fmt.Errorf("more than %d haproxies", MaxChanges)
	}
	for i, h := range f.HAProxies {
		for _, p := range []string{h.ConfigDir, h.RuntimeSocket, h.MasterSocket} {
			if !path.IsAbs(p) {
				return fmt.Errorf("haproxies[%d]: %q is no absolute path", i, p)
			}
		}
	}
	want := f.count()
	want.DestroyPercent = f.Summary.DestroyPercent
	if f.Summary != want || want.DestroyPercent < 0 || want.DestroyPercent > 100 || f.Uncompared < 0 {
		return errors.New("summary does not match the changes")
	}
	return nil
}

func (c Change) validate() error {
	action, ok := actions[c.Action]
	if !ok {
		return fmt.Errorf("action %q is not known", c.Action)
	}
	if (c.Before == nil) != (action == reconcile.Create) || (c.After == nil) != (action == reconcile.Delete) {
		return fmt.Errorf("%s %s has the wrong sides", c.Action, c.Address)
	}
	if (c.Before == c.After) != (action == reconcile.Adopt) {
		return fmt.Errorf("%s %s: before and after do not fit the action", c.Action, c.Address)
	}
	if s, ok := c.After.(resource.IPVSServer); c.Drain && (!ok || action != reconcile.Update || s.Weight != 0) {
		return fmt.Errorf("%s %s drains nothing", c.Action, c.Address)
	}
	id := resource.ID{Kind: c.Kind, Name: c.Name}
	for _, v := range []any{c.Before, c.After} {
		if v == nil {
			continue
		}
		if err := checkID(c.Address, id, v); err != nil {
			return err
		}
	}
	return nil
}

func checkID(address string, id resource.ID, v any) error {
	r, ok := v.(identified)
	if !ok {
		return fmt.Errorf("%s has no value", id)
	}
	if r.ID() != id || address != id.String() {
		return fmt.Errorf("address %q, name %q and value %q differ", address, id, r.ID())
	}
	return nil
}
