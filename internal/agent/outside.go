package agent

import (
	"cmp"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A checkRef names one check of one server.
type checkRef struct {
	server reconcile.ServerRef
	check  int // its place in the pool
}

// An outside is what is known of checks in whose stead others look: plugins, and vrrpd's BFD.
type outside struct {
	plugins  map[string]checkRef                // by the name of the tracker that stands for it
	sessions map[resource.TrackerKey][]checkRef // by vrrpd's name for the session
	trackers []spec.Tracker                     // what the plugin host is to look at
	words    map[string]trackerState            // what plugins said last, by the tracker's name
}

// outsideOf finds the checks that others make for node.
func outsideOf(c *spec.Cluster, node string) outside {
	o := outside{plugins: map[string]checkRef{}, sessions: map[resource.TrackerKey][]checkRef{}, words: map[string]trackerState{}}
	for _, u := range used(c, node) {
		for k, ch := range u.pool.Checks {
			for _, s := range u.pool.Servers {
				ref := checkRef{reconcile.NewServerRef(u.pool.Name, s.Name), k}
				switch {
				case ch.Type == "bfd":
					key := resource.VRRPTracker{Type: resource.TrackBFD, Target: cmp.Or(ch.Address, s.Address).String()}.Key()
					o.sessions[key] = append(o.sessions[key], ref)
				case ch.Plugin != nil:
					t := pluginCheck(ref, ch, ch.Asked(s.AddrPort(u.port)))
					o.plugins[t.Name] = ref
					o.trackers = append(o.trackers, t)
				}
			}
		}
	}
	return o
}

// pluginCheck returns the tracker that stands for a check of one server. Its name cannot be
// a tracker's: it has spaces. What cannot be measured holds the verdict.
func pluginCheck(ref checkRef, c spec.Check, at netip.AddrPort) spec.Tracker {
	config := strings.NewReplacer("{address}", at.Addr().String(), "{port}", strconv.Itoa(int(at.Port()))).Replace(string(c.Plugin.Config))
	return spec.Tracker{
		Origin: c.Origin, Name: "check " + string(ref.server) + " " + strconv.Itoa(ref.check),
		Plugin: c.Plugin.Plugin, Config: []byte(config),
		Interval: c.Interval, Timeout: c.Timeout, Rise: c.Rise, Fall: c.Fall,
	}
}

// tracked hands a plugin's word on a server to the checker, and reports whether it was one.
func (a *Agent) tracked(name string, s trackerState) bool {
	ref, ok := a.outside.plugins[name]
	if ok {
		a.outside.words[name] = s
		a.cfg.ReportCheck(ref.server, ref.check, s.verdict, s.message)
	}
	return ok
}

// sessions hands vrrpd's word on BFD sessions to the checker. A vrrpd that cannot be asked
// has no word.
func (a *Agent) sessions(s *channel.Status) {
	if s == nil {
		return
	}
	for _, t := range s.Trackers {
		for _, ref := range a.outside.sessions[t.Key] {
			a.cfg.ReportCheck(ref.server, ref.check, reconcile.Verdict(t.State), cmp.Or(t.Message, "the BFD session is "+cmp.Or(t.State, "not known")))
		}
	}
}

// tellAgain hands on what others said before the checks changed: who looks at the same as
// before says nothing new, and a server that is new to the checker would wait for a word
// that never comes.
func (a *Agent) tellAgain(before outside) {
	if a.vrrpErr == nil {
		a.sessions(a.vrrp)
	}
	was := make(map[string]spec.Tracker, len(before.trackers))
	for _, t := range before.trackers {
		was[t.Name] = t
	}
	for _, t := range a.outside.trackers {
		old := was[t.Name]
		old.Origin = t.Origin
		if word, said := before.words[t.Name]; said && reflect.DeepEqual(old, t) {
			a.tracked(t.Name, word)
		}
	}
}
