// Package faults breaks pairs of real vrrpds in every way that an operator, a kernel and a
// network know, and prints what became of them. make soak has the full counts.
package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

func TestMain(m *testing.M) {
	vrrpdtest.Child()
	flag.Parse()
	// Those that run side by side wait most of the time; those that do not are a load.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	code := m.Run()
	table.print()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// A summary is the table of all figures, printed when the tests are over.
type summary struct {
	mu    sync.Mutex
	lines []string
}

var table summary

// figure tells a test's figure, in the log and in the table.
func figure(t *testing.T, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	t.Log(text)
	table.mu.Lock()
	defer table.mu.Unlock()
	table.lines = append(table.lines, fmt.Sprintf("%-44s %s", strings.TrimPrefix(t.Name(), "Test"), text))
}

func (s *summary) print() {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.lines)
	for _, l := range s.lines {
		fmt.Println("figure:", l)
	}
}

// programs are the vrrpds that the tests have built: figures are those of the program as it
// is shipped, not those of the race detector.
var programs struct {
	mu  sync.Mutex
	dir string
}

// built returns the path of a vrrpd of that version.
func built(version string) (string, error) {
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "faults-")
		if err != nil {
			return "", err
		}
		programs.dir = dir
	}
	path := filepath.Join(programs.dir, version)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	out, err := exec.Command("go", "build", "-ldflags", "-X github.com/hareconcile/hareconcile/internal/build.Version="+version,
		"-o", path, "../../cmd/hareconcile-vrrpd").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build vrrpd: %w\n%s", err, out)
	}
	return path, nil
}

const (
	ruler = 200 // priority of a
	heir  = 100 // priority of b
)

// A lan is two nodes that run one virtual router, and a host that does not belong there.
type lan struct {
	a, b     *vrrpdtest.Node
	stranger *nstest.NS
	bridge   *nstest.NS // ports p0 of a, p1 of b, p2 of the stranger
	interval time.Duration
}

const strangerAddr = "10.9.0.3"

// elected makes a lan and waits until a is MASTER.
func elected(t *testing.T, interval time.Duration) *lan {
	t.Helper()
	nstest.Need(t, "root", "netns", "nsenter", "ip", "go")
	program, err := built("one")
	if err != nil {
		t.Fatal(err)
	}
	l := newLAN(t, interval, program)
	l.start(t)
	return l
}

func newLAN(t *testing.T, interval time.Duration, program string) *lan {
	t.Helper()
	l := &lan{a: vrrpdtest.NewNode(t, "10.9.0.1"), b: vrrpdtest.NewNode(t, "10.9.0.2"), stranger: nstest.New(t), interval: interval}
	l.a.Program, l.b.Program = program, program
	l.bridge = nstest.Bridge(t,
		nstest.Host{NS: l.a.NS, Device: "eth0", Addresses: []string{l.a.Addr + "/24"}},
		nstest.Host{NS: l.b.NS, Device: "eth0", Addresses: []string{l.b.Addr + "/24"}},
		nstest.Host{NS: l.stranger, Device: "eth0", Addresses: []string{strangerAddr + "/24"}},
	)
	return l
}

func (l *lan) start(t *testing.T) {
	t.Helper()
	for _, n := range []*vrrpdtest.Node{l.a, l.b} {
		n.Start()
	}
	l.a.Configure(ruler, l.interval, l.b.Addr)
	l.b.Configure(heir, l.interval, l.a.Addr)
	l.settle(t)
}

// settle waits until a is MASTER and alone has the address.
func (l *lan) settle(t *testing.T) {
	t.Helper()
	l.a.WaitState("MASTER")
	l.b.WaitState("BACKUP")
	l.b.Eventually("the address to be off the backup", time.Second, func() bool { return !l.b.HasVIP() })
	if !l.a.HasVIP() {
		t.Fatal("the master has no address")
	}
}

// transitions is how often both nodes have changed state.
func (l *lan) transitions() [2]uint64 {
	return [2]uint64{l.a.Instance().Transitions, l.b.Instance().Transitions}
}

// status asks a node for everything.
func status(n *vrrpdtest.Node) *channel.Status {
	return n.Do(channel.Request{Query: &channel.Query{}})
}

// wait is for times at which nothing else tells what to do next.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// next is the next change of an address, which must come.
func next(t *testing.T, watches ...<-chan vrrpdtest.Change) vrrpdtest.Change {
	t.Helper()
	limit := time.After(20 * time.Second)
	other := watches[len(watches)-1]
	select {
	case c := <-watches[0]:
		return c
	case c := <-other:
		return c
	case <-limit:
		t.Fatal("the address did not change")
		return vrrpdtest.Change{}
	}
}

// phase is a random part of d.
func phase(d time.Duration) time.Duration { return rand.N(d) }

// spread is median and greatest of what was measured.
func spread(all []time.Duration) (median, most time.Duration) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2].Round(10 * time.Microsecond), all[len(all)-1].Round(10 * time.Microsecond)
}
