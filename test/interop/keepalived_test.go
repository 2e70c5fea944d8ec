package interop

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A keepalived is Debian's, VRRP only, with files of its own.
type keepalived struct {
	process
	began int64 // where the log of the present run begins
}

func newKeepalived(t testing.TB, ns *nstest.NS, p plan) *keepalived {
	t.Helper()
	nstest.Need(t, "keepalived")
	k := &keepalived{process: newProcess(t, ns, "keepalived", t.TempDir())}
	k.write("conf", keepalivedConf(p))
	t.Cleanup(func() {
		if k.cmd != nil {
			k.kill()
		}
	})
	return k
}

// keepalivedConf says p in keepalived's words.
func keepalivedConf(p plan) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("global_defs {\n router_id interop\n vrrp_garp_master_delay 1\n}")
	if p.group {
		line("vrrp_sync_group all {\n group {")
		for _, v := range p.routers {
			line("  r%d", v.vrid)
		}
		line(" }\n}")
	}
	for _, v := range p.routers {
		state := "BACKUP"
		if p.priority == 255 {
			state = "MASTER" // or it would wait
		}
		line("vrrp_instance r%d {\n state %s\n interface %s\n version %d", v.vrid, state, v.device, p.version)
		line(" virtual_router_id %d\n priority %d\n advert_int %s", v.vrid, p.priority, seconds(p.interval))
		switch {
		case p.unicast:
			line(" unicast_src_ip %v\n unicast_peer {\n  %v\n }", p.own, p.peers[0])
		case p.family == resource.IPv6:
			line(" mcast_src_ip %v", p.own)
		}
		if p.neverPreempt {
			line(" nopreempt")
		}
		if p.preemptDelay > 0 {
			line(" preempt_delay %s", seconds(p.preemptDelay))
		}
		if p.mac {
			line(" use_vmac")
		}
		if p.password != "" {
			line(" authentication {\n  auth_type PASS\n  auth_pass %s\n }", p.password)
		}
		line(" virtual_ipaddress {")
		for _, vip := range v.vips {
			line("  %v", vip)
		}
		line(" }\n}")
	}
	return b.String()
}

func (k *keepalived) start() {
	k.t.Helper()
	for _, stale := range []string{"pid", "vrrp.pid"} { // of a killed one, which would count as running
		_ = os.Remove(k.path(stale))
	}
	if info, err := k.log.Stat(); err == nil {
		k.began = info.Size()
	}
	k.run("keepalived", "--vrrp", "--dont-fork", "--log-console", "--log-detail", "--no-syslog",
		"--use-file="+k.path("conf"), "--pid="+k.path("pid"), "--vrrp_pid="+k.path("vrrp.pid"))
}

// stop ends it cleanly: it resigns.
func (k *keepalived) stop() {
	k.t.Helper()
	k.end(syscall.SIGTERM)
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

var entering = regexp.MustCompile(`\(r(\d+)\) Entering (\w+) STATE`)

func (k *keepalived) states() map[uint8]string {
	k.t.Helper()
	out := map[uint8]string{}
	if k.cmd == nil {
		return out
	}
	for _, m := range entering.FindAllSubmatch(k.said(), -1) {
		if n, err := strconv.ParseUint(string(m[1]), 10, 8); err == nil {
			out[uint8(n)] = string(m[2])
		}
	}
	return out
}

// said is the log of the present run.
func (k *keepalived) said() []byte {
	k.t.Helper()
	b, err := os.ReadFile(k.log.Name())
	if err != nil {
		k.t.Fatal(err)
	}
	return b[min(k.began, int64(len(b))):]
}

var complaint = regexp.MustCompile(`(?im)^.*\b(invalid|wrong|mismatch|bogus|incorrect|unknown|ignor\w+)\b.*$`)

// complaints is what the log of the present run says against what was heard.
func (k *keepalived) complaints() []string { return complaint.FindAllString(string(k.said()), -1) }

func (k *keepalived) held() map[netip.Addr]bool { return present(k.ns) }
