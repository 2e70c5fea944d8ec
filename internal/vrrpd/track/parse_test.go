package track

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHasName(t *testing.T) {
	for _, tt := range []struct {
		name, comm, cmdline string
		want                bool
	}{
		{"haproxy", "haproxy", "/usr/sbin/haproxy\x00-W\x00", true},
		{"haproxy", "haproxy", "", true}, // as of a kernel thread
		{"haproxy", "main", "haproxy\x00", true},
		{"haproxy", "main", "/opt/haproxy/bin/other\x00haproxy\x00", false},
		{"nginx", "worker", "nginx: worker process", true},
		{"nginx", "worker", "nginx: master process /usr/sbin/nginx -g daemon off;", true},
		{"hareconcile-vrrpd", "hareconcile-vrr", "/usr/bin/hareconcile-vrrpd\x00", true},
		{"hareconcile-vrrpd", "hareconcile-vrr", "/usr/bin/hareconcile-vrr\x00", false},
		{"hareconcile-vrr", "hareconcile-vrr", "/usr/bin/hareconcile-vrrpd\x00", true}, // a comm is cut
		{"", "", "", false},
	} {
		if got := hasName(tt.name, tt.comm, argv0([]byte(tt.cmdline))); got != tt.want {
			t.Errorf("hasName(%q, %q, %q) = %v", tt.name, tt.comm, tt.cmdline, got)
		}
	}
}

func TestScan(t *testing.T) {
	dir := t.TempDir()
	if _, err := scan(dir, nil); err == nil {
		t.Error("a system without processes is believed")
	}
	if _, err := scan(filepath.Join(dir, "none"), nil); err == nil {
		t.Error("a folder that is not there is believed")
	}
	for name, files := range map[string][2]string{
		"10": {"10 (web) S" + stat(100), "/usr/bin/web\x00"}, "11": {"11 (web) Z" + stat(101), ""},
		"12": {"12 (db) S" + stat(102), "web\x00"}, "self": {"9 (web) S" + stat(9), "web"},
		"13": {"garbage", "web"}, "-1": {"1 (web) S" + stat(1), "web"}, "14": {"14 (other) S" + stat(1), ""},
	} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		for i, f := range []string{"stat", "cmdline"} {
			if err := os.WriteFile(filepath.Join(dir, name, f), []byte(files[i]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := scan(dir, []string{"web", "db", "none"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]match{
		10: {pid: 10, start: 100, comm: "web", names: []string{"web"}},
		12: {pid: 12, start: 102, comm: "db", names: []string{"web", "db"}},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(match{})); d != "" {
		t.Errorf("scan (-want +got):\n%s", d)
	}
}

func stat(start int) string {
	return " 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 " + strconv.Itoa(start) + " 1"
}

func TestParseInteger(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "0\n": 0, " 42 \n": 42, "-254": -254, "+3": 3, "2147483647": 1<<31 - 1} {
		if got, err := parseInteger([]byte(text)); err != nil || got != want {
			t.Errorf("parseInteger(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "x", "1 2", "1.5", "0x10", "2147483648", strings.Repeat(" ", maxInteger) + "1"} {
		if got, err := parseInteger([]byte(text)); err == nil {
			t.Errorf("parseInteger(%q) = %d, want an error", text, got)
		}
	}
}

func FuzzProc(f *testing.F) {
	f.Add([]byte("17 (a) R (b) Z) S"+stat(5)), []byte("nginx: worker process\x00"))
	f.Add([]byte(")("), []byte("/"))
	f.Add([]byte("1 (x) S"), []byte(": /"))
	f.Fuzz(func(t *testing.T, b, cmdline []byte) {
		if base := argv0(cmdline); strings.ContainsAny(base, "/\x00") {
			t.Errorf("argv0(%q) = %q", cmdline, base)
		}
		if n, err := parseInteger(b); err == nil {
			if back, err := parseInteger([]byte(strconv.Itoa(n))); err != nil || back != n {
				t.Errorf("%d comes back as %d, %v", n, back, err)
			}
		}
	})
}

func FuzzChanges(f *testing.F) {
	event := func(wd int32, name string) []byte {
		b := binary.NativeEndian.AppendUint32(nil, uint32(wd))
		b = append(b, make([]byte, 8)...)
		b = binary.NativeEndian.AppendUint32(b, uint32(len(name)))
		return append(b, name...)
	}
	f.Add(append(event(1, "file\x00\x00\x00\x00"), event(-1, "")...))
	f.Add(event(2, "x")[:16])
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		changes(b, func(wd int, name string) { again = append(again, event(int32(wd), name+"\x00")...) })
		n := 0
		changes(again, func(int, string) { n++ })
		changes(b, func(int, string) { n-- })
		if n != 0 {
			t.Errorf("%x does not come back", b)
		}
	})
}
