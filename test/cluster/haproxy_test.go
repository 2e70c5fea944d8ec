package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/test/scene"
)

const (
	vip6        = "2001:db8:fe::100"
	managedFile = "/etc/haproxy/hareconcile.d/50-hareconcile.cfg"
	usersFile   = "/etc/haproxy/haproxy.cfg"
)

// usersOwn is what the user's haproxy.cfg has beside what the lab puts there: something that
// serves, and white space that nobody would write again.
const usersOwn = `
# mine
frontend   mine
	bind	127.0.0.1:8404
	http-request return status 200 content-type text/plain string "mine"  
`

// TestHAProxyLab is the story of the haproxy pair of examples/haproxy, with Debian's haproxy,
// agents and plugins as they are shipped. Every chapter leaves ka1 with the address.
func TestHAProxyLab(t *testing.T) {
	t.Parallel()
	nstest.Need(t, "root", "netns", "nginx", "git", "haproxy", "curl", "pgrep", "killall")
	s := raise(t, "../../examples/haproxy", func(text string) string {
		// What is lost is found, and the address back, within the story's time.
		return strings.NewReplacer(`delay = "30s"`, `delay = "1s"`, `interval = "1s"`, "interval = \"400ms\"\n  timeout  = \"300ms\"", `inter = "1s"`, `inter = "400ms"`).Replace(text)
	})
	users := s.userOwns(t)
	s.sh(t, "client", "ip address add 2001:db8:fe::66/64 dev eth0 nodad")
	t.Logf("calm after %s", s.calm(t).Round(100*time.Millisecond))
	for _, chapter := range []struct {
		name string
		play func(*testing.T, *story)
	}{
		{"a bare pair has one managed file and serves both families", bareBegin},
		{"a stopped haproxy loses the address", proxyStops},
		{"a frozen haproxy loses the address, while killall -0 says that it is well", proxyFreezes},
		{"a haproxy that drains loses the address, and keeps its connection", proxyDrains},
		{"backends lost on one node move the address, and lost on both leave it with someone", backendsLost},
		{"a weight alone is a runtime command and no reload", weightPushed},
		{"a new server costs no request, and neither does an agent that is killed meanwhile", serverPushed},
		{"a value set by hand on the socket is drift and mended, a drain is left", setByHand},
		{"an edit by hand of the managed file is shown, kept, and undone where that is wanted", editedByHand},
	} {
		if !t.Run(chapter.name, func(t *testing.T) { chapter.play(t, s); s.calm(t) }) && t.Context().Err() != nil {
			return
		}
	}
	for _, n := range directors {
		if b, err := s.ReadFile(t.Context(), n, usersFile); err != nil || string(b) != users {
			t.Errorf("the user's %s on %s is %q, %v, want it as it was: %q", usersFile, n, b, err, users)
		}
		if got := s.sh(t, n, "curl -s http://127.0.0.1:8404/"); got != "mine" {
			t.Errorf("the user's own frontend on %s says %q", n, got)
		}
	}
}

// userOwns gives the directors' haproxy something of the user's own, and returns the file.
func (s *story) userOwns(t *testing.T) string {
	t.Helper()
	for _, n := range directors {
		if r, err := s.ExecInput(t.Context(), usersOwn, n, "sh", "-c", "cat >>"+usersFile); err != nil || r.Code != 0 {
			t.Fatal(r, err)
		}
		if err := errors.Join(s.Stop(t.Context(), n, "haproxy"), s.Start(t.Context(), n, "haproxy")); err != nil {
			t.Fatal(err)
		}
	}
	b, err := s.ReadFile(t.Context(), "ka1", usersFile)
	if err != nil || !strings.HasSuffix(string(b), usersOwn) {
		t.Fatalf("%s is %q, %v", usersFile, b, err)
	}
	return string(b)
}

// calm waits until both agents are converged, all trackers are up and ka1 has the addresses.
func (s *story) calm(t *testing.T) time.Duration {
	t.Helper()
	return until(t, 60*time.Second, "a calm pair", func(ctx context.Context) error {
		return errors.Join(
			onAll(directors, func(n string) error {
				return errors.Join(s.converged(ctx, n), s.tracks(ctx, n, "haproxy", reconcile.Up), s.tracks(ctx, n, "backends", reconcile.Up))
			}),
			s.holder(ctx, "ka1"),
		)
	})
}

// tracks returns an error unless a node's tracker has a verdict.
func (s *story) tracks(ctx context.Context, node, tracker string, want reconcile.Verdict) error {
	st, err := s.Agent(ctx, node)
	if err != nil {
		return err
	}
	for _, k := range st.Trackers {
		if k.Name == tracker && k.Verdict == want {
			return nil
		}
	}
	return fmt.Errorf("the trackers of %s are %+v, want %s %s", node, st.Trackers, tracker, want)
}

// asks starts a client's load on the address.
func (s *story) asks(t *testing.T) *scene.Load {
	t.Helper()
	return s.Load(t.Context(), "client", "-address", vip+":80", "-rate", "100", "-for", "2m", "-timeout", "1s")
}

// served ends a load during which nothing may be lost.
func served(t *testing.T, load *scene.Load) scene.Report {
	t.Helper()
	r, err := load.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed > 0 || r.OK == 0 {
		t.Errorf("%d of %d requests were lost: %v", r.Failed, r.Requests, r.Failures)
	}
	return r
}

// moved waits until ka2 has both addresses and checks that the client is served there.
func (s *story) moved(t *testing.T, load *scene.Load) {
	t.Helper()
	took := until(t, 60*time.Second, "the address on ka2", func(ctx context.Context) error {
		got, err := s.Holders(ctx, vip6)
		if err == nil && (len(got) != 1 || got[0] != "ka2") {
			err = fmt.Errorf("%s is on %v, want it on ka2", vip6, got)
		}
		return errors.Join(s.holder(ctx, "ka2"), err)
	})
	if err := s.answers(t.Context(), vip, "["+vip6+"]"); err != nil {
		t.Error(err)
	}
	s.watch(t, "ka2", 1500*time.Millisecond) // what was asked before has its answer or none by then
	r, err := load.Stop()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("moved after %v; the client waited %.0f ms; %d of %d requests failed",
		took.Round(10*time.Millisecond), r.LongestGap, r.Failed, r.Requests)
	if r.OK == 0 || r.LongestGap > 500 && r.GapAt+r.LongestGap > r.Length-500 {
		t.Errorf("the client's report is %+v, want answers again", r)
	}
}

// answers returns an error unless each address serves a page.
func (s *story) answers(ctx context.Context, addresses ...string) error {
	for _, a := range addresses {
		out, err := s.Output(ctx, "client", "curl", "-s", "-g", "-m", "2", "http://"+a+"/")
		if err != nil || !strings.HasPrefix(out, "server") {
			return fmt.Errorf("http://%s/ says %q: %w", a, out, err)
		}
	}
	return nil
}

// proxy returns what a node's haproxy consists of.
func (s *story) proxy(t *testing.T, node string) scene.Proxy {
	t.Helper()
	p, err := s.Proxy(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// bareBegin looks at what the first revision made of a haproxy that knew nothing of it.
func bareBegin(t *testing.T, s *story) {
	s.noChanges(t, directors...)
	if err := s.answers(t.Context(), vip, "["+vip6+"]"); err != nil {
		t.Error(err)
	}
	if got := s.sh(t, "client", "curl -s http://"+vip+"/api/x"); got != "api - 172.25.254.110\n" {
		t.Errorf("/api/x says %q", got)
	}
	for _, n := range directors {
		if p := s.proxy(t, n); p.Master.Reloads != 1 || p.Master.Failed != 0 || len(p.Workers) != 1 {
			t.Errorf("haproxy on %s is %+v, want one reload and one worker", n, p.Procs)
		}
	}
	schema, err := os.ReadFile("../../examples/haproxy/haproxy.schema.json")
	if says := s.sh(t, "ka1", "hareconcile-plugin-haproxy -describe"); err != nil || says != string(schema) {
		t.Errorf("the plugin describes itself as %s\nand the example has %s (%v)", says, schema, err)
	}
}

func proxyStops(t *testing.T, s *story) {
	load := s.asks(t)
	if err := s.Stop(t.Context(), "ka1", "haproxy"); err != nil {
		t.Fatal(err)
	}
	s.moved(t, load)
	if err := s.Start(t.Context(), "ka1", "haproxy"); err != nil {
		t.Fatal(err)
	}
}

func proxyFreezes(t *testing.T, s *story) {
	worker := s.proxy(t, "ka1").Worker()
	load := s.asks(t)
	s.sh(t, "ka1", fmt.Sprintf("kill -STOP %d", worker))
	s.moved(t, load)
	s.sh(t, "ka1", fmt.Sprintf("killall -0 haproxy && kill -0 %d && exec 3<>/dev/tcp/172.25.254.100/80", worker))
	s.sh(t, "ka1", fmt.Sprintf("kill -CONT %d", worker))
}

// proxyDrains lets haproxy end in peace while a client's request is under way.
func proxyDrains(t *testing.T, s *story) {
	p := s.proxy(t, "ka1")
	defer s.Hold(t.Context(), "client", vip)()
	until(t, 5*time.Second, "a request under way", func(ctx context.Context) error {
		n, err := s.Connections(ctx, "ka1")
		if err == nil && n != 1 {
			err = fmt.Errorf("haproxy has %d connections", n)
		}
		return err
	})
	load := s.asks(t)
	s.sh(t, "ka1", fmt.Sprintf("kill -USR1 %d", p.Master.PID))
	s.moved(t, load)
	s.sh(t, "ka1", fmt.Sprintf("kill -0 %d && kill -0 %d", p.Master.PID, p.Worker()))
	if err := errors.Join(s.Stop(t.Context(), "ka1", "haproxy"), s.Start(t.Context(), "ka1", "haproxy")); err != nil {
		t.Fatal(err)
	}
}

// backendsLost takes the web servers from ka1, then from both.
func backendsLost(t *testing.T, s *story) {
	load := s.asks(t)
	s.sh(t, "ka1", "ip route add unreachable 172.25.254.110 && ip route add unreachable 172.25.254.120")
	s.moved(t, load)
	for _, host := range []string{"rs1", "rs2"} {
		if err := s.Stop(t.Context(), host, web); err != nil {
			t.Fatal(err)
		}
	}
	until(t, 60*time.Second, "no backends anywhere, and the address back", func(ctx context.Context) error {
		return errors.Join(s.tracks(ctx, "ka1", "backends", reconcile.Down), s.tracks(ctx, "ka2", "backends", reconcile.Down), s.holder(ctx, "ka1"))
	})
	s.watch(t, "ka1", 2*time.Second) // many adverts
	if out := s.sh(t, "client", "curl -s -o /dev/null -w '%{http_code}' http://"+vip+"/"); out != "503" {
		t.Errorf("the address answers %s, want haproxy's 503", out)
	}
	s.noChanges(t, directors...)
	s.sh(t, "ka1", "ip route del unreachable 172.25.254.110 && ip route del unreachable 172.25.254.120")
	for _, host := range []string{"rs1", "rs2"} {
		if err := s.Start(t.Context(), host, web); err != nil {
			t.Fatal(err)
		}
	}
}
