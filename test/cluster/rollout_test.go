package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/lab"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/peer"
)

// rolledCluster is a pair and a host that is in no virtual router, which take turns.
const rolledCluster = `
cluster "trio" {
  node "a" {
    address = "192.0.2.1"
    key     = %q
  }
  node "b" {
    address = "192.0.2.2"
    key     = %q
  }
  node "c" {
    address = "192.0.2.3"
    key     = %q
  }

  rollout {
    min_healthy_time = "1s"
    healthy_deadline = "8s"
  }
}

tracker "uplink" { interface = "eth0" }

vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 7
  version           = 3
  advert_interval   = "100ms"
  priority          = { a = 150, b = 100 }
  preempt           = "never"
  addresses         = ["192.0.2.100/24", "192.0.2.101/24"]
  gates             = [tracker.uplink]
}
`

const rolledLab = `
segment "lan" {
  prefix = "192.0.2.0/24"
  nodes  = ["a", "b", "c"]
}

git "forge" { https = true }
`

// A rolled lab is three nodes that take turns.
type rolled struct {
	*story
	t *testing.T
}

func (r *rolled) arrives(text, message string) string {
	r.t.Helper()
	began := time.Now()
	r.commit = r.push(r.t, text, message)
	until(r.t, 2*time.Minute, message, func(ctx context.Context) error {
		return onAll([]string{"a", "b", "c"}, func(n string) error { return r.verified(ctx, n, r.commit) })
	})
	r.t.Logf("%s: on all three nodes after %v: %s", message, time.Since(began).Round(10*time.Millisecond), r.order(r.commit, began))
	return r.commit
}

// verified returns an error unless a commit is a node's good one.
func (r *rolled) verified(ctx context.Context, node, commit string) error {
	st, err := r.Agent(ctx, node)
	switch {
	case err != nil:
		return err
	case st.Self == nil || st.Self.Verified != commit || st.Phase != control.Converged:
		return fmt.Errorf("%s is %s at %.7s: %+v %+v", node, st.Phase, st.Revision.Commit, st.Rollout, st.Refused)
	}
	return nil
}

// order tells when each node had verified a commit, the first one first.
func (r *rolled) order(commit string, began time.Time) string {
	r.t.Helper()
	type entry struct {
		node string
		at   time.Time
	}
	var all []entry
	for _, n := range []string{"a", "b", "c"} {
		for _, h := range r.history(n) {
			if h.Commit == commit && h.Outcome == journal.Verified {
				all = append(all, entry{n, h.Time})
			}
		}
	}
	slices.SortFunc(all, func(x, y entry) int { return x.at.Compare(y.at) })
	var out []string
	for _, e := range all {
		out = append(out, fmt.Sprintf("%s %v", e.node, e.at.Sub(began).Round(10*time.Millisecond)))
	}
	return strings.Join(out, ", ")
}

func (r *rolled) history(node string) []journal.Record {
	r.t.Helper()
	var h control.HistoryResult
	if err := json.Unmarshal([]byte(r.sh(r.t, node, "hareconcile history -n 0 -json")), &h); err != nil {
		r.t.Fatal(err)
	}
	return h.Records
}

// names returns the nodes in what order returned.
func names(order string) string {
	var out []string
	for _, e := range strings.Split(order, ", ") {
		out = append(out, strings.Fields(e)[0])
	}
	return strings.Join(out, " ")
}

func (r *rolled) master(ctx context.Context, node string) error {
	st, err := r.Agent(ctx, node)
	if err == nil && (len(st.Instances) != 1 || st.Instances[0].State != "MASTER") {
		err = fmt.Errorf("%s has %+v", node, st.Instances)
	}
	return err
}

// TestRollout: a push goes to the host, the backup and the master in this order, a bad one no
// further than where it fails, and none past a node that nobody hears.
func TestRollout(t *testing.T) {
	nstest.Need(t, "root", "netns", "git")
	t.Parallel()
	key := func(node string) string { return peer.Public(lab.NodeKey("trio", node)) }
	text := fmt.Sprintf(rolledCluster, key("a"), key("b"), key("c"))
	dir := t.TempDir()
	for name, content := range map[string]string{"cluster.hcl": text, "lab.hcl": rolledLab} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := &rolled{raise(t, dir, func(text string) string { return text }), t}
	lead, heir := "a", "b" // who was there first is master
	until(t, time.Minute, "the first revision", func(ctx context.Context) error {
		if r.master(ctx, lead) != nil {
			lead, heir = heir, lead
		}
		return errors.Join(onAll([]string{"a", "b", "c"}, func(n string) error { return r.converged(ctx, n) }), r.master(ctx, lead))
	})
	want := "c " + heir + " " + lead

	good := strings.Replace(text, `"192.0.2.101/24"]`, `"192.0.2.101/24", "192.0.2.102/24"]`, 1)
	began := time.Now()
	commit := r.arrives(good, "Add an address")
	if got := names(r.order(commit, began)); got != want {
		t.Errorf("the order is %s, want %s", got, want)
	}

	t.Run("a master hands over before addresses go", func(t *testing.T) {
		began := time.Now()
		commit := r.arrives(text, "Take it back")
		if got := names(r.order(commit, began)); got != want {
			t.Errorf("the order is %s, want %s", got, want)
		}
		if err := r.master(t.Context(), heir); err != nil {
			t.Errorf("%s has not handed over: %v", lead, err)
		}
	})
	t.Run("a person hands over", func(t *testing.T) {
		from, to := heir, lead
		if r.master(t.Context(), from) != nil {
			from, to = to, from
		}
		out := r.sh(t, from, "hareconcile handover -instance web -wait")
		if !strings.Contains(out, "given up; for 5m0s") || !strings.Contains(out, "is master.") {
			t.Errorf("it says\n%s", out)
		}
		r.sh(t, to, "hareconcile handover -wait && hareconcile handover -release") // which a hold does not keep from coming back
		if out, err := r.Exec(t.Context(), "c", "hareconcile", "handover"); err != nil || out.Code != 1 || !strings.Contains(out.Stderr, "hareconcile-vrrpd cannot be asked") {
			t.Errorf("on a node that has none: %v %+v", err, out)
		}
	})
	t.Run("a bad push is undone where it fails", func(t *testing.T) {
		bad := strings.Replace(text, `tracker "uplink" { interface = "eth0" }`, `tracker "uplink" { interface = "eth9" }`, 1)
		commit := r.push(t, bad, "Watch what is not there")
		until(t, time.Minute, "a quarantine everywhere", func(ctx context.Context) error {
			return onAll([]string{"a", "b"}, func(n string) error {
				st, err := r.Agent(ctx, n)
				if err == nil && (len(st.Quarantined) == 0 || st.Quarantined[0].Commit != commit || st.Refused == nil || st.Rollout != nil) {
					err = fmt.Errorf("%s has %+v in quarantine, refuses %+v, rolls out %+v", n, st.Quarantined, st.Refused, st.Rollout)
				}
				return err
			})
		})
		if err := r.master(t.Context(), heir); err != nil {
			t.Errorf("the master was touched: %v", err)
		}
		out, err := r.Exec(t.Context(), lead, "hareconcile", "reconcile", "-wait")
		if err != nil || out.Code != 7 || !strings.Contains(out.Stderr, "vrrp_instance.web is in FAULT") {
			t.Errorf("reconcile -wait: %v %+v, want code 7 and why", err, out)
		}
		if text := r.sh(t, heir, "hareconcile status -cluster"); !strings.Contains(text, "quarantined") {
			t.Errorf("status -cluster does not tell:\n%s", text)
		}
		for _, h := range r.history(heir) {
			if h.Commit == commit && h.Outcome != journal.Refused {
				t.Errorf("the master tried it: %+v", h)
			}
		}
		r.arrives(good, "Watch what is there")
	})
	t.Run("without a time to be healthy", func(*testing.T) {
		r.arrives(strings.Replace(text, `"1s"`, `"0s"`, 1), "Ask for no proof")
	})
	t.Run("a node that nobody hears is waited for", func(t *testing.T) {
		if err := r.Cut(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		until(t, time.Minute, "silence of c", func(ctx context.Context) error {
			st, err := r.Agent(ctx, lead)
			if err == nil && (len(st.Peers) != 2 || st.Peers[1].Heard) {
				err = fmt.Errorf("it hears of %+v", st.Peers)
			}
			return err
		})
		commit := r.push(t, text, "Go on without c")
		until(t, time.Minute, "a rollout that waits", func(ctx context.Context) error {
			st, err := r.Agent(ctx, lead)
			if err == nil && (st.Rollout == nil || st.Rollout.Reason != "waits for c, which cannot be reached") {
				err = fmt.Errorf("it rolls out %+v", st.Rollout)
			}
			return err
		})
		if err := r.Mend(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		until(t, 2*time.Minute, "the end of the rollout", func(ctx context.Context) error {
			return onAll([]string{"a", "b", "c"}, func(n string) error { return r.verified(ctx, n, commit) })
		})
	})
	if nstest.Trials(0, 1) > 0 { // four agents on one emulated processor take minutes
		t.Run("the reference lab", wrongServers)
	}
}
