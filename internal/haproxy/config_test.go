package haproxy

import (
	"encoding/pem"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckArgs(t *testing.T) {
	name := func(s string) string { return "/new" + s }
	for line, want := range map[string]string{
		"haproxy -Ws -f /a.cfg -p /run/p -S /run/m.sock -f /d": "-c -f /new/a.cfg -f /new/d",
		// What a reload adds (2.6).
		"/usr/sbin/haproxy -sf 12 13 -x sockpair@5 -W -f /a.cfg -C /etc -L peer -dV": "-c -f /new/a.cfg -C /etc -L peer -dV",
		"haproxy -D -q -V -n 5 -- /a.cfg /b.cfg":                                     "-c -n 5 -f /new/a.cfg -f /new/b.cfg",
		"haproxy -f":                                                                 "-c",
		"haproxy":                                                                    "-c",
		"":                                                                           "-c",
	} {
		if got := strings.Join(CheckArgs(strings.Fields(line), name), " "); got != want {
			t.Errorf("CheckArgs(%q) = %q, want %q", line, got, want)
		}
	}
	if got := ConfigArgs([]string{"haproxy", "-f", "a", "-W", "-f", "b"}); !cmp.Equal(got, []string{"a", "b"}) {
		t.Errorf("ConfigArgs = %q", got)
	}
}

// output is what haproxy 2.6.12 writes for a file with a line that it does not know.
const output = "[NOTICE]   (4711) : haproxy version is 2.6.12-1+deb12u4\n" +
	"[NOTICE]   (4711) : path to executable is /usr/sbin/haproxy\n" +
	"[ALERT]    (4711) : config : parsing [a.cfg:3] : unknown keyword 'x' in 'frontend' section\n" +
	"[WARNING]  (4711) : config : missing timeouts for frontend 'f'.\n   | While not properly invalid, you will\n" +
	"[ALERT]    (4711) : config : Fatal errors found in configuration.\n"

func TestParseMessages(t *testing.T) {
	want := []Message{
		{true, "config : parsing [a.cfg:3] : unknown keyword 'x' in 'frontend' section"},
		{false, "config : missing timeouts for frontend 'f'. | While not properly invalid, you will"},
		{true, "config : Fatal errors found in configuration."},
	}
	if diff := cmp.Diff(want, ParseMessages(output)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got := ParseMessages("Configuration file is valid\n"); got != nil {
		t.Errorf("messages = %v, want none", got)
	}
}

func TestParseBinds(t *testing.T) {
	text := strings.Join([]string{
		"frontend f", " bind 10.0.0.1:80,[2001:db8::1]:443 transparent ssl crt /x # bind 1.2.3.4:5", " bind :8000-8002", "bind *:81 interface eth0",
		"bind :::82 v6only", "bind ipv6@:83", "bind ipv4@1.2.3.4:84", "bind unix@/x", "bind /run/x.sock", "bind \"${A}:80\"", "bind localhost:80",
		"bind 1.2.3.4:85 namespace red", "bind fe80::1%eth0:86", "bind 1.2.3.4:0", "bind 1.2.3.4:9-8", "bind 1.2.3.4", "bind", "bind quic4@1.2.3.4:443",
	}, "\n")
	addr := netip.MustParseAddr
	want := []Bind{
		{Line: 2, Text: "10.0.0.1:80", Address: addr("10.0.0.1"), First: 80, Last: 80, Transparent: true},
		{Line: 2, Text: "[2001:db8::1]:443", Address: addr("2001:db8::1"), First: 443, Last: 443, Transparent: true},
		{Line: 3, Text: ":8000-8002", Address: addr("0.0.0.0"), First: 8000, Last: 8002},
		{Line: 4, Text: "*:81", Address: addr("0.0.0.0"), First: 81, Last: 81, Interface: "eth0"},
		{Line: 5, Text: ":::82", Address: addr("::"), First: 82, Last: 82, V6Only: true},
		{Line: 6, Text: "ipv6@:83", Address: addr("::"), First: 83, Last: 83},
		{Line: 7, Text: "ipv4@1.2.3.4:84", Address: addr("1.2.3.4"), First: 84, Last: 84},
	}
	if diff := cmp.Diff(want, ParseBinds(text), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("binds (-want +got):\n%s", diff)
	}
}

func TestBackends(t *testing.T) {
	got := Backends("# x\nbackend a from hr-x\n server b\n\tlisten c\nfrontend d\nbackend\n")
	if diff := cmp.Diff(map[string]bool{"a": true, "c": true}, got); diff != "" {
		t.Errorf("backends (-want +got):\n%s", diff)
	}
}

// The replies of haproxy 2.6.12.
const (
	shownMaps = "# id (file) description\n2 (/tmp/m.map) pattern loaded from file '/tmp/m.map' used by map at file 'a.cfg' line 12. curr_ver=0 next_ver=0 entry_cnt=1\n-1 (/x y.map) pattern\n\n"
	shownMap  = "0x7feb88034020 c.example other\n0x7feb88033ef0 b.example app\n\n"
	shownCert = "Filename: /x.pem\nStatus: Used\nSerial: 01\nSHA1 FingerPrint: 0A1B\nSubject: \n\n"
)

func TestParseContent(t *testing.T) {
	loaded, err := ParseMaps(shownMaps)
	if diff := cmp.Diff(map[string]bool{"/tmp/m.map": true, "/x y.map": true}, loaded); diff != "" || err != nil {
		t.Errorf("maps (-want +got), %v:\n%s", err, diff)
	}
	if got, err := ParseMap(shownMap); got != "b.example app\nc.example other\n" || err != nil {
		t.Errorf("ParseMap = %q, %v", got, err)
	}
	if got, err := ParseMapVersion("New version created: 12\n\n"); got != "12" || err != nil {
		t.Errorf("ParseMapVersion = %q, %v", got, err)
	}
	if got, err := ParseCertificate(shownCert); got != "0a1b" || err != nil {
		t.Errorf("ParseCertificate = %q, %v", got, err)
	}
	if got, err := ParseCertificate("Can't display the certificate: Not found or the certificate is a bundle!\n\n"); got != "" || err != nil {
		t.Errorf("ParseCertificate of none = %q, %v", got, err)
	}
	for _, reply := range []string{"", "\n", "Unknown command\n", "New version created: x;\n"} {
		_, err := ParseMaps(reply)
		_, err2 := ParseMapVersion(reply)
		_, err3 := ParseCertificate(reply)
		if !errors.Is(err, ErrReply) || !errors.Is(err2, ErrReply) || !errors.Is(err3, ErrReply) {
			t.Errorf("%q: %v, %v, %v; want ErrReply", reply, err, err2, err3)
		}
	}
	if _, err := ParseMap("Unknown map identifier.\n"); !errors.Is(err, ErrReply) {
		t.Errorf("ParseMap of none = %v", err)
	}
}

func TestLeaf(t *testing.T) {
	file := append([]byte("note\n"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("k")})...)
	if _, err := Leaf(file); err == nil {
		t.Error("a key alone is a certificate")
	}
	file = append(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("abc")})...)
	if got, err := Leaf(file); got != "a9993e364706816aba3e25717850c26c9cd0d89d" || err != nil {
		t.Errorf("Leaf = %q, %v, want SHA-1 of abc", got, err)
	}
}

// FuzzTexts wants an end without a panic, and binds that can be tried.
func FuzzTexts(f *testing.F) {
	for _, s := range []string{output, shownMaps, shownMap, shownCert, "bind :80-90,[::]:1 interface", "haproxy -sf 1 -f", "[ALERT]", "[ALERT] x\n y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, b := range ParseBinds(s) {
			if !b.Address.IsValid() || b.First == 0 || b.Last < b.First {
				t.Errorf("a bind to %v", b)
			}
		}
		if got, err := ParseMap(s); err == nil && got != "" && !strings.HasSuffix(got, "\n") {
			t.Errorf("a map of broken lines: %q", got)
		}
		ParseMessages(s)
		Backends(s)
		CheckArgs(strings.Fields(s), strings.ToUpper)
		_, _ = ParseMaps(s)
		_, _ = ParseMapVersion(s)
		_, _ = ParseCertificate(s)
		_, _ = Leaf([]byte(s))
	})
}
