package main

import (
	"bufio"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// TestNoBus: whatever keeps the plugin from asking says nothing about a unit.
func TestNoBus(t *testing.T) {
	dir := openDir(t)
	listen := func(name string) (path string, l *net.UnixListener) {
		path = filepath.Join(dir, name)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return path, l
	}
	mute, _ := listen("mute") // nobody accepts
	stranger, talks := listen("stranger")
	go func() {
		for {
			c, err := talks.AcceptUnix()
			if err != nil {
				return // closed by the cleanup
			}
			_, _ = c.Write([]byte("220 mail.example.com ESMTP\r\n")) // the plugin may be gone
			_ = c.Close()
		}
	}()
	gone, l := listen("gone")
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ bus, want string }{
		{filepath.Join(dir, "absent"), "no such file or directory"},
		{gone, "connection refused"},
		{mute, "does not answer"},
		{stranger, "connect to the bus at " + stranger},
		{dir, "connect to the bus at " + dir},
	} {
		u := newInstance(t, `{"unit": "haproxy.service", "bus": "`+tt.bus+`"}`)
		began := time.Now()
		for range 2 {
			r := u.look(300 * time.Millisecond)
			if r.Status != sdk.Unknown || !strings.Contains(r.Detail, tt.want) {
				t.Errorf("%s: %s %q, want unknown %q", tt.bus, r.Status, r.Detail, tt.want)
			}
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: took %v", tt.bus, took)
		}
	}
}

// TestBusWithoutSystemd asks a real bus on which systemd is not, and has it start nothing.
func TestBusWithoutSystemd(t *testing.T) {
	nstest.Need(t, "dbus-daemon")
	path := filepath.Join(openDir(t), "bus")
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1", "--address=unix:path="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, as it says
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the bus did not start: %v", err)
	}
	u := newInstance(t, `{"unit": "haproxy.service", "bus": "`+path+`"}`)
	r := u.look(5 * time.Second)
	if r.Status != sdk.Unknown || !strings.HasSuffix(r.Detail, "systemd is not on this bus") {
		t.Errorf("result %s %q, want unknown", r.Status, r.Detail)
	}
	// One that was removed makes no connection that nobody would close.
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if r := u.look(5 * time.Second); r.Status != sdk.Unknown {
		t.Errorf("after its end: %s %q, want unknown", r.Status, r.Detail)
	}
}

// TestOneConnection: all units of a bus share it, and the last one takes it along.
func TestOneConnection(t *testing.T) {
	b := newTracker().buses
	one, two, other := b.get("/a"), b.get("/a"), b.get("/b")
	if one != two || one == other {
		t.Error("a bus is not shared, or shared with another")
	}
	b.put(one)
	if b.get("/a") != one {
		t.Error("the bus went while it was used")
	}
	b.put(one)
	b.put(one)
	b.put(other)
	if len(b.known) != 0 || !one.closed {
		t.Errorf("%d buses are left, closed %v", len(b.known), one.closed)
	}
}
