package reconcile_test

import (
	"maps"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

var draining = resource.ID{Kind: resource.KindIPVSServer, Name: "tcp 172.25.254.100:80 -> 172.25.254.110:80"}

// TestAServerDrains follows rs1 from the wish that it go to its end, in each of the ways in
// which that can be wished.
func TestAServerDrains(t *testing.T) {
	for name, wish := range map[string]func(*spec.Cluster, *reconcile.Facts){
		"written": func(c *spec.Cluster, _ *reconcile.Facts) { c.Pools[0].Servers[0].Draining = true },
		"commanded": func(_ *spec.Cluster, f *reconcile.Facts) {
			f.Drains = map[reconcile.ServerRef]time.Duration{"web/rs1": time.Minute}
		},
		"removed": func(c *spec.Cluster, _ *reconcile.Facts) { c.Pools[0].Servers = c.Pools[0].Servers[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			c, h, f := lvsDR(), newHost(), facts(reconcile.Up, reconcile.Up)
			c.Pools[0].Drain = time.Minute
			converge(t, h, desired(t, c, "ka1", f))
			wish(c, f)
			p := reconcile.Diff(h.live(), desired(t, c, "ka1", f))
			if len(p.Changes) != 1 || p.Changes[0].Action != reconcile.Update || !p.Changes[0].Drain || p.Changes[0].ID != draining {
				t.Fatalf("plan = %+v, want rs1 to drain", p.Changes)
			}
			converge(t, h, desired(t, c, "ka1", f))
			if s := h.owned[draining].(resource.IPVSServer); s.Weight != 0 {
				t.Fatalf("rs1 has weight %d, want 0", s.Weight)
			}
			f.Drained = map[string]bool{draining.Name: true}
			p = reconcile.Diff(h.live(), desired(t, c, "ka1", f))
			if len(p.Changes) != 1 || p.Changes[0].Action != reconcile.Delete {
				t.Fatalf("plan = %+v, want rs1 to go", p.Changes)
			}
			converge(t, h, desired(t, c, "ka1", f))
		})
	}
}

func TestWhatDoesNotDrain(t *testing.T) {
	for claim, change := range map[string]func(*spec.Cluster, *reconcile.Facts){
		"a dead server that is to be removed": func(c *spec.Cluster, f *reconcile.Facts) {
			c.Pools[0].OnFail, f.Servers["web/rs1"] = "remove", reconcile.Down
		},
		"a server of a pool that has no patience": func(c *spec.Cluster, _ *reconcile.Facts) {
			c.Pools[0].Drain, c.Pools[0].Servers = 0, c.Pools[0].Servers[1:]
		},
		"a service that goes with its servers": func(c *spec.Cluster, _ *reconcile.Facts) { c.VirtualServers = nil },
	} {
		t.Run(claim, func(t *testing.T) {
			c, h, f := lvsDR(), newHost(), facts(reconcile.Up, reconcile.Up)
			c.Pools[0].Drain = time.Minute
			converge(t, h, desired(t, c, "ka1", f))
			change(c, f)
			converge(t, h, desired(t, c, "ka1", f))
			if s, there := h.owned[draining]; there {
				t.Errorf("rs1 is still there: %+v", s)
			}
		})
	}
}

func TestAStandInDoesNotDrain(t *testing.T) {
	c, h, f := lvsDR(), newHost(), facts(reconcile.Down, reconcile.Down)
	c.Pools[0].Drain, c.Pools[1].Drain = time.Minute, time.Minute
	local := resource.ID{Kind: resource.KindIPVSServer, Name: "tcp 172.25.254.100:80 -> 127.0.0.1:80"}
	converge(t, h, desired(t, c, "ka1", f))
	if _, there := h.owned[local]; !there {
		t.Fatal("the sorry server did not come")
	}
	f.Servers["web/rs1"] = reconcile.Up
	converge(t, h, desired(t, c, "ka1", f))
	if _, there := h.owned[local]; there {
		t.Error("the sorry server stays though rs1 is up")
	}
}

// TestDepartures has a server with connections, second by second.
func TestDepartures(t *testing.T) {
	c, f := lvsDR(), facts(reconcile.Up, reconcile.Up)
	live := reconcile.Live{Owned: desired(t, c, "ka1", f).Set, Connections: map[resource.ID]int{}}
	c.Pools[0].Drain, c.Pools[0].Servers[0].Draining = 5*time.Second, true
	want := desired(t, c, "ka1", f)
	start := time.Unix(1000, 0)
	var seen map[resource.ID]reconcile.Departure
	if seen = reconcile.Departures(live, want, nil, start); len(seen) > 0 {
		t.Fatalf("departures = %+v while the server has a weight, want none", seen)
	}
	s := live.Owned[draining].(resource.IPVSServer)
	s.Weight = 0
	live.Owned[draining] = s
	for second, step := range []struct {
		connections int
		drained     bool
	}{{3, false}, {2, false}, {1, false}, {2, false}, {1, false}, {1, true}} {
		live.Connections[draining] = step.connections
		seen = reconcile.Departures(live, want, seen, start.Add(time.Duration(second)*time.Second))
		d := seen[draining]
		if d.Drained != step.drained || d.Connections != step.connections || !d.Deadline.Equal(start.Add(5*time.Second)) {
			t.Errorf("second %d: %+v, want drained = %t with %d connections", second, d, step.drained, step.connections)
		}
	}
	live.Connections[draining] = 1
	if seen = reconcile.Departures(live, want, seen, start); !seen[draining].Drained {
		t.Error("a server that was drained is not any more: it would never go where clients come back")
	}
	live.Connections = nil
	fresh := reconcile.Departures(live, want, nil, start)
	if fresh[draining].Drained {
		t.Error("a server is drained at the first look: a connection that is being made may not count yet")
	}
	soon := reconcile.Departures(live, want, fresh, start.Add(time.Second))
	if soon[draining].Drained {
		t.Error("a server is drained after a second: a connection whose SYN was lost may yet be made")
	}
	if again := reconcile.Departures(live, want, soon, start.Add(2*time.Second)); !again[draining].Drained {
		t.Errorf("departures = %+v, want an idle server to be drained after 2 s", again)
	}
	if back := reconcile.Departures(live, desired(t, lvsDR(), "ka1", f), seen, start); len(back) > 0 {
		t.Errorf("departures = %+v after the server was wanted again, want none", back)
	}
}

// TestABlindLookEndsNoDeparture has a table that cannot be read now and then.
func TestABlindLookEndsNoDeparture(t *testing.T) {
	c, f := lvsDR(), facts(reconcile.Up, reconcile.Up)
	c.Pools[0].Drain, c.Pools[0].Servers[0].Draining = 5*time.Second, true
	want := desired(t, c, "ka1", f)
	blind := reconcile.Live{Unobserved: []resource.Kind{resource.KindIPVSServer}}
	last := map[resource.ID]reconcile.Departure{draining: {Since: time.Unix(1000, 0), Deadline: time.Unix(1005, 0), Connections: 3}}
	if got := reconcile.Departures(blind, want, last, time.Unix(1004, 0)); !maps.Equal(got, last) {
		t.Errorf("departures = %+v after a look that failed, want %+v", got, last)
	}
	if got := reconcile.Departures(blind, desired(t, lvsDR(), "ka1", f), last, time.Unix(1004, 0)); len(got) > 0 {
		t.Errorf("departures = %+v of a server that is wanted again, want none", got)
	}
}
