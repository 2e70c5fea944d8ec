// Package roster hands the trackers that somebody wants to the one goroutine that watches them.
package roster

import (
	"slices"
	"sync"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A Roster is the trackers that are wanted now. All methods may be called from any goroutine.
type Roster struct {
	mu    sync.Mutex
	cfgs  []resource.VRRPTracker
	set   bool
	unset map[resource.TrackerKey]bool // what a Set left out since the last Taken
	wake  func()                       // nil while nobody watches
}

// New returns an empty Roster.
func New() *Roster { return &Roster{unset: map[resource.TrackerKey]bool{}} }

// Set replaces the trackers, and wakes who watches them.
func (r *Roster) Set(cfgs []resource.VRRPTracker) {
	wanted := make(map[resource.TrackerKey]bool, len(cfgs))
	for _, c := range cfgs {
		wanted[c.Key()] = true
	}
	r.mu.Lock()
	for _, c := range r.cfgs {
		if key := c.Key(); !wanted[key] {
			r.unset[key] = true
		}
	}
	r.cfgs, r.set = slices.Clone(cfgs), true
	r.mu.Unlock()
	r.Rouse()
}

// Taken returns the trackers, which of them were away since the last call, and whether
// there was a Set since then.
func (r *Roster) Taken() (cfgs []resource.VRRPTracker, unset map[resource.TrackerKey]bool, set bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set, unset = r.set, r.unset
	r.set, r.unset = false, map[resource.TrackerKey]bool{}
	return r.cfgs, unset, set
}

// Rouse wakes who watches, if somebody does.
func (r *Roster) Rouse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wake != nil {
		r.wake()
	}
}

// WakeBy says how to wake who watches from now on; nil is nobody.
func (r *Roster) WakeBy(wake func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wake = wake
}
