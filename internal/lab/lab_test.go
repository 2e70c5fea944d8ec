package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

const testCluster = `
cluster "pair" {
  node "a" { address = "192.0.2.1" }
  node "b" { address = "192.0.2.2" }
}

vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 7
  version           = 3
  advert_interval   = "1s"
  priority          = { a = 150, b = 100 }
  preempt           = "immediate"
  addresses         = ["192.0.2.100/24"]
}
`

const testLab = `
segment "lan" {
  prefix = "192.0.2.0/24"
  nodes  = ["a", "b"]
}

host "client" {
  segment = "lan"
  address = "192.0.2.66"
}

serve "b" { body = "costs $5 and \"quotes\"\n" }
`

// folders returns a folder with a cluster and one with the programs that its lab runs.
func folders(t *testing.T) (dir, bin string) {
	t.Helper()
	dir, bin = t.TempDir(), t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hareconcile", "hareconcile-vrrpd"} {
		if err := os.Symlink(exe, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "cluster.hcl"), testCluster)
	write(t, filepath.Join(dir, "lab.hcl"), testLab)
	return dir, bin
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// up builds a lab that ends with the test.
func up(t *testing.T) (*Client, string) {
	t.Helper()
	nstest.Need(t, "root", "netns", "nginx", "git", "ssh-keygen")
	dir, bin := folders(t)
	c, err := Up(t.Context(), dir, Options{Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := Down(context.Background(), c.Name()); err != nil {
			t.Error(err)
		}
	})
	return c, dir
}

// sh runs a shell line on a host and returns its output and exit code.
func sh(t *testing.T, c *Client, host, line, input string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	code, err := c.Exec(t.Context(), Command{
		Host: host, Argv: []string{"sh", "-c", line}, Stdin: strings.NewReader(input), Stdout: &out, Stderr: &out,
	})
	if err != nil {
		t.Fatalf("exec %q on %s: %v", line, host, err)
	}
	return out.String(), code
}

// eventually polls until f returns "", which is otherwise what is still wrong.
func eventually(t *testing.T, f func() string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		wrong := f()
		if wrong == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(wrong)
		}
	}
}

func TestLab(t *testing.T) {
	c, dir := up(t)
	t.Run("exec keeps streams and exit code", func(t *testing.T) {
		var out, msg bytes.Buffer
		code, err := c.Exec(t.Context(), Command{
			Host: "a", Argv: []string{"sh", "-c", "cat; echo bad >&2; hostname; exit 7"},
			Stdin: strings.NewReader("in\n"), Stdout: &out, Stderr: &msg,
		})
		if err != nil || code != 7 || out.String() != "in\na\n" || msg.String() != "bad\n" {
			t.Errorf("exec = %d, %v with %q and %q, want 7, nil with \"in\\na\\n\" and \"bad\\n\"", code, err, &out, &msg)
		}
	})
	t.Run("exec says which host or program is missing", func(t *testing.T) {
		for _, x := range []Command{{Host: "c", Argv: []string{"true"}}, {Host: "a", Argv: []string{"no-such-thing"}}} {
			if _, err := c.Exec(t.Context(), x); err == nil {
				t.Errorf("exec %v gave no error", x.Argv)
			}
		}
	})
	t.Run("exec carries much in both directions", func(t *testing.T) {
		in := strings.Repeat("0123456789abcdef", 1<<16)
		if out, code := sh(t, c, "client", "cat", in); out != in || code != 0 {
			t.Errorf("cat of %d bytes gave %d bytes and code %d", len(in), len(out), code)
		}
	})
	t.Run("a signal is a signal", func(t *testing.T) {
		signals := make(chan os.Signal, 1)
		signals <- syscall.SIGINT
		code, err := c.Exec(t.Context(), Command{Host: "a", Argv: []string{"sleep", "60"}, Signals: signals})
		if err != nil || code != 128+int(syscall.SIGINT) {
			t.Errorf("exec = %d, %v, want 130", code, err)
		}
	})
	t.Run("a signal passes input that is not read", func(t *testing.T) {
		signals := make(chan os.Signal, 1)
		code, err := c.Exec(t.Context(), Command{
			Host: "a", Argv: []string{"sh", "-c", "echo ready; exec sleep 60"}, Signals: signals,
			Stdin: strings.NewReader(strings.Repeat("x", 4<<20)),
			Stdout: writerFunc(func(b []byte) (int, error) {
				signals <- syscall.SIGTERM
				return len(b), nil
			}),
		})
		if err != nil || code != 128+int(syscall.SIGTERM) {
			t.Errorf("exec = %d, %v, want 143", code, err)
		}
	})
	t.Run("a terminal is a terminal", func(t *testing.T) {
		var out bytes.Buffer
		code, err := c.Exec(t.Context(), Command{
			Host: "a", Argv: []string{"sh", "-c", "tty -s && stty size"}, Stdout: &out, TTY: true, Rows: 33, Cols: 77,
		})
		if err != nil || code != 0 || strings.TrimSpace(out.String()) != "33 77" {
			t.Errorf("exec = %d, %v with %q, want 33 77", code, err, &out)
		}
	})
	t.Run("web servers answer over the network, by name", func(t *testing.T) {
		eventually(t, func() string {
			out, code := sh(t, c, "client", "curl -s http://b/", "")
			if code != 0 || out != "costs $5 and \"quotes\"\n" {
				return fmt.Sprintf("curl = %d with %q", code, out)
			}
			return ""
		})
	})
	t.Run("nothing outside can be written", func(t *testing.T) {
		line := "touch /usr/leak /tmp/leak " + dir + "/leak; touch /run/own /etc/hareconcile/own /var/lib/hareconcile/own && echo fine"
		out, code := sh(t, c, "a", line, "")
		if code != 0 || strings.Count(out, "Read-only") != 3 {
			t.Errorf("touch = %d with %q, want three refusals and then success", code, out)
		}
		if out, _ := sh(t, c, "b", "ls /run/own /etc/hareconcile/own 2>&1 | grep -c 'No such'", ""); out != "2\n" {
			t.Errorf("host b sees what host a wrote")
		}
	})
	t.Run("files and sockets of a host are in reach", func(t *testing.T) {
		if b, err := c.ReadFile(t.Context(), "a", "/proc/thread-self/net/dev"); err != nil || !strings.Contains(string(b), "eth0") {
			t.Errorf("ReadFile = %q, %v, want the links of a", b, err)
		}
		if _, err := c.ReadFile(t.Context(), "a", "/no/such"); err == nil {
			t.Error("ReadFile of nothing gave no error")
		}
		if _, err := c.Dial(t.Context(), "a", "/run/no.sock"); err == nil {
			t.Error("Dial of nothing gave no error")
		}
	})
	t.Run("a cut host is out of reach and comes back", func(t *testing.T) { testCut(t, c) })
	t.Run("services are kept running", func(t *testing.T) { testServices(t, c) })
	t.Run("a push is a commit with the folder's content", func(t *testing.T) { testPush(t, c, dir) })
	t.Run("a signed push is one that git believes", func(t *testing.T) { testSignedPush(t, c) })
	t.Run("one folder is one lab", func(t *testing.T) {
		if _, err := Up(t.Context(), dir, Options{Bin: filepath.Dir(os.Args[0])}); err == nil {
			t.Error("a second Up gave no error")
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func testCut(t *testing.T, c *Client) {
	ask := "curl -s -o /dev/null --max-time 1 http://b/"
	if err := c.Cut(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if _, code := sh(t, c, "client", ask, ""); code == 0 {
		t.Error("a host that was cut off answers")
	}
	if err := c.Mend(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if _, code := sh(t, c, "client", ask, ""); code != 0 {
			return "a mended host does not answer"
		}
		return ""
	})
}

func testServices(t *testing.T, c *Client) {
	state := func() ServiceStatus {
		t.Helper()
		s, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v, ok := s.Service("a", "vrrpd")
		if !ok {
			t.Fatalf("status %+v has no vrrpd on a", s)
		}
		return v
	}
	first := state()
	if err := c.Kill(t.Context(), "a", "vrrpd", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if v := state(); v.State != "running" || v.Restarts != 1 || v.PID == first.PID || v.Last != "signal: killed" {
			return fmt.Sprintf("vrrpd is %+v after a kill, want it running again", v)
		}
		return ""
	})
	if err := c.Stop(t.Context(), "a", "vrrpd"); err != nil {
		t.Fatal(err)
	}
	if v := state(); v.State != "stopped" || v.PID != 0 || v.Last == "signal: killed" {
		t.Errorf("vrrpd is %+v after a stop", v)
	}
	if err := c.Kill(t.Context(), "a", "vrrpd", syscall.SIGKILL); err == nil {
		t.Error("killing a stopped service gave no error")
	}
	if err := c.Start(t.Context(), "a", "vrrpd"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if v := state(); v.State != "running" {
			return fmt.Sprintf("vrrpd is %+v after a start", v)
		}
		return ""
	})
	b, err := os.ReadFile(c.Log("a", "agent"))
	if err != nil || !strings.Contains(string(b), "started [agent -config /etc/hareconcile/agent.hcl]") {
		t.Errorf("the agent's log is %q, %v", b, err)
	}
}

func testPush(t *testing.T, c *Client, dir string) {
	write(t, filepath.Join(dir, "new.hcl"), "# new\n")
	if err := os.Remove(filepath.Join(dir, "lab.hcl")); err != nil {
		t.Fatal(err)
	}
	commit, err := c.Push(t.Context(), dir, "Add one file\n\nand remove another")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "lab.hcl"), testLab)
	list, err := git(t.Context(), c.Repository(), nil, "ls-tree", "--name-only", commit)
	if err != nil || list != "cluster.hcl\nnew.hcl" {
		t.Errorf("the commit holds %q, %v, want cluster.hcl and new.hcl", list, err)
	}
	if n, err := git(t.Context(), c.Repository(), nil, "rev-list", "--count", "main"); err != nil || n != "2" {
		t.Errorf("main has %q commits, %v, want 2", n, err)
	}
	eventually(t, func() string {
		if b, err := os.ReadFile(c.Log("a", "agent")); err != nil || !strings.Contains(string(b), "told of a push") {
			return fmt.Sprintf("the agent's log is %q, %v, and tells of no push", b, err)
		}
		return ""
	})
	out, code := sh(t, c, "b", "git -c safe.directory='*' --git-dir "+c.Repository()+" rev-parse main; touch "+c.Repository()+"/x", "")
	if !strings.HasPrefix(out, commit) || code == 0 {
		t.Errorf("host b sees %q with code %d, want the commit and no way to write", out, code)
	}
}

func TestDownAfterACrash(t *testing.T) {
	c, _ := up(t)
	r, err := readRecord(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	var inside map[int]uint64
	eventually(t, func() string {
		if inside = descendants(t, r.PID); len(inside) < 5 {
			return fmt.Sprintf("the lab consists of the processes %v, want agents, vrrpds and a web server", inside)
		}
		return ""
	})
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		for pid, start := range inside {
			if startOf(pid) == start {
				return fmt.Sprintf("process %d outlives the lab", pid)
			}
		}
		return ""
	})
	if _, err := c.Status(t.Context()); err == nil {
		t.Error("a lab that crashed answers")
	}
	if _, left := Names(); !strings.Contains(strings.Join(left, " "), c.Name()) {
		t.Errorf("what is left is %v, want %s among it", left, c.Name())
	}
	if found, err := Down(t.Context(), c.Name()); err != nil || !found {
		t.Errorf("Down = %v, %v, want true, nil", found, err)
	}
	if _, err := os.Stat(c.dir); !os.IsNotExist(err) {
		t.Errorf("the lab's folder is still there: %v", err)
	}
	if found, err := Down(t.Context(), c.Name()); err != nil || found {
		t.Errorf("second Down = %v, %v, want false, nil", found, err)
	}
}

// descendants returns the processes below pid with their start times.
func descendants(t *testing.T, pid int) map[int]uint64 {
	t.Helper()
	out := map[int]uint64{}
	todo := []int{pid}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		out[next] = startOf(next)
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", next))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range tasks {
			b, err := os.ReadFile(path)
			if err != nil {
				continue // a thread that ended meanwhile
			}
			for f := range strings.FieldsSeq(string(b)) {
				var child int
				if _, err := fmt.Sscan(f, &child); err == nil {
					todo = append(todo, child)
				}
			}
		}
	}
	return out
}
