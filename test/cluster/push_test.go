package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/test/scene"
)

// swap returns text with one piece of it replaced.
func swap(t *testing.T, text, from, to string) string {
	t.Helper()
	out := strings.Replace(text, from, to, 1)
	if out == text {
		t.Fatalf("%q is not in the cluster's text", from)
	}
	return out
}

// pushed pushes a cluster and waits until both nodes are converged on it.
func (s *story) pushed(t *testing.T, text, message string) {
	t.Helper()
	commit := s.push(t, text, message)
	s.text, s.commit = text, commit
	until(t, 60*time.Second, "convergence on "+message, func(ctx context.Context) error {
		return onAll(directors, func(n string) error { return s.converged(ctx, n) })
	})
}

func weightPushed(t *testing.T, s *story) {
	before := map[string]scene.Proxy{"ka1": s.proxy(t, "ka1"), "ka2": s.proxy(t, "ka2")}
	load := s.asks(t)
	s.pushed(t, swap(t, s.text, "weight  = 10", "weight  = 40"), "Give rs1 four times as much")
	if r := served(t, load); r.From("server1") == 0 {
		t.Errorf("the answers came from %v", r.Bodies)
	}
	for _, n := range directors {
		p := s.proxy(t, n)
		if p.Master.PID != before[n].Master.PID || p.Master.Reloads != before[n].Master.Reloads || p.Worker() != before[n].Worker() {
			t.Errorf("haproxy on %s is %+v, want no reload: it was %+v", n, p.Procs, before[n].Procs)
		}
		if v, ok := p.Server("app", "rs1"); !ok || v.Weight != 40 {
			t.Errorf("rs1 on %s is %+v (there: %v), want weight 40", n, v, ok)
		}
		if got := s.sh(t, n, "grep 'server rs1 172.25.254.110:80 ' "+managedFile); !strings.Contains(got, " weight 40 ") {
			t.Errorf("the file on %s says %q: a restart would forget the weight", n, got)
		}
	}
	s.noChanges(t, directors...)
}

const thirdServer = `

    server "rs3" {
      address = "172.25.254.130"
      port    = 80
      weight  = 10
    }
  }

  backend "api" {`

// serverPushed adds a server under load, and takes it out again while both agents are killed.
func serverPushed(t *testing.T, s *story) {
	without := s.text
	before := s.proxy(t, "ka1")
	load := s.asks(t)
	with := swap(t, s.text, "\n  }\n\n  backend \"api\" {", thirdServer)
	s.pushed(t, with, "Add rs3")
	until(t, 60*time.Second, "rs3 in service", func(ctx context.Context) error {
		return onAll(directors, func(n string) error {
			p, err := s.Proxy(ctx, n)
			if v, ok := p.Server("app", "rs3"); err == nil && (!ok || v.Operational != 2) {
				err = fmt.Errorf("rs3 on %s is %+v (there: %v)", n, v, ok)
			}
			return err
		})
	})
	after := s.proxy(t, "ka1")
	t.Logf("%d reload(s) brought rs3", after.Master.Reloads-before.Master.Reloads)
	if n := after.Master.Reloads - before.Master.Reloads; n > 1 || after.Master.Failed > 0 {
		t.Errorf("haproxy is %+v after one push, was %+v", after.Procs, before.Procs)
	}
	s.noChanges(t, directors...)
	plugins := s.plugins(t)
	s.push(t, without, "Remove rs3")
	s.commit = ""
	s.watch(t, "ka1", 400*time.Millisecond) // the agents are at work on it
	for _, n := range directors {
		s.killOne(t, n, "agent")
	}
	until(t, 60*time.Second, "the end of the killed agents' plugins", func(ctx context.Context) error {
		r, err := s.Exec(ctx, "ka1", "sh", "-c", "ps -o pid=,args= -p "+strings.Join(plugins, ","))
		if err == nil && strings.Contains(r.Stdout, "plugin-haproxy") {
			err = fmt.Errorf("there still is %s", r.Stdout)
		}
		return err
	})
	until(t, 60*time.Second, "rs3 out of service", func(ctx context.Context) error {
		return onAll(directors, func(n string) error {
			p, err := s.Proxy(ctx, n)
			if _, ok := p.Server("app", "rs3"); err == nil && ok {
				err = fmt.Errorf("%s still has rs3", n)
			}
			return errors.Join(err, s.converged(ctx, n))
		})
	})
	s.text = without
	if r := served(t, load); r.From("server3") == 0 {
		t.Errorf("the answers came from %v, want some from rs3", r.Bodies)
	}
}

// plugins returns the processes of the directors' plugins, one of each.
func (s *story) plugins(t *testing.T) []string {
	t.Helper()
	found := strings.Fields(s.sh(t, "ka1", "pgrep -f '^/.*hareconcile-plugin-haproxy|^hareconcile-plugin-haproxy'"))
	if len(found) != len(directors) {
		t.Fatalf("the plugins' processes are %v, want one for each agent", found)
	}
	return found
}

// setByHand uses the socket as people do at night.
func setByHand(t *testing.T, s *story) {
	before, _ := s.drifts(t, "ka1")
	if reply, err := s.TellProxy(t.Context(), "ka1", "set server app/rs2 weight 3"); err != nil || strings.TrimSpace(reply) != "" {
		t.Fatal(reply, err)
	}
	s.counted(t, "ka1", before, "app/rs2")
	if v, _ := s.proxy(t, "ka1").Server("app", "rs2"); v.Weight != 10 {
		t.Errorf("rs2 has weight %d after the repair, want 10", v.Weight)
	}
	if _, err := s.TellProxy(t.Context(), "ka1", "set server app/rs2 state drain"); err != nil {
		t.Fatal(err)
	}
	until(t, 60*time.Second, "a drain that is reported", func(ctx context.Context) error {
		st, err := s.Agent(ctx, "ka1")
		if err == nil && !strings.Contains(fmt.Sprint(st.Conflicts), "app/rs2") {
			err = fmt.Errorf("the conflicts are %v, want app/rs2 among them", st.Conflicts)
		}
		return err
	})
	if reply, err := s.TellProxy(t.Context(), "ka1", "show stat app 4 -1"); err != nil || !strings.Contains(reply, "DRAIN") {
		t.Errorf("the drain was undone: %s %v", reply, err)
	}
	if _, err := s.TellProxy(t.Context(), "ka1", "set server app/rs2 state ready"); err != nil {
		t.Fatal(err)
	}
}

// editedByHand edits the file on ka1, first with overwrite = false and then with true.
func editedByHand(t *testing.T, s *story) {
	had := s.sh(t, "ka1", "cat "+managedFile)
	reloads := s.proxy(t, "ka1").Master.Reloads
	load := s.asks(t)
	s.sh(t, "ka1", "sed -i 's/timeout server 50000ms/timeout server 3s/' "+managedFile)
	until(t, 60*time.Second, "an edit that is told of", func(ctx context.Context) error {
		st, err := s.Agent(ctx, "ka1")
		if err == nil && (st.Phase != control.Degraded || !strings.Contains(st.Message, "changed by hand")) {
			err = fmt.Errorf("the agent is %s: %s", st.Phase, st.Message)
		}
		return err
	})
	r, err := s.Exec(t.Context(), "ka1", "hareconcile", "plan", "-detailed-exitcode")
	if err != nil || r.Code == 0 || !strings.Contains(r.Stdout, "-     timeout server 3s") || !strings.Contains(r.Stdout, "overwrite = true") {
		t.Errorf("plan = %d, %v, want the edited line and what to do:\n%s%s", r.Code, err, r.Stdout, r.Stderr)
	}
	if got := s.sh(t, "ka1", "cat "+managedFile); got == had {
		t.Error("what somebody wrote is gone, and nobody allowed that")
	}
	s.pushed(t, swap(t, s.text, "  requires       =", "  overwrite      = true\n  requires       ="), "Let nobody edit the file")
	until(t, 60*time.Second, "the file as it was", func(ctx context.Context) error {
		b, err := s.ReadFile(ctx, "ka1", managedFile)
		if err == nil && string(b) != had {
			err = fmt.Errorf("the file is\n%s", b)
		}
		return err
	})
	if p := s.proxy(t, "ka1"); p.Master.Reloads != reloads {
		t.Errorf("the edit was never loaded, and undoing it took %d reloads", p.Master.Reloads-reloads)
	}
	before, _ := s.drifts(t, "ka1")
	s.sh(t, "ka1", "sed -i 's/timeout server 50000ms/timeout server 3s/' "+managedFile)
	s.counted(t, "ka1", before, managedFile)
	if got := s.sh(t, "ka1", "cat "+managedFile); got != had {
		t.Errorf("the file is\n%s", got)
	}
	served(t, load)
}
