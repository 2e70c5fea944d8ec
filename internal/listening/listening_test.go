package listening

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

func TestTCP(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		want := l.Addr().(*net.TCPAddr).AddrPort()
		c, err := net.Dial("tcp", want.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		sockets, err := TCP()
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, s := range sockets {
			if s.Address == want {
				found = true
				if s.Queue != 1 || s.Limit < 1 || s.Inode == 0 || !s.Serves(want) {
					t.Errorf("socket %+v, want one that waits", s)
				}
			}
		}
		if !found {
			t.Errorf("nobody listens on %v: %v", want, sockets)
		}
	}
}

func TestServes(t *testing.T) {
	for _, tt := range []struct {
		own, want string
		serves    bool
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
		if got := (Socket{Address: netip.MustParseAddrPort(tt.own)}).Serves(netip.MustParseAddrPort(tt.want)); got != tt.serves {
			t.Errorf("%s serves %s: %v, want %v", tt.own, tt.want, got, tt.serves)
		}
	}
}

func TestClients(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 3 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if accepted, waiting, err := Clients(path); accepted != 1 || waiting != 2 || err != nil {
		t.Errorf("Clients = %d, %d, %v, want 1 and 2", accepted, waiting, err)
	}
	for name, want := range map[string]bool{
		"/s": true, "/s.12.tmp": true, "/s.tmp": false, "/s..tmp": false, "/s.x.tmp": false, "/sx": false, "/": false,
	} {
		if got := named(name, "/s"); got != want {
			t.Errorf("%q is /s: %v, want %v", name, got, want)
		}
	}
}

func FuzzListening(f *testing.F) {
	f.Add(request(2), "Num RefCount Protocol Flags Type St Inode Path\n0: 3 0 0 1 03 12 /s.7.tmp\n")
	f.Fuzz(func(t *testing.T, b []byte, table string) {
		_, _, _ = parse(b, nil)
		if accepted, waiting, err := clients(strings.NewReader(table), "/s"); err == nil && accepted+waiting > len(table) {
			t.Errorf("%d and %d clients", accepted, waiting)
		}
	})
}
