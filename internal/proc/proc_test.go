package proc

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const tail = " 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8675309 1 2 3"

func TestParseStat(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Stat
		ok   bool
	}{
		{"17 (nginx) S 4" + tail, Stat{17, "nginx", 'S', 4, 8675309}, true},
		{"17 (a) R (b) Z) T 4" + tail, Stat{17, "a) R (b) Z", 'T', 4, 8675309}, true},
		{"17 () Z 0" + tail + "\n", Stat{17, "", 'Z', 0, 8675309}, true},
		{text: ""}, {text: "17"}, {text: "17 (nginx"}, {text: ") ("}, {text: "17 (nginx)"}, {text: "17 (nginx) S 1 2 3"},
		{text: "17 (nginx) S 4" + strings.Replace(tail, "8675309", "-1", 1)},
		{text: "x (nginx) S 4" + tail}, {text: "17 (nginx) S -4" + tail},
	} {
		if got, ok := ParseStat([]byte(tt.text)); got != tt.want || ok != tt.ok {
			t.Errorf("ParseStat(%q) = %v, %v, want %v, %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}

// start starts a process and waits until the program runs.
func start(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("cat", "-u")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestProcess follows one process until it is a zombie, which kill -0 takes for alive.
func TestProcess(t *testing.T) {
	cmd := start(t)
	pid := cmd.Process.Pid
	p, err := Open(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.PID != pid || p.Parent != os.Getpid() || p.Start == 0 || p.Ended() {
		t.Errorf("Open(%d) = %+v, ended %v", pid, p.Stat, p.Ended())
	}
	if title, err := Title(pid); err != nil || title != "cat -u" {
		t.Errorf("Title = %q, %v", title, err)
	}
	if exe, err := Exe(pid); err != nil || !strings.HasSuffix(exe, "/cat") && !strings.HasSuffix(exe, "/coreutils") {
		t.Errorf("Exe = %q, %v", exe, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait for a process that runs: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Wait(t.Context()) }()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || !p.Ended() {
		t.Errorf("Wait for a process that was killed: %v, ended %v", err, p.Ended())
	}
	if err := unix.Kill(pid, 0); err != nil {
		t.Errorf("kill -0 of a zombie: %v, want success", err)
	}
	if s, err := Look(pid); err != nil || !s.Gone() {
		t.Errorf("Look at a zombie = %v, %v", s, err)
	}
	if _, err := Open(pid); !errors.Is(err, ErrGone) {
		t.Errorf("Open of a zombie: %v, want %v", err, ErrGone)
	}
	_ = cmd.Wait()
	if _, err := Look(pid); !errors.Is(err, ErrGone) {
		t.Errorf("Look at nothing: %v, want %v", err, ErrGone)
	}
	for _, pid := range []int{pid, 0, -1} {
		if _, err := Open(pid); !errors.Is(err, ErrGone) {
			t.Errorf("Open(%d): %v, want %v", pid, err, ErrGone)
		}
	}
	if _, err := Children(pid); !errors.Is(err, ErrGone) {
		t.Errorf("Children of nothing: %v, want %v", err, ErrGone)
	}
}

func TestChildren(t *testing.T) {
	pid := start(t).Process.Pid
	kids, err := Children(os.Getpid())
	if err != nil || !slices.Contains(kids, pid) {
		t.Errorf("Children = %v, %v, want %d among them", kids, err, pid)
	}
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if got := childrenOf(all, os.Getpid()); !slices.Contains(got, pid) {
		t.Errorf("by a scan: %v, want %d among them", got, pid)
	}
}

func TestListeners(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := netip.MustParseAddrPort(l.Addr().String())
	all, err := Listeners()
	if err != nil {
		t.Fatal(err)
	}
	k := slices.IndexFunc(all, func(l Listener) bool { return l.Addr == want })
	if k < 0 {
		t.Fatalf("Listeners = %v, want %v among them", all, want)
	}
	if all[k].Queued != 1 {
		t.Errorf("%d connections wait, want 1", all[k].Queued)
	}
	held, err := Sockets(os.Getpid())
	if err != nil || !held[all[k].Inode] {
		t.Errorf("Sockets = %v, %v, want %d among them", held, err, all[k].Inode)
	}
	l.Close()
	again, err := Listeners()
	if err != nil || slices.ContainsFunc(again, func(l Listener) bool { return l.Addr == want }) {
		t.Errorf("a closed listener is still there, %v", err)
	}
}

func TestAccepts(t *testing.T) {
	for _, tt := range []struct {
		at, to string
		want   bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"0.0.0.0:80", "127.0.0.1:80", true},
		{"0.0.0.0:80", "[::1]:80", false},
		{"[::]:80", "[::1]:80", true},
		{"[::]:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "0.0.0.0:80", false},
	} {
		l := Listener{Addr: netip.MustParseAddrPort(tt.at)}
		if got := l.Accepts(netip.MustParseAddrPort(tt.to)); got != tt.want {
			t.Errorf("a listener at %s takes connections to %s: %v, want %v", tt.at, tt.to, got, tt.want)
		}
	}
}

const (
	columns = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	socket  = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n"
	open    = "   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1\n"
	socket6 = "   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 5 1\n"
)

func TestReadListeners(t *testing.T) {
	for _, tt := range []struct {
		text string
		want string
		bad  bool
	}{
		{text: ""}, {text: columns},
		{text: columns + socket, want: "127.0.0.1:8080 4711 3"},
		{text: columns + socket + open + "what comes then is not read", want: "127.0.0.1:8080 4711 3"},
		{text: columns + socket6, want: "[::1]:80 5 0"},
		{text: columns + "garbage", bad: true},
		{text: columns + strings.Replace(socket, "0100007F:1F90", "0100007F", 1), bad: true},
		{text: columns + strings.Replace(socket, "0100007F", "01007F", 1), bad: true},
		{text: columns + strings.Repeat("x", 1<<17), bad: true},
	} {
		got, err := readListeners(strings.NewReader(tt.text))
		text := ""
		for _, l := range got {
			text += l.Addr.String() + " " + strconv.FormatUint(l.Inode, 10) + " " + strconv.Itoa(l.Queued)
		}
		if text != tt.want || (err != nil) != tt.bad {
			t.Errorf("readListeners(%.200q) = %q, %v, want %q", tt.text, text, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("17 (nginx) S 4" + tail)
	f.Add(columns + socket + open)
	f.Add(columns + socket6)
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := ParseStat([]byte(text)); ok && (s.PID <= 0 || s.Parent < 0) {
			t.Errorf("ParseStat(%q) = %v", text, s)
		}
		ls, _ := readListeners(strings.NewReader(text))
		for _, l := range ls {
			if !l.Addr.IsValid() || l.Queued < 0 {
				t.Errorf("readListeners(%q) = %v", text, l)
			}
		}
	})
}
