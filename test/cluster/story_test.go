package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestReferenceLab is one story, because a lab takes longer to build than to use. Every
// chapter leaves the cluster settled.
func TestReferenceLab(t *testing.T) {
	t.Parallel()
	s := tell(t)
	t.Logf("settled after %s", s.settled(t).Round(100*time.Millisecond))
	for _, chapter := range []struct {
		name string
		play func(*testing.T, *story)
	}{
		{"a converged cluster has an empty plan", emptyPlan},
		{"requests follow the weights", followWeights},
		{"a virtual address taken away is back within 100 ms", addressDrift},
		{"a weight and a sysctl are back within a second", polledDrift},
		{"foreign objects are left alone", foreign},
		{"a dead real server is taken out and makes no plan", deadServer},
		{"a drained server leaves in peace and stays away", draining},
		{"a failover makes no plan", failover},
		{"a bad push is refused and changes nothing", badPush},
		{"a push without any address is refused by name", noAddress},
		{"without git the cluster goes on and says how old it is", noGit},
		{"killed processes cost nothing", killing},
	} {
		if !t.Run(chapter.name, func(t *testing.T) { chapter.play(t, s); s.settled(t) }) && t.Context().Err() != nil {
			return
		}
	}
}

func emptyPlan(t *testing.T, s *story) {
	s.noChanges(t, nodes...)
	s.withoutAgents(t, func() { s.noChanges(t, nodes...) }, nodes...)
}

func followWeights(t *testing.T, s *story) {
	r, err := s.Load(t.Context(), "client", "-address", vip+":80", "-rate", "30", "-count", "60").Wait()
	if err != nil {
		t.Fatal(err)
	}
	if one, two := r.From("server1"), r.From("server2"); r.Failed > 0 || one < 38 || one > 42 || one+two != 60 {
		t.Errorf("%d requests went to rs1, %d to rs2, %d failed, want 40, 20, 0: %v", one, two, r.Failed, r.Failures)
	}
}

// deadServer ends a web server, with and without an agent to notice it.
func deadServer(t *testing.T, s *story) {
	if err := s.Stop(t.Context(), "rs1", web); err != nil {
		t.Fatal(err)
	}
	until(t, 60*time.Second, "rs1 out of service", func(ctx context.Context) error { return s.weights(ctx, 0, 1) })
	s.noChanges(t, directors...)
	s.withoutAgents(t, func() { s.noChanges(t, "ka1") }, "ka1")
	if err := s.Start(t.Context(), "rs1", web); err != nil {
		t.Fatal(err)
	}
}

func failover(t *testing.T, s *story) {
	if err := s.Cut(t.Context(), "ka1"); err != nil {
		t.Fatal(err)
	}
	until(t, 60*time.Second, "a failover", func(ctx context.Context) error { return s.holder(ctx, "ka2") })
	s.noChanges(t, directors...)
	s.withoutAgents(t, func() { s.noChanges(t, "ka2") }, "ka2")
	if err := s.Mend(t.Context(), "ka1"); err != nil {
		t.Fatal(err)
	}
}

// refused waits until all nodes refuse a commit and returns what they say, the same on each.
func (s *story) refused(t *testing.T, commit string) string {
	t.Helper()
	said := map[string]string{}
	until(t, 120*time.Second, "a refusal", func(ctx context.Context) error {
		for _, n := range nodes {
			st, err := s.Agent(ctx, n)
			if err != nil {
				return err
			}
			if st.Refused == nil || st.Refused.Commit != commit {
				return fmt.Errorf("%s has not refused %.7s: it is on %.7s", n, commit, st.Revision.Commit)
			}
			said[n] = st.Refused.Error()
			for _, d := range st.Refused.Diagnostics {
				said[n] += fmt.Sprintf(" %s:%d,%d: %s %s", d.File, d.Start.Line, d.Start.Column, d.Summary, d.Detail)
			}
		}
		return nil
	})
	return said["ka1"]
}

func badPush(t *testing.T, s *story) {
	before, err := s.Table(t.Context(), "ka1")
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(s.text, "  scheduler = ", "  schedular = ", 1)
	line := 1 + strings.Count(bad[:strings.Index(bad, "schedular")], "\n")
	said := s.refused(t, s.push(t, bad, "Misspell an attribute"))
	if want := fmt.Sprintf("cluster.hcl:%d,3", line); !strings.Contains(said, want) {
		t.Errorf("the refusal is %q, want %s in it", said, want)
	}
	after, err := s.Table(t.Context(), "ka1")
	if err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the table is %v, %v, want it as it was: %v", after, err, before)
	}
	s.noChanges(t, "ka1", "rs1")
}

// noAddress pushes a cluster without its virtual routers, which is valid by itself.
func noAddress(t *testing.T, s *story) {
	head, _, _ := strings.Cut(s.text, `tracker "uplink"`)
	said := s.refused(t, s.push(t, head, "Remove everything"))
	if !strings.Contains(said, vip) {
		t.Errorf("the refusal is %q, want it to name %s", said, vip)
	}
	if err := errors.Join(s.holder(t.Context(), "ka1"), s.weights(t.Context(), 2, 1)); err != nil {
		t.Error(err)
	}
	s.push(t, s.text, "Bring it back") // which changes nothing
}

func noGit(t *testing.T, s *story) {
	head := filepath.Join(s.Repository(), "HEAD")
	if err := os.Rename(head, head+".off"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	until(t, 60*time.Second, "an unreachable source", func(ctx context.Context) error {
		return onAll([]string{"ka1", "rs1"}, func(n string) error {
			st, err := s.Agent(ctx, n)
			if err == nil && (st.Source.Error == "" || st.Source.LastSuccess.IsZero() || st.Source.LastSuccess.After(began.Add(time.Second))) {
				err = fmt.Errorf("the source of %s is %+v, want an error and when it last answered", n, st.Source)
			}
			return err
		})
	})
	out := s.sh(t, "ka1", "hareconcile status")
	k := strings.Index(out, "Source")
	if k < 0 || !strings.Contains(out[k:], "ago") {
		t.Errorf("status does not say how old the source's answer is:\n%s", out)
	}
	if err := errors.Join(s.holder(t.Context(), "ka1"), s.weights(t.Context(), 2, 1)); err != nil {
		t.Error(err)
	}
	if err := os.Rename(head+".off", head); err != nil {
		t.Fatal(err)
	}
	until(t, 60*time.Second, "a source that answers", func(ctx context.Context) error {
		st, err := s.Agent(ctx, "ka1")
		if err == nil && st.Source.Error != "" {
			err = errors.New(st.Source.Error)
		}
		return err
	})
}

// foreign puts things beside ours, and in our way.
func foreign(t *testing.T, s *story) {
	s.sh(t, "ka1", "ipvsadm -A -t 198.51.100.9:99 -s rr && ipvsadm -a -t 198.51.100.9:99 -r 172.25.254.120:99 -g")
	s.sh(t, "ka2", "ip address add "+vip+"/24 dev eth0")
	until(t, 60*time.Second, "a conflict on ka2", func(ctx context.Context) error {
		st, err := s.Agent(ctx, "ka2")
		if err != nil {
			return err
		}
		said := fmt.Sprint(st.Conflicts)
		for _, i := range st.Instances {
			said += fmt.Sprint(i.Conflicts)
		}
		if !strings.Contains(said, vip) {
			return fmt.Errorf("ka2 reports the conflicts %q, want %s among them", said, vip)
		}
		return nil
	})
	holders, err := s.Holders(t.Context(), vip)
	if err != nil || !slices.Contains(holders, "ka2") {
		t.Errorf("%s is on %v, %v, want it still on ka2, too: it is not ours", vip, holders, err)
	}
	s.sh(t, "ka2", "ip address del "+vip+"/24 dev eth0")
	until(t, 60*time.Second, "no conflict on ka2", func(ctx context.Context) error {
		st, err := s.Agent(ctx, "ka2")
		if err == nil && len(st.Conflicts) > 0 {
			err = fmt.Errorf("ka2 still reports %v", st.Conflicts)
		}
		return err
	})
	s.noChanges(t, directors...)
	table, err := s.Table(t.Context(), "ka1")
	if w, ok := table.Weight("tcp 198.51.100.9:99", "172.25.254.120:99"); err != nil || !ok || w != 1 {
		t.Errorf("the table is %v, %v, want the foreign service in it", table, err)
	}
	s.sh(t, "ka1", "ipvsadm -D -t 198.51.100.9:99")
}
