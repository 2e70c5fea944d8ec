package haproxy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestAMapOfSomebodyElse came after the plan.
func TestAMapOfSomebodyElse(t *testing.T) {
	h := prepared(t)
	m := resource.HAProxyMap{Socket: h.managed.RuntimeSocket, Path: h.path("hosts.map"), Text: "a b\n"}
	h.managed.Maps = []string{m.Path}
	h.write("hosts.map", "mine too\n")
	reconciletest.Conflict(t, h.hs, m)
	err := h.hs[0].Apply(t.Context(), reconcile.Change{Action: reconcile.Create, ID: m.ID(), After: m})
	if !errors.Is(err, reconcile.ErrRefused) || h.read(m.Path) != "mine too\n" {
		t.Errorf("Apply = %v, want a refusal and the map as it was", err)
	}
}

func TestAMapThatSomebodyChanged(t *testing.T) {
	h := newHost(t)
	m := resource.HAProxyMap{Socket: h.managed.RuntimeSocket, Path: h.path("hosts.map")}
	for i := range 2000 {
		m.Text += fmt.Sprintf("host%04d.example app\n", i)
	}
	h.managed.Maps = []string{m.Path}
	c := h.plain()
	c.lines = []string{fmt.Sprintf("use_backend %%[req.hdr(host),map(%s,app)]", m.Path)}
	want := h.set(c)
	want[m.ID()] = m
	if ps := reconciletest.Plan(t, h.hs, want).Preflight(t.Context(), h.hs); len(ps) > 0 {
		t.Errorf("problems = %v; want none, since the map comes before the file", ps)
	}
	reconciletest.Apply(t, h.hs, want)
	h.ask("set map " + m.Path + " host0001.example mine")
	before := h.procs().Master.Reloads
	if p := reconciletest.Apply(t, h.hs, want); len(p.Changes) != 1 {
		t.Errorf("plan = %+v, want the map", p)
	}
	if got := h.ask("show map " + m.Path); strings.Contains(got, "mine") || strings.Count(got, "\n") < 2000 {
		t.Errorf("the map is %.300s", got)
	}
	m.Text = "other.example app\n"
	want[m.ID()] = m
	reconciletest.Apply(t, h.hs, want)
	if got := h.ask("show map " + m.Path); !strings.Contains(got, "other.example app") || strings.Contains(got, "host0001") || h.read(m.Path) != string(m.Text) {
		t.Errorf("the map is %.300s", got)
	}
	if n := h.procs().Master.Reloads; n != before {
		t.Errorf("%d reloads for a map, want none", n-before)
	}
}

// TestAnEntryThatHAProxyRefuses reaches neither the disk, from which haproxy could not start any
// more, nor the memory of haproxy for good.
func TestAnEntryThatHAProxyRefuses(t *testing.T) {
	h := newHost(t)
	m := resource.HAProxyMap{Socket: h.managed.RuntimeSocket, Path: h.path("nets"), Text: "192.0.2.0/24 app\n"}
	longer := resource.HAProxyMap{Socket: h.managed.RuntimeSocket, Path: h.path("nets6"), Text: "2001:db8::/32 app\n"}
	h.managed.Maps = []string{m.Path, longer.Path}
	c := h.plain()
	c.lines = []string{
		fmt.Sprintf("use_backend %%[src,map_ip(%s,app)] if { path /4 }", m.Path),
		fmt.Sprintf("use_backend %%[src,map_ip(%s,app)] if { path /6 }", longer.Path),
	}
	set := func() resource.Set {
		s := h.set(c)
		s[m.ID()], s[longer.ID()] = m, longer
		return s
	}
	for range 5 { // one path begins the other, and maps have no order
		if ps := reconciletest.Plan(t, h.hs, set()).Preflight(t.Context(), h.hs); len(ps) > 0 {
			t.Fatalf("problems = %v, want none", ps)
		}
	}
	reconciletest.Apply(t, h.hs, set())
	good := m.Text
	m.Text = "192.0.2.0/24 app\nnot-an-address app\n"
	plan := reconciletest.Plan(t, h.hs, set())
	if ps := plan.Preflight(t.Context(), h.hs); len(ps) != 1 || !strings.Contains(ps[0].Err.Error(), "not-an-address") {
		t.Errorf("problems = %v, want the entry", ps)
	}
	for range 3 {
		if err := plan.Apply(t.Context(), h.hs, nil); !errors.Is(err, reconcile.ErrRefused) {
			t.Errorf("Apply = %v, want a refusal", err)
		}
	}
	if got := h.read(m.Path); got != string(good) {
		t.Errorf("the file is %q, want %q", got, good)
	}
	for version := 1; version < 10; version++ {
		if got := h.ask(fmt.Sprintf("show map @%d %s", version, m.Path)); strings.Contains(got, " app") {
			t.Errorf("haproxy keeps what was refused as version %d:\n%s", version, got)
		}
	}
	m.Text = "198.51.100.0/24 app\n"
	reconciletest.Apply(t, h.hs, set())
	if p := reconciletest.Plan(t, h.hs, set()); !p.Empty() {
		t.Errorf("what is left is %+v", p)
	}
}
