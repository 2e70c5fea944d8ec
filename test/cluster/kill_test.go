package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/lab"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile"
)

// killing kills agents, vrrpds and plugins at random moments under a client's load. Nothing
// that the kernel and the web servers could serve may be lost, and nothing may move.
func killing(t *testing.T, s *story) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("HARECONCILE_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d (set HARECONCILE_SEED to repeat)", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	before := s.transitions(t)
	load := s.Load(t.Context(), "client", "-address", vip+":80", "-rate", "10", "-for", "15m", "-timeout", "5s")
	var victims []string
	for _, v := range []string{"agent", "vrrpd", "plugin"} {
		for range nstest.Trials(10, 50) {
			victims = append(victims, v)
		}
	}
	r.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	done := map[string]int{}
	for _, v := range victims {
		s.watch(t, "ka1", time.Duration(100+r.IntN(700))*time.Millisecond)
		node := directors[r.IntN(len(directors))]
		if v == "agent" {
			node = nodes[r.IntN(len(nodes))]
		}
		done[v+" on "+s.killOne(t, node, v)]++
	}
	s.watch(t, "ka1", 5*time.Second) // longer than a backup waits for its master
	report, err := load.Stop()
	if err != nil {
		t.Fatal(err)
	}
	after := s.transitions(t)
	t.Logf("killed %v; %d requests, slowest %.0f ms, longest gap %.0f ms", done, report.Requests, report.Slowest, report.LongestGap)
	if report.Failed > 0 || report.OK == 0 {
		t.Errorf("%d of %d requests were lost: %v", report.Failed, report.Requests, report.Failures)
	}
	if after["ka1"] != before["ka1"] {
		t.Errorf("the master made %d transitions, want none", after["ka1"]-before["ka1"])
	}
	// A backup's vrrpd has nothing to adopt; that it starts as BACKUP again is counted once.
	if n := after["ka2"] - before["ka2"]; n > uint64(done["vrrpd on ka2"]) {
		t.Errorf("the backup made %d transitions in %d starts", n, done["vrrpd on ka2"])
	}
}

// transitions returns how often each director's virtual router changed state.
func (s *story) transitions(t *testing.T) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	for _, n := range directors {
		var err error
		if out[n], err = s.Transitions(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// watch looks whether a node alone holds the address until the time is over.
func (s *story) watch(t *testing.T, node string, length time.Duration) {
	t.Helper()
	end := time.After(length)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.holder(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-end:
			return
		}
	}
}

// killOne kills a program of a node, once it runs: it may still be on its way back from the
// last time. Of plugins it takes the one that is back first, and returns the node.
func (s *story) killOne(t *testing.T, node, victim string) string {
	t.Helper()
	until(t, 120*time.Second, "a "+victim+" to kill", func(ctx context.Context) error {
		if victim != "plugin" {
			return s.Kill(ctx, node, victim, syscall.SIGKILL)
		}
		var errs []error
		for _, n := range directors {
			err := s.killPlugin(ctx, n)
			if err == nil {
				node = n
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
	return node
}

// killPlugin kills the plugin of a node's agent. It must be up: killed again and again on its
// start it would be backed off for longer and longer.
func (s *story) killPlugin(ctx context.Context, node string) error {
	if err := s.proxyUp(ctx, node); err != nil {
		return err
	}
	agent, err := s.agentOf(ctx, node)
	if err != nil {
		return err
	}
	r, err := s.Exec(ctx, node, "pkill", "-KILL", "-P", strconv.Itoa(agent.PID), "-f", "hareconcile-plugin-haproxy")
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("pkill: exit code %d: no plugin of the agent of %s", r.Code, node)
	}
	return err
}

// proxyUp returns an error unless a node's plugin says that haproxy is up.
func (s *story) proxyUp(ctx context.Context, node string) error {
	st, err := s.Agent(ctx, node)
	if err != nil {
		return err
	}
	for _, k := range st.Trackers {
		if k.Name == "proxy" && k.Verdict == reconcile.Up && k.Report != nil && k.Report.Status == "pass" {
			return nil
		}
	}
	return fmt.Errorf("the trackers of %s are %+v, want proxy up", node, st.Trackers)
}

func (s *story) agentOf(ctx context.Context, node string) (lab.ServiceStatus, error) {
	st, err := s.Status(ctx)
	if err != nil {
		return lab.ServiceStatus{}, err
	}
	v, ok := st.Service(node, "agent")
	if !ok || v.PID == 0 {
		return v, fmt.Errorf("no agent runs on %s: %+v", node, v)
	}
	return v, nil
}
