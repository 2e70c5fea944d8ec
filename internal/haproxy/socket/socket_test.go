package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
)

// ask gives haproxy a moment to answer.
func ask(t *testing.T, path string, commands ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	return socket.Ask(ctx, path, commands...)
}

// start runs a haproxy with a runtime socket and returns the folder of its sockets, r and m.
func start(t *testing.T) (dir string, master *exec.Cmd) {
	t.Helper()
	program := haproxytest.Program(t)
	dir, err := os.MkdirTemp("", "hs") // sockets have short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := filepath.Join(dir, "r")
	text := "global\n stats socket " + r + " level admin\nbackend b\n timeout connect 1s\n timeout server 1s\n server s 127.0.0.1:9 weight 3\n" +
		"backend m\n timeout connect 1s\n timeout server 1s\n use-server s if { str(x),map(" + dir + "/x.map) x }\n server s 127.0.0.1:9\n"
	for name, text := range map[string]string{"a.cfg": text, "x.map": "a b\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	master = exec.Command(program, "-W", "-S", filepath.Join(dir, "m"), "-f", filepath.Join(dir, "a.cfg"))
	master.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = master.Process.Signal(syscall.SIGTERM)
		_ = master.Wait()
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for {
		_, err := ask(t, r, "show info")
		if _, err2 := ask(t, filepath.Join(dir, "m"), "show proc"); err == nil && err2 == nil {
			return dir, master
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("haproxy does not answer")
		}
	}
}

func TestAskAndGive(t *testing.T) {
	dir, _ := start(t)
	r, m := filepath.Join(dir, "r"), filepath.Join(dir, "m")
	reply, err := ask(t, r, "show env", "show info")
	if i, err2 := haproxy.ParseInfo(reply); err != nil || err2 != nil || i.Number("Pid") <= 0 {
		t.Errorf("Ask = %.200q, %v, %v", reply, err, err2)
	}
	reply, err = ask(t, m, "show proc")
	if p, err2 := haproxy.ParseProcs(reply); err != nil || err2 != nil || len(p.Workers) != 1 {
		t.Errorf("Ask of the master = %.200q, %v, %v", reply, err, err2)
	}
	if reply, err := ask(t, r, "set server b/none weight 1", "set server b/s weight 7", "show servers state b"); err != nil ||
		!strings.Contains(reply, "No such server.") || !strings.Contains(reply, " s 127.0.0.1 2 0 7 3 ") {
		t.Errorf("a command after one that fails: %q, %v", reply, err)
	}
	path := dir + "/x.map"
	if reply, err := socket.Give(t.Context(), r, "add map "+path, "c d\ne f\n"); err != nil || strings.TrimSpace(reply) != "" {
		t.Errorf("Give = %q, %v", reply, err)
	}
	reply, err = ask(t, r, "show map "+path)
	if got, err2 := haproxy.ParseMap(reply); err != nil || err2 != nil || got != "a b\nc d\ne f\n" {
		t.Errorf("the map is %q, %v, %v", got, err, err2)
	}
	// The longest payload that is sent is one that haproxy takes.
	command := "add map " + path
	line := "k " + strings.Repeat("v", socket.MaxPayload-len(command)-len(" <<\n")-len("k \n\n"))
	if reply, err := socket.Give(t.Context(), r, command, line); err != nil || strings.TrimSpace(reply) != "" {
		t.Errorf("Give of much = %q, %v", reply, err)
	}
	for command, payload := range map[string]string{
		"add map x": "", "add map\nx": "a b", "add map x;show env": "a b", "add map y": "a\n\nb", command: line + "v",
	} {
		if _, err := socket.Give(t.Context(), r, command, payload); err == nil {
			t.Errorf("Give(%q, %.20q) succeeded", command, payload)
		}
	}
	for _, command := range []string{"show\nenv", "show\x00", strings.Repeat("x", 16<<10)} {
		if _, err := ask(t, r, command); err == nil {
			t.Errorf("Ask(%.20q) succeeded", command)
		}
	}
}

// freeze stops a process and waits until it has.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		running := len(threads) == 0 || err != nil
		for _, name := range threads {
			b, err := os.ReadFile(name)
			running = running || err != nil || !strings.Contains(string(b), ") T ")
		}
		if !running {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the process goes on")
		}
	}
}

func TestSilence(t *testing.T) {
	dir, _ := start(t)
	r := filepath.Join(dir, "r")
	reply, err := ask(t, r, "show info")
	info, err2 := haproxy.ParseInfo(reply)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}

	// The socket takes ten clients (stats maxconn), and keeps the others waiting. Then its queue
	// is full too, for as long as a client of it may be kept.
	var idle []net.Conn
	for range 12 {
		c, err := net.Dial("unix", r)
		if errors.Is(err, syscall.EAGAIN) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	if _, err := ask(t, r, "show info"); !errors.Is(err, socket.ErrSilent) {
		t.Errorf("behind %d idle clients: %v, want ErrSilent", len(idle), err)
	}
	for range 100 { // more than any queue of a socket of haproxy has
		c, err := net.Dial("unix", r)
		if err != nil {
			break
		}
		idle = append(idle, c)
	}
	if _, err := ask(t, r, "show info"); !errors.Is(err, socket.ErrSilent) {
		t.Errorf("behind a full queue: %v, want ErrSilent", err)
	}
	for _, c := range idle {
		_ = c.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := socket.Ask(ctx, r, "show info"); err != nil {
		t.Errorf("after they left: %v", err)
	}

	worker := int(info.Number("Pid"))
	freeze(t, worker)
	if _, err := ask(t, r, "show info"); !errors.Is(err, socket.ErrSilent) {
		t.Errorf("a frozen worker: %v, want ErrSilent", err)
	}
	stopped, giveUp := context.WithCancel(t.Context())
	giveUp()
	if _, err := socket.Ask(stopped, r, "show info"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that gave up: %v, want Canceled", err)
	}
	if err := syscall.Kill(worker, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Ask(ctx, r, "show info"); err != nil {
		t.Errorf("a worker that goes on: %v", err)
	}
}

func TestNobody(t *testing.T) {
	dir, master := start(t)
	if _, err := ask(t, filepath.Join(dir, "none"), "show info"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no socket: %v, want ErrNotExist", err)
	}
	if err := master.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = master.Wait()
	if _, err := ask(t, filepath.Join(dir, "r"), "show info"); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, socket.ErrEmpty) {
		t.Errorf("the socket of a process that ended: %v, want ECONNREFUSED or ErrEmpty", err)
	}
}

// serve answers each connection with text and closes it, having read all of the question.
func serve(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return path
}

func TestOtherPrograms(t *testing.T) {
	closes := serve(t, func(c net.Conn) {
		b := make([]byte, 64)
		_, _ = c.Read(b)
	})
	if _, err := ask(t, closes, "show info"); !errors.Is(err, socket.ErrEmpty) {
		t.Errorf("a connection that is closed: %v, want ErrEmpty", err)
	}
	floods := serve(t, func(c net.Conn) {
		b := make([]byte, 1<<20)
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := socket.Ask(ctx, floods, "show info"); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a flood: %v, want a bound", err)
	}
}
