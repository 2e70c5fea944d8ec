package agent

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// When an object is contested, and what becomes of it then. Whoever else writes it would win or
// lose at random, at the cost of a processor: a person has to decide who owns it.
const (
	contestCount  = 5                // corrections of one object
	contestWindow = 10 * time.Minute // within which they make it contested, and the quiet that ends it
	contestPause  = time.Minute      // between two corrections of what is contested
	contestMost   = 16384            // objects that are remembered; more are corrected as ever
)

// A contest is the memory of one object that others change.
type contest struct {
	made  [contestCount]time.Time // the last corrections; made[count%contestCount] is the oldest
	count int
	found any       // what was there instead; nil if nothing was
	last  time.Time // when it was last found otherwise than wanted
	since time.Time // when it became contested; zero until then
}

// contests remembers corrections. It reads no clock.
type contests struct {
	of    map[resource.ID]*contest
	swept time.Time
}

// corrected notes that id was put back from found, and reports whether it is contested from
// now on.
func (s *contests) corrected(id resource.ID, found any, now time.Time) bool {
	c := s.of[id]
	if c == nil {
		if len(s.of) >= contestMost {
			return false
		}
		c = &contest{}
		s.of[id] = c
	}
	c.made[c.count%contestCount] = now
	c.count++
	c.found, c.last = found, now
	oldest := c.made[c.count%contestCount] // zero, and so long ago, until there are enough
	if c.since.IsZero() && now.Sub(oldest) < contestWindow {
		c.since = now
		return true
	}
	return false
}

// sighted notes that id is found, and is not put back now.
func (s *contests) sighted(id resource.ID, found any, now time.Time) {
	if c := s.of[id]; c != nil {
		c.found, c.last = found, now
	}
}

// waits reports whether id is contested and was put back a short while ago.
func (s *contests) waits(id resource.ID, now time.Time) bool {
	c := s.of[id]
	return c != nil && !c.since.IsZero() && now.Sub(c.made[(c.count-1)%contestCount]) < contestPause
}

// sweep forgets what was left alone for long enough, and returns what was contested of it. It
// looks at most once a second, since a table that was emptied leaves many.
func (s *contests) sweep(now time.Time) []resource.ID {
	if len(s.of) == 0 || now.Sub(s.swept) < time.Second {
		return nil
	}
	s.swept = now
	var over []resource.ID
	maps.DeleteFunc(s.of, func(id resource.ID, c *contest) bool {
		gone := now.Sub(c.last) >= contestWindow
		if gone && !c.since.IsZero() {
			over = append(over, id)
		}
		return gone
	})
	return over
}

// alarms returns one alarm for each contested object, in the order of their names; of many the
// first ones.
func (s *contests) alarms() []reconcile.Alarm {
	var ids []resource.ID
	for id, c := range s.of {
		if !c.since.IsZero() {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b resource.ID) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	more := max(0, len(ids)-maxDrift)
	var out []reconcile.Alarm
	for _, id := range ids[:len(ids)-more] {
		c := s.of[id]
		out = append(out, reconcile.Alarm{Subject: id.String(), Kind: "contested", Message: fmt.Sprintf(
			"is changed by somebody else: found %s; put back %d times, last at %s, and now once a minute until it is left alone for %d minutes",
			valueText(c.found), c.count, c.made[(c.count-1)%contestCount].UTC().Format(time.TimeOnly+"Z"), int(contestWindow/time.Minute))})
	}
	if more > 0 {
		out = append(out, reconcile.Alarm{Subject: "and more", Kind: "contested", Message: fmt.Sprintf("%d more objects are changed by somebody else", more)})
	}
	return out
}

// valueText says what an object is. Of a kind that may hold what not everybody should read it
// says no more than that it is another one.
func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case resource.Sysctl:
		return fmt.Sprintf("%.80q", v.Value)
	case resource.Address:
		return fmt.Sprintf("%s on %s", v.Prefix, v.Device)
	case resource.IPVSServer:
		return fmt.Sprintf("weight %d, %s", v.Weight, v.Forward)
	}
	return "another value"
}
