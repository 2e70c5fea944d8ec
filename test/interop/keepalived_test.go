// Package interop lets our programs meet those of others.
package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

func TestMain(m *testing.M) { vrrpdtest.Main(m) }

// A keepalived is Debian's, VRRP only, with files of its own.
type keepalived struct {
	t   *testing.T
	ns  *nstest.NS
	dir string
	cmd *exec.Cmd
	log *os.File
}

const keepalivedConf = `
global_defs {
	router_id interop
	vrrp_version 3
}
vrrp_instance interop {
	state BACKUP
	interface eth0
	virtual_router_id 7
	priority %d
	advert_int %.2f
	virtual_ipaddress {
		%s
	}
}
`

func newKeepalived(t *testing.T, ns *nstest.NS, priority uint8, interval time.Duration) *keepalived {
	t.Helper()
	nstest.Need(t, "keepalived")
	k := &keepalived{t: t, ns: ns, dir: t.TempDir()}
	conf := fmt.Sprintf(keepalivedConf, priority, interval.Seconds(), vrrpdtest.VIP)
	if err := os.WriteFile(k.path("conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if k.log, err = os.Create(k.path("log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if k.cmd != nil {
			k.kill()
		}
		_ = k.log.Close()
		if b, err := os.ReadFile(k.path("log")); err == nil && t.Failed() {
			t.Logf("log of keepalived:\n%s", b)
		}
	})
	return k
}

func (k *keepalived) path(name string) string { return filepath.Join(k.dir, name) }

func (k *keepalived) start() {
	k.t.Helper()
	for _, stale := range []string{"pid", "vrrp.pid"} { // of a killed one, which would count as running
		_ = os.Remove(k.path(stale))
	}
	k.cmd = k.ns.Cmd("keepalived", "--vrrp", "--dont-fork", "--log-console", "--no-syslog",
		"--use-file="+k.path("conf"), "--pid="+k.path("pid"), "--vrrp_pid="+k.path("vrrp.pid"))
	k.cmd.Stdout, k.cmd.Stderr = k.log, k.log
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
}

// stop ends it cleanly: it resigns.
func (k *keepalived) stop() {
	k.t.Helper()
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		k.t.Fatal(err)
	}
	_ = k.cmd.Wait()
	k.cmd = nil
}

// kill ends both of its processes without a word.
func (k *keepalived) kill() {
	k.t.Helper()
	b, err := os.ReadFile(k.path("vrrp.pid"))
	_ = k.cmd.Process.Signal(syscall.SIGSTOP) // or the parent would start another child
	if child, convErr := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && convErr == nil && child > 1 {
		_ = syscall.Kill(child, syscall.SIGKILL) // first, or it would resign
	}
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
	k.cmd = nil
}

const interval = 100 * time.Millisecond

// meet puts our node and keepalived on one segment; cut takes our link away.
func meet(t *testing.T, ours, theirs uint8) (n, other *vrrpdtest.Node, k *keepalived, cut func(state string)) {
	t.Helper()
	n, other, bridge := vrrpdtest.Pair(t)
	k = newKeepalived(t, other.NS, theirs, interval)
	n.Start()
	n.Configure(ours, interval, other.Addr)
	return n, other, k, func(state string) { bridge.Run("ip", "link", "set", "p0", state) }
}

func waitVIP(n *vrrpdtest.Node, want bool) time.Duration {
	return n.Eventually(fmt.Sprintf("the address to be there: %v", want), 10*time.Second, func() bool { return n.HasVIP() == want })
}

func TestWeAreMasterKeepalivedIsBackup(t *testing.T) {
	n, other, k, _ := meet(t, 200, 100)
	n.WaitState("MASTER")
	k.start()
	b, err := other.Log(k.path("log"), "Entering BACKUP STATE")
	if err != nil {
		t.Fatalf("keepalived did not start: %v\n%s", err, b)
	}
	before := n.Instance()
	n.Eventually("twenty more adverts", 10*time.Second, func() bool { return n.Instance().Adverts["sent"] >= before.Adverts["sent"]+20 })
	if got := n.Instance(); got.State != "MASTER" || got.Transitions != before.Transitions || other.HasVIP() {
		t.Fatalf("keepalived does not stay BACKUP beside %+v", got)
	}
	n.Signal(syscall.SIGTERM)
	if took := waitVIP(other, true); took > 2*interval {
		t.Errorf("keepalived took over %v after we resigned, want its skew", took)
	}
	n.Start() // with the configuration that its state holds
	n.WaitState("MASTER")
	waitVIP(other, false)
	n.Signal(syscall.SIGKILL)
	waitVIP(other, true)
}

func TestKeepalivedIsMasterWeAreBackup(t *testing.T) {
	n, other, k, _ := meet(t, 100, 200)
	k.start()
	waitVIP(other, true)
	i := n.WaitState("BACKUP")
	n.Eventually("adverts from keepalived", 5*time.Second, func() bool { i = n.Instance(); return i.Adverts["received"] >= 20 })
	if i.State != "BACKUP" || i.Master.String() != other.Addr || i.Adverts["checksum_message_only"] != 0 {
		t.Fatalf("instance = %+v, want BACKUP of %s", i, other.Addr)
	}
	gained := n.WatchVIP()
	start := time.Now()
	k.stop()
	if c := <-gained; !c.Added || c.At.Sub(start) > interval {
		t.Errorf("we took over %v after keepalived resigned, want our skew", c.At.Sub(start))
	}
	k.start()
	n.WaitState("BACKUP")
	waitVIP(other, true)
	k.kill()
	n.WaitState("MASTER")
	if !n.HasVIP() {
		t.Error("we are MASTER without the address")
	}
}

func TestEqualPrioritiesAgreeOnOneMasterAfterAPartition(t *testing.T) {
	n, other, k, cut := meet(t, 100, 100)
	n.WaitState("MASTER")
	k.start()
	if b, err := other.Log(k.path("log"), "Entering BACKUP STATE"); err != nil {
		t.Fatalf("keepalived did not start: %v\n%s", err, b)
	}
	cut("down") // our carrier goes; keepalived hears nobody
	n.WaitState("FAULT")
	waitVIP(other, true)
	cut("up")
	n.WaitState("BACKUP")
	before := n.Instance().Adverts["received"]
	n.Eventually("adverts from keepalived", 5*time.Second, func() bool { return n.Instance().Adverts["received"] >= before+10 })
	if n.HasVIP() == other.HasVIP() {
		t.Errorf("the address is on us: %v, on keepalived: %v", n.HasVIP(), other.HasVIP())
	}
}
