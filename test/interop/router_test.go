package interop

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A program is somebody's VRRP on a host of the segment.
type program interface {
	start()
	stop() // and let it resign
	kill() // without a word
	// states is what the program itself says of each virtual router: MASTER, BACKUP or FAULT.
	states() map[uint8]string
	// held are the addresses that the host answers for, as the kernel has it.
	held() map[netip.Addr]bool
}

// A plan is what all programs can be told, in no program's words.
type plan struct {
	version  int
	family   string // resource.IPv4 or resource.IPv6
	unicast  bool
	interval time.Duration
	priority uint8
	routers  []virtual

	neverPreempt bool
	preemptDelay time.Duration
	password     string // of version 2
	message      bool   // version 3 checksums without the pseudo-header
	group        bool   // the routers move together
	mac          bool   // addresses on a macvlan with the virtual router's MAC; FRR knows nothing else
	auth         string // a resource.Auth mode

	host  int          // number on the segment; the last part of addresses
	own   netip.Addr   // where its adverts come from
	peers []netip.Addr // where the others' do
}

// A virtual is one virtual router of a plan.
type virtual struct {
	device string
	vrid   uint8
	vips   []netip.Prefix
}

const vrid = 7

// What our program counts apart of adverts that it accepts.
const (
	differs     = "address_list_mismatch"
	messageOnly = "checksum_message_only"
)

// usual is the virtual router of most cases.
func usual(family string) virtual {
	v := virtual{device: "eth0", vrid: vrid, vips: []netip.Prefix{netip.MustParsePrefix("10.9.0.100/24")}}
	if family == resource.IPv6 {
		v.vips = []netip.Prefix{netip.MustParsePrefix("fe80::9:100/64"), netip.MustParsePrefix("2001:db8:9::100/64")}
	}
	return v
}

// skew is how long a backup waits after a resignation (RFC 3768 and 9568, section 6.1).
func (p plan) skew() time.Duration {
	if p.version == 2 {
		return time.Duration(256-int(p.priority)) * time.Second / 256
	}
	return time.Duration(256-int(p.priority)) * p.interval / 256
}

// down is how long a backup waits for a master's next advert.
func (p plan) down() time.Duration { return 3*p.interval + p.skew() }

// addresses are those that the routers of p advertise.
func (p plan) addresses() []netip.Addr {
	var out []netip.Addr
	for _, v := range p.routers {
		for _, vip := range v.vips {
			out = append(out, vip.Addr())
		}
	}
	return out
}

// A process is a program of others: in a namespace, with a folder and a log of its own.
type process struct {
	t   testing.TB
	ns  *nstest.NS
	dir string
	cmd *exec.Cmd
	log *os.File
}

func newProcess(t testing.TB, ns *nstest.NS, name, dir string) process {
	t.Helper()
	p := process{t: t, ns: ns, dir: dir}
	var err error
	if p.log, err = os.Create(p.path(name + ".log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.log.Close()
		if b, err := os.ReadFile(p.log.Name()); err == nil && t.Failed() {
			t.Logf("log of %s:\n%s", name, tail(b))
		}
	})
	return p
}

// tail keeps the end of a long log.
func tail(b []byte) []byte { return b[max(0, len(b)-8<<10):] }

func (p *process) path(name string) string { return filepath.Join(p.dir, name) }

func (p *process) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) run(name string, args ...string) {
	p.t.Helper()
	p.cmd = p.ns.Cmd(name, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) end(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal: %v", err)
	}
	_ = p.cmd.Wait()
	p.cmd = nil
}

// eventually polls until ok; it is for what happens in other processes.
func eventually(t testing.TB, what string, within time.Duration, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", within, what)
		}
		<-tick.C
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }
