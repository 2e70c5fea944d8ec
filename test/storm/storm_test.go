// Package storm breaks servers by the thousand beside a checker and a pair of vrrpds, and
// prints what that cost. make soak has the full counts.
package storm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

func TestMain(m *testing.M) {
	vrrpdtest.Child()
	hosting()
	child()
	code := m.Run()
	table.print()
	if program.dir != "" {
		_ = os.RemoveAll(program.dir)
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
	table.lines = append(table.lines, fmt.Sprintf("%-34s %s", strings.TrimPrefix(t.Name(), "Test"), text))
}

func (s *summary) print() {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.lines)
	for _, l := range s.lines {
		fmt.Println("figure:", l)
	}
}

// program is the vrrpd as it is shipped, without detectors.
var program struct {
	dir  string
	once sync.Once
	err  error
}

func vrrpd(t *testing.T) string {
	t.Helper()
	program.once.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "storm-"); program.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(program.dir, "vrrpd"), "../../cmd/hareconcile-vrrpd").CombinedOutput()
		if err != nil {
			program.err = fmt.Errorf("build vrrpd: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return filepath.Join(program.dir, "vrrpd")
}

// crowd is how many servers there are.
func crowd() int { return nstest.Trials(300, 2000) }

// tcp is the check of most storms: one look a second, twice before it counts.
func tcp() spec.Check {
	return spec.Check{Type: "tcp", Interval: time.Second, Retry: 200 * time.Millisecond, Timeout: time.Second, Rise: 2, Fall: 2}
}

// TestAllServersGoDownAtOnce and come back.
func TestAllServersGoDownAtOnce(t *testing.T) {
	s := newStorm(t, 0)
	f := newFarm(t, s.ns, crowd())
	s.watch(f.addrs, tcp())
	s.await("up", len(f.addrs))
	began := time.Now()
	f.close(f.all())
	down := s.await("down", len(f.addrs))
	s.keepsServing(len(f.addrs), true)
	began2 := time.Now()
	f.open(f.all())
	up := s.await("up", len(f.addrs))
	s.keepsServing(len(f.addrs), false)
	figure(t, "%d servers: all down after %v, up again after %v; %s", len(f.addrs), down.Sub(began).Round(time.Millisecond), up.Sub(began2).Round(time.Millisecond), s.cost())
	s.calm()
}

// TestHalfTheServersFlap each second, and then stay.
func TestHalfTheServersFlap(t *testing.T) {
	s := newStorm(t, 0)
	f := newFarm(t, s.ns, crowd())
	s.watch(f.addrs, tcp())
	s.await("up", len(f.addrs))
	half := f.all()[:len(f.addrs)/2]
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	rounds := nstest.Trials(1, 15)
	for range rounds {
		f.close(half)
		<-tick.C
		f.open(half)
		<-tick.C
	}
	s.await("up", len(f.addrs))
	figure(t, "%d of %d servers, %d times: %d verdicts; %s", len(half), len(f.addrs), rounds, s.told, s.cost())
	s.calm()
}

// TestServersAcceptAndNeverAnswer takes all the places for a while; healthy ones are beside
// them, and stay up.
func TestServersAcceptAndNeverAnswer(t *testing.T) {
	s := newStorm(t, 0)
	n := crowd()
	good, bad := newFarm(t, s.ns, 50), newFarm(t, s.ns, 1)
	good.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	check := spec.Check{Type: "http", Interval: time.Second, Timeout: 500 * time.Millisecond, Rise: 1, Fall: 1, HTTP: &spec.HTTPCheck{Path: "/"}}
	addrs := slices.Concat(good.addrs, slices.Repeat([]netip.AddrPort{bad.addrs[0]}, n))
	s.watch(addrs, check)
	s.await("down", n)
	s.await("up", 50)
	s.more(2 * time.Second)
	if got := s.count("up"); got != 50 {
		t.Errorf("%d servers are up, want the 50 that answer", got)
	}
	figure(t, "%d that hang, 50 that answer; %s", n, s.cost())
	s.calm()
}

// TestDescriptorsRunOut: what cannot be measured is nobody's failure.
func TestDescriptorsRunOut(t *testing.T) {
	s := newStorm(t, 256)
	f := newFarm(t, s.ns, 100)
	s.watch(f.addrs, tcp())
	s.await("up", len(f.addrs))
	s.say("hog")
	before := s.ask().Stats
	s.more(time.Duration(nstest.Trials(1500, 20_000)) * time.Millisecond)
	after := s.ask().Stats
	if after.Unmeasured == before.Unmeasured {
		t.Error("all could be measured without descriptors")
	}
	if got := s.count("up"); got != len(f.addrs) || s.changes() != 0 {
		t.Errorf("%d servers are up and %d verdicts changed without descriptors, want %d and none", got, s.changes(), len(f.addrs))
	}
	s.say("free")
	f.close(f.all())
	s.await("down", len(f.addrs))
	figure(t, "100 servers, %d samples unmeasured; %s", after.Unmeasured-before.Unmeasured, s.cost())
	s.calm()
}

// TestAllStartAtOnce is a cluster's first minute. The first look comes within 5 s; were it a
// beat of the interval, await would give up before most have come.
func TestAllStartAtOnce(t *testing.T) {
	s := newStorm(t, 0)
	f := newFarm(t, s.ns, 100)
	n := nstest.Trials(2000, 10_000)
	check := tcp()
	check.Interval, check.Rise = 2*time.Minute, 1
	addrs := slices.Repeat(f.addrs, n/100)
	began := time.Now()
	s.watch(addrs, check)
	all := s.await("up", n)
	figure(t, "%d servers: all measured after %v; %s", n, all.Sub(began).Round(time.Millisecond), s.cost())
	s.calm()
}

// TestCheckerStops for 5 s, as a suspended host does: nobody fails, and nobody runs at once.
func TestCheckerStops(t *testing.T) {
	s := newStorm(t, 0)
	f := newFarm(t, s.ns, crowd())
	s.watch(f.addrs, tcp())
	s.await("up", len(f.addrs))
	trials := nstest.Trials(1, 5)
	for range trials {
		s.stop(5 * time.Second)
		s.more(1500 * time.Millisecond)
	}
	if got := s.count("up"); got != len(f.addrs) || s.changes() != 0 {
		t.Errorf("%d servers are up and %d verdicts changed, want %d and none", got, s.changes(), len(f.addrs))
	}
	after := s.ask()
	if n := after.Most.InFlight; n > len(f.addrs)/2 {
		t.Errorf("%d connections at once after a stop, want them spread", n)
	}
	figure(t, "%d servers, %d stops of 5 s: %d beats passed over; %s", len(f.addrs), trials, after.Stats.Skipped, s.cost())
	s.calm()
}

// TestTheNameServerIsGone: checks that are made by probes are bounded as well.
func TestTheNameServerIsGone(t *testing.T) {
	s := newStorm(t, 0)
	var server *net.UDPConn
	listen := func(addr string) {
		s.ns.Do(func() {
			at, err := net.ResolveUDPAddr("udp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if server, err = net.ListenUDP("udp", at); err != nil {
				t.Fatal(err)
			}
		})
		go agree(server)
	}
	listen("127.0.0.1:0")
	addr := netip.MustParseAddrPort(server.LocalAddr().String())
	check := spec.Check{
		Type: "dns", Interval: 2 * time.Second, Timeout: 500 * time.Millisecond, Rise: 1, Fall: 1,
		DNS: &spec.DNSCheck{Name: "example.org.", Query: "SOA"},
	}
	n := crowd()
	s.watch(slices.Repeat([]netip.AddrPort{addr}, n), check)
	s.await("up", n)
	began := time.Now()
	_ = server.Close()
	down := s.await("down", n)
	began2 := time.Now()
	listen(addr.String())
	up := s.await("up", n)
	_ = server.Close()
	figure(t, "%d zones: all down after %v, up again after %v; %s", n, down.Sub(began).Round(time.Millisecond), up.Sub(began2).Round(time.Millisecond), s.cost())
	s.calm()
}

// agree answers every question with nothing, which is an answer, until c is closed.
func agree(c *net.UDPConn) {
	b := make([]byte, 512)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if n >= 12 {
			b[2] |= 0x80 // QR: RFC 1035, section 4.1.1
			_, _ = c.WriteToUDPAddrPort(b[:n], from)
		}
	}
}
