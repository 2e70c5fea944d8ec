package storm

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// A storm is a checker in a namespace, with a pair of vrrpds beside it.
type storm struct {
	t      *testing.T
	ns     *nstest.NS
	pair   *pair
	cmd    *exec.Cmd
	orders *json.Encoder
	words  chan word // closed by the reader at the child's end
	finish func() error

	verdicts map[string]string
	changed  int // verdicts since the last await
	told     int // verdicts in all
	idle     resources
	used     time.Duration // of a processor, until watch
	since    time.Time
}

// newStorm starts a checker with that limit of descriptors, 0 for the usual one.
func newStorm(t *testing.T, limit int) *storm {
	t.Helper()
	nstest.Need(t, "root", "netns", "nsenter", "ip", "go")
	s := &storm{t: t, ns: nstest.New(t), verdicts: map[string]string{}, words: make(chan word, 4096)} // room for a storm
	s.pair = newPair(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = s.ns.Cmd(exe)
	s.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", childEnv, limit), "GORACE=atexit_sleep_ms=0")
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.orders = json.NewEncoder(in)
	ended := make(chan struct{})
	go func() { // ends with the child
		defer close(ended)
		defer close(s.words)
		for d := json.NewDecoder(out); ; {
			var w word
			if d.Decode(&w) != nil {
				return
			}
			s.words <- w
		}
	}()
	s.finish = sync.OnceValue(func() error {
		_ = in.Close()
		for range s.words {
		}
		<-ended
		return s.cmd.Wait()
	})
	t.Cleanup(func() { _ = s.finish() }) // its context has ended it
	s.warmUp()
	return s
}

// warmUp lets the checker run once, so that what it always has is there.
func (s *storm) warmUp() {
	s.t.Helper()
	nobody := netip.MustParseAddrPort("127.0.0.1:1")
	s.watch([]netip.AddrPort{nobody}, spec.Check{Type: "tcp", Interval: 50 * time.Millisecond, Timeout: time.Second, Rise: 1, Fall: 1})
	s.await("down", 1)
	s.say("calm")
	for s.ask().Stats.Targets > 0 {
	}
	s.idle = s.ask().Now
	s.verdicts, s.changed, s.told = map[string]string{}, 0, 0
}

func (s *storm) order(o order) {
	s.t.Helper()
	if err := s.orders.Encode(o); err != nil {
		s.t.Fatal(err)
	}
}

// say gives an order of one word.
func (s *storm) say(word string) {
	s.t.Helper()
	s.order(order{Word: word})
}

// watch checks servers.
func (s *storm) watch(addrs []netip.AddrPort, c spec.Check) {
	s.t.Helper()
	s.used, s.since = cpu(s.t, s.cmd.Process.Pid), time.Now()
	s.order(order{Addrs: addrs, Check: &c})
}

// take takes one word, and reports whether one came in time.
func (s *storm) take(limit <-chan time.Time) (w word, ok bool) {
	s.t.Helper()
	select {
	case w, ok = <-s.words:
		if !ok {
			s.t.Fatal("the checker is gone")
		}
		if w.Ref != "" {
			s.verdicts[w.Ref] = w.Verdict
			s.changed++
			s.told++
		}
		return w, true
	case <-limit:
		return word{}, false
	}
}

// count is how many servers have that verdict.
func (s *storm) count(verdict string) (n int) {
	for _, v := range s.verdicts {
		if v == verdict {
			n++
		}
	}
	return n
}

// await waits until so many servers have that verdict and returns when the last one got it.
func (s *storm) await(verdict string, n int) (last time.Time) {
	s.t.Helper()
	limit := time.After(40 * time.Second)
	for s.count(verdict) != n {
		w, ok := s.take(limit)
		if !ok {
			s.t.Fatalf("after 40 s %d servers are %s, want %d: %+v", s.count(verdict), verdict, n, s.ask())
		}
		last = w.At
	}
	s.changed = 0
	return last
}

// changes is how many verdicts there were since the last await.
func (s *storm) changes() int { return s.changed }

// more lets the storm go on for so long.
func (s *storm) more(d time.Duration) {
	s.t.Helper()
	limit := time.After(d)
	for ok := true; ok; _, ok = s.take(limit) {
	}
}

// ask asks for the figures.
func (s *storm) ask() figures {
	s.t.Helper()
	s.say("tell")
	for limit := time.After(20 * time.Second); ; {
		w, ok := s.take(limit)
		if !ok {
			s.t.Fatal("no figures in 20 s")
		}
		if w.Figures != nil {
			return *w.Figures
		}
	}
}

// stop stops the checker for so long.
func (s *storm) stop(d time.Duration) {
	s.t.Helper()
	for _, step := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := s.cmd.Process.Signal(step); err != nil {
			s.t.Fatal(err)
		}
		if step == syscall.SIGSTOP {
			s.more(d)
		}
	}
}

// cost says what the storm took of this machine since watch.
func (s *storm) cost() string {
	s.t.Helper()
	f := s.ask()
	share := 100 * float64(cpu(s.t, s.cmd.Process.Pid)-s.used) / float64(time.Since(s.since))
	return fmt.Sprintf("%.0f %% of a processor, %d MiB, at most %d descriptors, %d goroutines, %d in flight; begun late p50 %v p99 %v max %v",
		share, f.Most.RSS>>10, f.Most.Descriptors, f.Most.Routines, f.Most.InFlight,
		f.Stats.Lateness.Quantile(0.5), f.Stats.Lateness.Quantile(0.99), f.Stats.MaxLateness.Round(time.Millisecond))
}

// The bounds of a checker whatever happens.
const (
	mostDescriptors = 1024 + 40
	mostRoutines    = 2*256 + 40 // a probe may have one that watches its context
	mostMemory      = 256 << 10  // KiB; the race detector has its share
)

// calm ends the checks: what they used is bounded and given back, and the pair beside them
// has noticed nothing.
func (s *storm) calm() {
	s.t.Helper()
	s.say("calm")
	var f figures
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		f = s.ask()
		if f.Stats.InFlight+f.Stats.Probes == 0 && f.Now.Descriptors <= s.idle.Descriptors && f.Now.Routines <= s.idle.Routines {
			break
		}
		if time.Now().After(deadline) {
			s.t.Errorf("afterwards %+v, before %+v", f.Now, s.idle)
			break
		}
	}
	if m := f.Most; m.Descriptors > mostDescriptors || m.Routines > mostRoutines || m.RSS > mostMemory {
		s.t.Errorf("at most %+v", m)
	}
	took := cpu(s.t, s.cmd.Process.Pid)
	if err := s.finish(); err != nil {
		s.t.Errorf("the checker ended with %v", err)
	}
	s.pair.unmoved(took)
}
