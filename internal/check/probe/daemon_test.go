package probe

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// A daemon is a real server in a folder of its own, run by nobody where we are root.
type daemon struct {
	t    *testing.T
	dir  string
	addr netip.AddrPort
}

func newDaemon(t *testing.T, programs ...string) *daemon {
	t.Helper()
	nstest.Need(t, programs...)
	d := &daemon{t: t, dir: scripts(t), addr: freePort(t)}
	if os.Getuid() == 0 {
		if err := os.Chown(d.dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// freePort is of TCP and UDP, and nobody's for now.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.MustParseAddrPort(l.Addr().String())
		u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		l.Close()
		if err == nil {
			u.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return netip.AddrPort{}
}

func (d *daemon) path(name string) string { return filepath.Join(d.dir, name) }

// write makes a file in the folder. DIR, ADDR, HOST and PORT in the text are the daemon's.
func (d *daemon) write(name, text string) string {
	d.t.Helper()
	if err := os.WriteFile(d.path(name), []byte(d.expand(text)), 0o644); err != nil {
		d.t.Fatal(err)
	}
	return d.path(name)
}

func (d *daemon) expand(text string) string {
	return strings.NewReplacer("DIR", d.dir, "ADDR", d.addr.String(), "HOST", d.addr.Addr().String(), "PORT", fmt.Sprint(d.addr.Port())).Replace(text)
}

func (d *daemon) command(in io.Reader, log *os.File, name string, args ...string) *exec.Cmd {
	for i := range args {
		args[i] = d.expand(args[i])
	}
	for _, dir := range []string{"/usr/sbin", "/usr/bin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			name = filepath.Join(dir, name)
		}
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = d.dir, in, log, log
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + d.dir, "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	return cmd
}

func (d *daemon) log(name string) *os.File {
	d.t.Helper()
	f, err := os.Create(d.path(name))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		f.Close()
		if b, err := os.ReadFile(f.Name()); err == nil && d.t.Failed() {
			d.t.Logf("%s:\n%s", name, b)
		}
	})
	return f
}

// run runs a program to its end.
func (d *daemon) run(in io.Reader, name string, args ...string) {
	d.t.Helper()
	if err := d.command(in, d.log(filepath.Base(name)+".out"), name, args...).Run(); err != nil {
		d.t.Fatalf("%s: %v", name, err)
	}
}

// start runs the server until the test ends, and returns once it answers at its address.
func (d *daemon) start(name string, args ...string) {
	d.t.Helper()
	cmd := d.command(nil, d.log(filepath.Base(name)+".log"), name, args...)
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{}) // closed when the server has ended
	go func() { defer close(ended); _ = cmd.Wait() }()
	d.t.Cleanup(func() { d.stop(cmd, ended) })
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		if c, err := net.Dial("tcp", d.addr.String()); err == nil {
			c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			d.t.Fatalf("%s has ended", name)
		case <-deadline:
			d.t.Fatalf("%s does not listen on %s", name, d.addr)
		}
	}
}

// stop ends the server and what it started: politely, then not.
func (d *daemon) stop(cmd *exec.Cmd, ended <-chan struct{}) {
	select {
	case <-ended: // the id may be somebody else's now
		return
	default:
	}
	_ = syscall.Kill(cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	}
}
