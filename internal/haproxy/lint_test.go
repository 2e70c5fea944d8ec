package haproxy

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
)

// sound is a file of the user's that has no trap.
const sound = "global\n maxconn 100\n hard-stop-after 30m\ndefaults\n mode http\n timeout client 1m\n timeout connect 5s\n timeout server 1m\n"

// ourFile is the managed file beside it.
const ourFile = "/c/" + FileName

// TestLint has one trap in each row, and wants the findings as path:line summary.
func TestLint(t *testing.T) {
	const ours = Marker + "\nglobal\n stats socket /run/h.sock mode 660 level admin\ndefaults hr-x\n mode http\nfrontend web from hr-x\n bind 10.0.0.1:80\n"
	for _, tt := range []struct {
		name   string
		before string // what /a.cfg has behind sound
		after  string // what /c/60.cfg has, which haproxy reads last
		want   []string
	}{
		{name: "nothing"},
		{"a port of ours", "frontend f\n bind 10.0.0.1:80\n", "", []string{"/c/50-hareconcile.cfg:7 Two proxies listen on one port"}},
		{"a port in a range", "frontend f\n bind *:8000-8010\nlisten g\n bind :8001\n bind 0.0.0.0:8010\n", "", []string{
			"/a.cfg:12 Two proxies listen on one port", "/a.cfg:13 Two proxies listen on one port"}},
		{"two binds of a proxy for its threads", "frontend f\n bind :81 thread 1\n bind :81 thread 2\n", "", nil},
		{"other devices, addresses and ports", "frontend f\n bind :81 interface eth0\n bind 10.0.0.1:81\nfrontend g\n bind :81 interface eth1\n bind [::]:81\n bind :82\n", "", nil},
		{"a port under a condition", "frontend f\n bind :81\nfrontend g\n .if feature(OPENSSL)\n bind :81\n .endif\n bind :82\n", "", nil},
		{"our defaults", "", "frontend f\n bind :81\n timeout client 1s\n", []string{"/c/60.cfg:1 The proxy has settings of hareconcile's file"}},
		{"defaults of their own", "", "defaults\n timeout client 1s\nfrontend f\n bind :81\n", nil},
		{"defaults by name", "defaults mine\n timeout client 1s\n", "frontend f from mine\n bind :81\n", nil},
		{"a state file", "backend b\n load-server-state-from-file global\nbackend c\n load-server-state-from-file none\n", "", []string{"/a.cfg:10 A state file goes before the configuration"}},
		{"a variable that is not set", "frontend f\n bind \"${LISTEN}:81\"\n bind \"$LISTEN:82\" # told once\n", "", []string{"/a.cfg:10 A variable is not set"}},
		{"variables that are set", "global\n presetenv B x\nfrontend f\n bind \"${A}:81\"\n bind \"${B}:82\"\n bind \"${C-127.0.0.1}:83\"\n log-format '${D}'\n" +
			" log-format \"$HAPROXY_LOCALPEER \\$E\"\n acl x path ${F}\n", "", nil},
		{"sockets for everybody", "global\n stats socket /r mode 666 level admin\n stats socket ipv4@127.0.0.1:9 level admin\n stats socket :9 level admin\n", "", []string{
			"/a.cfg:10 Every user of this host commands haproxy", "/a.cfg:11 Whoever reaches the port commands haproxy", "/a.cfg:12 Whoever reaches the port commands haproxy"}},
		{"sockets for some", "global\n stats socket /r mode 660 level admin\n stats socket /s mode 666 level user\n stats socket /t:1 level admin\n stats socket :9\n stats socket\n", "", nil},
		{"what is ignored", "global\n maxconn 7\n nbthread 1\n nbthread 2\n pidfile /p\n", "global\n pidfile /q\n", []string{
			"/a.cfg:10 The line has no effect", "/c/60.cfg:2 The line has no effect"}},
		{"a limit of a proxy", "frontend f\n bind :81\n maxconn 101\nbackend b\n fullconn 200\ndefaults\n maxconn 100\n", "", []string{"/a.cfg:11 The limit is never reached"}},
		{"clients without a way out", "backend b\n cookie S insert\nbackend c\n stick on src\nbackend d\n stick on src\n option redispatch\ndefaults\n option redispatch 1\nbackend e\n cookie S\n", "", []string{
			"/a.cfg:10 Clients keep to a server that died", "/a.cfg:12 Clients keep to a server that died"}},
		{"a name", "backend b\n server a app.example:80 check\n server b app.example\n server-template c 3 _http._tcp.app.example\n", "", []string{
			"/a.cfg:10 A start needs the DNS", "/a.cfg:11 A start needs the DNS", "/a.cfg:12 A start needs the DNS"}},
		{"addresses, and a name that may wait", "backend b\n server a 10.0.0.1\n server b [2001:db8::1]:80\n server c 2001:db8::1:80\n server d /s\n server e unix@s\n server f \"$A\"\n" +
			" server g app.example init-addr none\n server h *:80\nbackend c\n default-server init-addr last,none\n server a app.example\n", "", nil},
		{"no timeouts", "defaults\nfrontend f\n bind :81\nlisten l\n bind :82\n server s 10.0.0.1:80\nbackend without-servers\n", "", []string{
			"/a.cfg:10 The proxy has no timeout client", "/a.cfg:12 The proxy has no timeout client", "/a.cfg:12 The proxy has no timeout connect", "/a.cfg:12 The proxy has no timeout server"}},
		{"an address that moves", "frontend f\n bind 10.0.0.9:80\n bind 10.0.0.9:81 transparent\n bind :82,[2001:db8::9]:82\n", "", []string{
			"/a.cfg:10 The bind needs an address that moves", "/a.cfg:12 The bind needs an address that moves"}},
		{"a section under a condition", ".if 0\ndefaults\nfrontend f\n bind :81\n.else\nfrontend g\n bind \"$NONE:81\"\n.endif\n", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Lint(Loaded{
				Files:   []Source{{"/a.cfg", sound + tt.before}, {ourFile, ours}, {"/c/60.cfg", tt.after}},
				Managed: ourFile, Environment: map[string]bool{"A": true},
				Virtual: []netip.Addr{netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("2001:db8::9")},
			})
			var said []string
			for _, f := range got {
				said = append(said, fmt.Sprintf("%s:%d %s", f.Path, f.Line, f.Summary))
			}
			if diff := cmp.Diff(tt.want, said); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%+v", diff, got)
			}
		})
	}
}

// TestHAProxyTakesTheTraps: every release loads them, so that nobody else says anything.
func TestHAProxyTakesTheTraps(t *testing.T) {
	dir := t.TempDir()
	text := fmt.Sprintf("global\n maxconn 10\n pidfile %[1]s/p\n stats socket %[1]s/s mode 666 level admin\nglobal\n maxconn 9\n server-state-file %[1]s/none\n"+
		"frontend f\n mode http\n timeout client 1s\n bind 127.0.0.1:18 maxconn 5\n bind \"${NOT_SET}:19\"\n bind 192.0.2.1:19\n maxconn 11\n"+
		"frontend g\n mode http\n bind 127.0.0.1:18\n"+
		"backend b\n mode http\n load-server-state-from-file global\n cookie S insert\n server s 127.0.0.1:9 cookie s\n", dir)
	name := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(haproxytest.Program(t), "-c", "-f", name).CombinedOutput(); err != nil {
		t.Errorf("haproxy -c: %v\n%s", err, out)
	}
	got := map[string]bool{}
	for _, f := range Lint(Loaded{Files: []Source{{name, text}}, Environment: map[string]bool{}, Virtual: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}) {
		got[f.Summary] = true
	}
	if len(got) != 12 { // three of them are of timeouts
		t.Errorf("%d kinds of findings: %v", len(got), got)
	}
}

func TestLintOfLittle(t *testing.T) {
	if got := Lint(Loaded{}); len(got) != 0 {
		t.Errorf("findings in nothing: %+v", got)
	}
	if got := Lint(Loaded{Files: []Source{{ourFile, "global\n"}}, Managed: ourFile}); len(got) != 0 {
		t.Errorf("findings in our file alone: %+v", got)
	}
	// Nobody knows the environment, and no file has a global section.
	got := Lint(Loaded{Files: []Source{{"/a.cfg", "# x\ndefaults\n timeout client 1s\nfrontend f\n bind \"$X:80\"\n"}}})
	if len(got) != 1 || got[0].Line != 2 || !strings.Contains(got[0].Detail, "hard-stop-after") {
		t.Errorf("findings: %+v", got)
	}
	if got := Lint(Loaded{Files: []Source{{"/a.cfg", strings.Repeat("frontend f\n bind :80\n", 500)}}}); len(got) != maxFindings {
		t.Errorf("%d findings, want %d", len(got), maxFindings)
	}
}

// FuzzLint wants an end without a panic, the same findings twice, and places that are there.
func FuzzLint(f *testing.F) {
	for _, s := range []string{
		sound, "global\n stats socket a level admin mode 777\n", "frontend f from\n bind a:1,:2-3\n", "backend b\n server a \"$X\" \"${Y-}\n", ".if\n.endif\n.endif\ndefaults a from a\n",
		"listen\n bind :1-65535\nlisten\n bind :9\n",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		l := Loaded{Files: []Source{{"/a", a}, {"/b", b}}, Managed: "/b", Environment: map[string]bool{}, Virtual: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
		got := Lint(l)
		if diff := cmp.Diff(got, Lint(l)); diff != "" {
			t.Errorf("other findings (-first +second):\n%s", diff)
		}
		for _, x := range got {
			text := map[string]string{"/a": a, "/b": b}[x.Path]
			if x.Line < 1 || x.Line > 1+strings.Count(text, "\n") || x.Summary == "" || x.Detail == "" {
				t.Errorf("a finding at %s:%d: %+v", x.Path, x.Line, x)
			}
		}
	})
}
