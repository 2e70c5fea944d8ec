package cluster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/nstest"
)

// fetchedCluster is a pair that any kernel can be.
const fetchedCluster = `
cluster "pair" {
  node "a" { address = "192.0.2.1" }
  node "b" { address = "192.0.2.2" }

  rollout {
    min_healthy_time = "0s"
  }
}

vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 7
  version           = 3
  advert_interval   = "100ms"
  priority          = { a = 150, b = 100 }
  preempt           = "immediate"
  addresses         = ["192.0.2.100/24"]
}
`

const fetchedLab = `
segment "lan" {
  prefix = "192.0.2.0/24"
  nodes  = ["a", "b"]
}

git "forge" {
  ssh    = %[1]t
  https  = %[2]t
  signed = %[1]t
}
`

// TestRepositoryOverSSHAndHTTPS pushes to a lab's git server, which serves as real ones do:
// a good push arrives by webhook, and a bad one is refused in the words of reconcile -wait.
func TestRepositoryOverSSHAndHTTPS(t *testing.T) {
	t.Parallel()
	nstest.Need(t, "root", "netns", "git", "sshd", "ssh-keygen")
	for scheme, ssh := range map[string]bool{"ssh": true, "https": false} {
		t.Run(scheme, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"cluster.hcl": fetchedCluster, "lab.hcl": fmt.Sprintf(fetchedLab, ssh, !ssh)} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s := raise(t, dir, func(text string) string { return text })
			pair := []string{"a", "b"}
			arrives := func(text, message string) {
				t.Helper()
				s.commit = s.push(t, text, message)
				until(t, time.Minute, message, func(ctx context.Context) error {
					return onAll(pair, func(n string) error { return s.converged(ctx, n) })
				})
			}
			until(t, time.Minute, "the first revision", func(ctx context.Context) error {
				return onAll(pair, func(n string) error { return s.converged(ctx, n) })
			})
			arrives(strings.Replace(fetchedCluster, ".100/24", ".101/24", 1), "Move to another address")
			for _, n := range pair {
				until(t, time.Minute, "the webhook", func(ctx context.Context) error { // the agent may have looked by itself before
					st, err := s.Agent(ctx, n)
					if err == nil && (!strings.HasPrefix(st.Source.URL, scheme+"://") || st.Webhook == nil || st.Webhook.Accepted == 0 || st.Webhook.Refused > 0) {
						err = fmt.Errorf("%s has %+v and %+v; want the source over %s and an accepted webhook", n, st.Source, st.Webhook, scheme)
					}
					return err
				})
				if r, err := s.Exec(t.Context(), n, "hareconcile", "reconcile", "-wait"); err != nil || r.Code != 0 || !strings.Contains(r.Stdout, "converged at main@"+s.commit[:7]) {
					t.Errorf("reconcile on %s: %v %+v, want code 0 at %.7s", n, err, r, s.commit)
				}
			}
			s.withoutGit(t, map[bool]string{true: "sshd", false: "forge"}[ssh], pair)
			bad := s.push(t, strings.Replace(fetchedCluster, "priority", "prioritee", 1), "Misspell a word")
			for _, n := range pair {
				if r, err := s.Exec(t.Context(), n, "hareconcile", "reconcile", "-wait"); err != nil || r.Code != 9 || !strings.Contains(r.Stderr, bad[:7]+" is refused by compile") {
					t.Errorf("reconcile on %s: %v %+v, want code 9 and that %.7s is refused", n, err, r, bad)
				}
			}
			if ssh {
				s.unsigned(t, pair)
			}
		})
	}
}

// withoutGit pushes while the git server is away: the nodes stay as they are, say so, and take
// the push when it is back.
func (s *story) withoutGit(t *testing.T, service string, pair []string) {
	t.Helper()
	if err := s.Stop(t.Context(), "forge", service); err != nil {
		t.Fatal(err)
	}
	commit := s.push(t, fetchedCluster, "Move back")
	for _, n := range pair {
		if r, err := s.Exec(t.Context(), n, "hareconcile", "reconcile", "-wait"); err != nil || r.Code != 1 || !strings.Contains(r.Stderr, "the source cannot be read, and what is in force stays") {
			t.Errorf("reconcile on %s without %s: %v %+v, want code 1 and that nothing changes", n, service, err, r)
		}
		st, err := s.Agent(t.Context(), n)
		if err != nil || st.Phase != control.Converged || st.Revision.Commit != s.commit || !st.Look.Next.After(st.Look.Began) {
			t.Errorf("%s without %s: %v, %s at %.7s, %+v; want it converged at %.7s, and to look again", n, service, err, st.Phase, st.Revision.Commit, st.Look, s.commit)
		}
	}
	if err := s.Start(t.Context(), "forge", service); err != nil {
		t.Fatal(err)
	}
	s.commit = commit
	until(t, time.Minute, "the push once "+service+" is back", func(ctx context.Context) error {
		return onAll(pair, func(n string) error {
			if _, err := s.Exec(ctx, n, "hareconcile", "reconcile"); err != nil { // else it is asked when its back-off is over
				return err
			}
			return s.converged(ctx, n)
		})
	})
}

// unsigned pushes what is good but for its signature.
func (s *story) unsigned(t *testing.T, pair []string) {
	t.Helper()
	commit, err := s.PushUnsigned(t.Context(), map[string][]byte{"cluster.hcl": []byte(fetchedCluster)}, "Forget to sign")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range pair {
		if r, err := s.Exec(t.Context(), n, "hareconcile", "reconcile", "-wait"); err != nil || r.Code != 9 || !strings.Contains(r.Stderr, commit[:7]+" is refused by verify") {
			t.Errorf("reconcile on %s: %v %+v, want code 9 and that %.7s is refused", n, err, r, commit)
		}
	}
}
