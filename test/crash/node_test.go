package crash_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/gitsource/gittest"
	"github.com/hareconcile/hareconcile/internal/nstest"
)

// A node is a host in a namespace, with an agent that is started and ended, and a vrrpd.
type node struct {
	t     *testing.T
	story story
	ns    *nstest.NS
	dir   string
	repo  gittest.Repo
	agent *exec.Cmd
	ended chan error // of the agent
	log   *os.File
	now   string // the definition that is in force
	lives map[string]string
	where string // the agent was ended last
	lost  lost
}

// lost counts the times that an address went.
type lost struct {
	mu sync.Mutex
	n  int
}

// patience bounds every wait.
const patience = time.Minute

func newNode(t *testing.T, s story) *node {
	n := &node{t: t, story: s, ns: nstest.New(t), dir: t.TempDir(), repo: gittest.New(t), lives: map[string]string{}}
	nstest.Bridge(t, nstest.Host{NS: n.ns, Device: "eth0", Addresses: []string{"172.25.254.10/24"}})
	first := n.commit(s.old)
	n.write("agent.hcl", fmt.Sprintf(`node_name   = %q
data_dir    = "%[2]s/data"
socket      = "%[2]s/run/agent.sock"
vrrp_socket = "%[2]s/run/vrrpd.sock"

source "git" "primary" {
  url      = %q
  ref      = { branch = "main" }
  interval = "1h"
}

verify { trusted_from = %q }

haproxy { folders = ["%[2]s"] }
`, s.node, n.dir, n.repo.Dir, first))
	log, err := os.Create(filepath.Join(n.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	n.log = log
	t.Cleanup(func() {
		_ = log.Close()
		if t.Failed() {
			t.Logf("%s; log:\n%s", n.where, tail([]byte(read(n.dir, "log"))))
		}
	})
	n.startVRRPD()
	if s.prepare != nil {
		s.prepare(n)
	}
	n.start()
	t.Cleanup(n.kill)
	n.settled(first)
	n.lives[s.old] = n.story.live(n)
	if s.keep != "" {
		n.watch()
	}
	n.run(s.new)
	n.lives[s.new] = n.story.live(n)
	if n.lives[s.old] == n.lives[s.new] {
		t.Fatalf("both definitions lead to %s", n.lives[s.old])
	}
	return n
}

// run pushes a definition and waits until it is in force.
func (n *node) run(text string) {
	n.t.Helper()
	commit := n.commit(text)
	n.fetch()
	n.settled(commit)
}

func (n *node) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) commit(text string) string {
	n.t.Helper()
	n.now = text
	return n.repo.CommitFile("cluster.hcl", strings.ReplaceAll(text, "WORK", n.dir))
}

// startVRRPD starts a vrrpd where the node takes part in the election.
func (n *node) startVRRPD() {
	n.t.Helper()
	if err := os.MkdirAll(filepath.Join(n.dir, "run"), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if n.story.node != "ka1" {
		return
	}
	cmd := n.ns.Cmd(filepath.Join(bin, "hareconcile-vrrpd"), "-lock", n.dir+"/run/vrrpd.lock", "-socket", n.dir+"/run/vrrpd.sock", "-state", n.dir+"/run/vrrpd.state")
	cmd.Stdout, cmd.Stderr = n.log, n.log
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	n.until("vrrpd listens", func() error { _, err := os.Stat(filepath.Join(n.dir, "run/vrrpd.sock")); return err })
}

func (n *node) start() {
	n.t.Helper()
	n.agent = n.ns.Cmd(filepath.Join(bin, "hareconcile"), "agent", "-config", filepath.Join(n.dir, "agent.hcl"))
	n.agent.Stdout, n.agent.Stderr = n.log, n.log
	if err := n.agent.Start(); err != nil {
		n.t.Fatal(err)
	}
	cmd, ended := n.agent, make(chan error, 1)
	n.ended = ended
	go func() { ended <- cmd.Wait() }()
}

// vrrpd waits until vrrpd is master, and returns what it runs.
func (n *node) vrrpd() string {
	n.t.Helper()
	config := ""
	n.until("vrrpd is master", func() error {
		c, err := channel.Dial(n.t.Context(), filepath.Join(n.dir, "run/vrrpd.sock"))
		if err != nil {
			return err
		}
		defer c.Close()
		r, err := c.Do(n.t.Context(), channel.Request{Query: &channel.Query{}})
		if err != nil {
			return err
		}
		if len(r.Status.Instances) != 1 || r.Status.Instances[0].State != "MASTER" {
			return fmt.Errorf("vrrpd has %+v", r.Status.Instances)
		}
		b, err := json.Marshal(r.Status.Config)
		config = string(b)
		return err
	})
	return config
}

// kill ends the agent, if it has not ended.
func (n *node) kill() {
	_ = n.agent.Process.Kill()
	n.wait()
}

func (n *node) wait() {
	n.t.Helper()
	select {
	case err := <-n.ended:
		n.ended <- err // whoever asks again
	case <-time.After(patience):
		n.t.Fatal("the agent does not end")
	}
}

// fetch makes the agent look at its source.
func (n *node) fetch() {
	n.t.Helper()
	if err := n.agent.Process.Signal(syscall.SIGHUP); err != nil {
		n.t.Fatalf("%v: %v", err, n.agent.ProcessState)
	}
}

// until waits for what an agent does; nothing tells when it is done but looking.
func (n *node) until(what string, f func() error) {
	n.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	over := time.After(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-over:
			n.t.Fatalf("waited in vain until %s: %v", what, err)
		}
	}
}

// good returns the commit of the last good revision on disk.
func (n *node) good() string {
	var s struct {
		Revision struct {
			Commit string `json:"commit"`
		} `json:"revision"`
	}
	_ = json.Unmarshal([]byte(read(n.dir, "data/good.json")), &s)
	return s.Revision.Commit
}

// clean reports an open journal.
func (n *node) clean() error {
	if text := read(n.dir, "data/journal.json"); text != "" {
		return fmt.Errorf("the journal has %s", text)
	}
	return nil
}

// settled waits until a commit is the last good one.
func (n *node) settled(commit string) {
	n.t.Helper()
	n.until("the revision is good", func() error {
		if g := n.good(); g != commit {
			return fmt.Errorf("the last good revision is %.7s, want %.7s", g, commit)
		}
		return n.clean()
	})
}

// converged waits until the agent has done what it can, and returns the revision in force.
func (n *node) converged() string {
	n.t.Helper()
	commit := ""
	n.until("the agent is done", func() error {
		c, err := control.Dial(filepath.Join(n.dir, "run/agent.sock"))
		if err != nil {
			return err
		}
		st, err := c.Status(n.t.Context())
		if err != nil {
			return err
		}
		if commit = st.Revision.Commit; st.Phase != control.Converged {
			return fmt.Errorf("the agent is %s: %s", st.Phase, st.Message)
		}
		return n.clean()
	})
	return commit
}

// attempt pushes the other definition and ends the agent as its operation number after
// returns; 0 never.
func (n *node) attempt(after int) trace {
	n.t.Helper()
	from, to := n.now, n.story.old
	if from == n.story.old {
		to = n.story.new
	}
	commit := n.commit(to)
	before := n.good()
	outcome := follow(n.t, n.agent.Process.Pid, after)
	n.fetch()
	n.until("the attempt is over", func() error {
		select {
		case err := <-n.ended:
			n.ended <- err
			return nil
		default:
		}
		if n.good() != commit {
			return fmt.Errorf("the last good revision is %.7s, want %.7s", n.good(), commit)
		}
		return n.clean()
	})
	n.kill()
	got := outcome()
	n.where = "after everything"
	if got.Killed {
		n.where = fmt.Sprintf("after operation %d, %s", after, got.Ops[after-1])
	}
	away := n.repo.Dir + ".away"
	if err := os.Rename(n.repo.Dir, away); err != nil {
		n.t.Fatal(err)
	}
	n.start()
	// What was under way, such as a reload, may end after the agent has looked.
	n.until("the node is at the old definition or at the new one", func() error {
		now, live := n.converged(), n.story.live(n)
		if now == commit && live == n.lives[to] || now == before && live == n.lives[from] {
			return nil
		}
		return fmt.Errorf("at %.7s (from %.7s to %.7s) it has\n%s", now, before, commit, live)
	})
	if err := os.Rename(away, n.repo.Dir); err != nil {
		n.t.Fatal(err)
	}
	n.fetch()
	n.settled(commit)
	n.until("live is what the source wants", func() error {
		if live := n.story.live(n); live != n.lives[to] {
			return fmt.Errorf("live is\n%s\nwant\n%s", live, n.lives[to])
		}
		return nil
	})
	n.lost.mu.Lock()
	defer n.lost.mu.Unlock()
	if n.lost.n > 0 {
		n.t.Fatalf("ended %s: %s went %d times", n.where, n.story.keep, n.lost.n)
	}
	return got
}

// watch counts how often the address goes that both definitions have, by the kernel's word.
func (n *node) watch() {
	n.t.Helper()
	cmd := n.ns.Cmd("ip", "-o", "monitor", "address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	done := make(chan struct{}) // closed when the monitor has ended
	go func() {
		defer close(done)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			if line := sc.Text(); strings.HasPrefix(line, "Deleted") && strings.Contains(line, " "+n.story.keep+"/") {
				n.lost.mu.Lock()
				n.lost.n++
				n.lost.mu.Unlock()
			}
		}
	}()
	n.t.Cleanup(func() { _ = cmd.Process.Kill(); <-done; _ = cmd.Wait() })
}
