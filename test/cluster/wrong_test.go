package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/lab"
	"github.com/hareconcile/hareconcile/internal/peer"
)

var nodeLine = regexp.MustCompile(`(?m)^  node "(\w+)" +\{ address = ("[^"]+") \}$`)

// wrongServers pushes to the reference lab, whose nodes take turns, while a client asks: a
// weight costs no request, and servers that answer nobody get no further than the backup.
func wrongServers(t *testing.T) {
	s := raise(t, "../../examples/lvs-dr", func(text string) string {
		text = nodeLine.ReplaceAllStringFunc(text, func(line string) string {
			m := nodeLine.FindStringSubmatch(line)
			return fmt.Sprintf("  node %q {\n    address = %s\n    key     = %q\n  }", m[1], m[2], peer.Public(lab.NodeKey("lab", m[1])))
		})
		return strings.Replace(strings.Replace(text, `"50%"`, `"100%"`, 1), "  rollout {\n", "  rollout {\n    min_healthy_time = \"2s\"\n    healthy_deadline = \"40s\"\n", 1)
	})
	t.Logf("settled after %s", s.settled(t).Round(100*time.Millisecond))
	good := func(ctx context.Context, commit string) error {
		return onAll(nodes, func(n string) error {
			st, err := s.Agent(ctx, n)
			if err == nil && (st.Self == nil || st.Self.Verified != commit) {
				err = fmt.Errorf("%s has not verified %.7s: %+v", n, commit, st.Rollout)
			}
			return err
		})
	}
	t.Run("a weight", func(t *testing.T) {
		load := s.Load(t.Context(), "client", "-address", vip+":80", "-rate", "20", "-count", "100000")
		commit := s.push(t, strings.Replace(s.text, "weight = 2", "weight = 3", 1), "Prefer rs1")
		took := until(t, 4*time.Minute, "a weight on all nodes", func(ctx context.Context) error {
			return errors.Join(good(ctx, commit), s.weights(ctx, 3, 1))
		})
		r, err := load.Stop()
		if err != nil || r.Failed > 0 {
			t.Errorf("%d of %d requests failed: %v, %v", r.Failed, r.Requests, r.Failures, err)
		}
		t.Logf("on all nodes after %v, 0 of %d requests failed", took.Round(100*time.Millisecond), r.Requests)
	})
	t.Run("wrong servers", func(t *testing.T) {
		load := s.Load(t.Context(), "client", "-address", vip+":80", "-rate", "20", "-count", "100000")
		bad := strings.NewReplacer("172.25.254.110\", weight", "172.25.254.111\", weight", "172.25.254.120\", weight", "172.25.254.121\", weight").Replace(s.text)
		commit := s.push(t, bad, "Mistype addresses")
		took := until(t, 4*time.Minute, "a quarantine on both directors", func(ctx context.Context) error {
			return onAll(directors, func(n string) error {
				st, err := s.Agent(ctx, n)
				if err == nil && (len(st.Quarantined) == 0 || st.Quarantined[0].Commit != commit || st.Rollout != nil) {
					err = fmt.Errorf("%s has %+v in quarantine and rolls out %+v", n, st.Quarantined, st.Rollout)
				}
				return err
			})
		})
		r, err := load.Stop()
		if err != nil || r.Failed > 0 {
			t.Errorf("%d of %d requests failed: %v, %v", r.Failed, r.Requests, r.Failures, err)
		}
		st, err := s.Agent(t.Context(), "ka1")
		if err != nil || !strings.HasPrefix(st.Quarantined[0].Reason, "ka2 has quarantined it: not verified within 40s: virtual_server.http") {
			t.Errorf("ka1 says %+v, %v", st.Quarantined, err)
		}
		if err := errors.Join(s.holder(t.Context(), "ka1"), s.weights(t.Context(), 3, 1)); err != nil {
			t.Errorf("the master was touched: %v", err)
		}
		t.Logf("undone after %v: %s; 0 of %d requests failed", took.Round(100*time.Millisecond), st.Quarantined[0].Reason, r.Requests)
	})
	t.Run("a fix", func(t *testing.T) {
		commit := s.push(t, s.text, "Bring it back")
		took := until(t, 4*time.Minute, "the fix on all nodes", func(ctx context.Context) error {
			return errors.Join(good(ctx, commit), s.weights(ctx, 2, 1))
		})
		t.Logf("on all nodes after %v", took.Round(100*time.Millisecond))
	})
}
