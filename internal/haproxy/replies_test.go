package haproxy

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The replies of haproxy 2.6.12, unless another is named.
const (
	servers = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n" +
		"3 be 1 a 127.0.0.1 0 8 20 10 0 8 2 0 6 0 0 0 - 18081 - 0 0 - - 0\n3 be 2 b 2001:db8::1 2 0 1 1 3 1 0 2 0 0 0 0 - 18082 - 0 0 - - 0\n\n"
	procs = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n" +
		"7140            master          3 [failed: 1]   0d00h00m01s     2.6.12-1+deb12u4\n# workers\n" +
		"7286            worker          0               0d00h00m01s     2.6.12-1+deb12u4\n# old workers\n" +
		"7142            worker          2               0d00h00m09s     2.6.12-1+deb12u4\n# programs\n\n"
	// Of 3.2.26, after a reload whose global section was wrong.
	failedProcs = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n" +
		"967             master          5 [failed: 0]   0d00h00m09s     3.2.26-1       \n# workers\n# old workers\n" +
		"1590            worker          4               0d00h00m09s     3.2.26-1       \n" +
		"1597            worker          2               0d00h00m03s     3.2.26-1       \n\n"
	stats = "# pxname,svname,qcur,status,weight,act,bck,check_status,-,h1_bytes_out,\n" +
		"fe,FRONTEND,,OPEN,,,,,-,0,\nbe,a,0,UP 1/3,10,1,0,L4CON,-,,\nbe,BACKEND,0,DOWN,0,0,0,,-,0,\n\n"
)

// failedReload is what haproxy 3.0.11 answers to `reload`.
const failedReload = "Success=0\n--\n[NOTICE]   (5388) : haproxy version is 3.0.11-1+deb13u4\n[NOTICE]   (5388) : path to executable is /usr/sbin/haproxy\n" +
	"[ALERT]    (5388) : config : parsing [a.cfg:11] : unknown keyword 'nonsense' in 'backend' section\n" +
	"[ALERT]    (5388) : config : Error(s) found in configuration file : a.cfg\n[ALERT]    (5388) : config : Fatal errors found in configuration.\n" +
	"[WARNING]  (5388) : Loading failure!\n\n"

func TestParseServers(t *testing.T) {
	got, err := ParseServers(servers)
	want := []ServerState{
		{"be", "a", netip.MustParseAddr("127.0.0.1"), 18081, 0, AdminForcedDrain, 20, 10},
		{"be", "b", netip.MustParseAddr("2001:db8::1"), 18082, 2, 0, 1, 1},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || err != nil {
		t.Errorf("servers (-want +got), %v:\n%s", err, diff)
	}
	for _, reply := range []string{"", "1\n", "2\n# be_id", "Unknown command\n\n", "1\n# be_id be_name\n", servers[:len(servers)-60] + "\n"} {
		if _, err := ParseServers(reply); !errors.Is(err, ErrReply) {
			t.Errorf("ParseServers(%q) = %v, want ErrReply", reply, err)
		}
	}
}

func TestParseProcs(t *testing.T) {
	got, err := ParseProcs(procs)
	want := Procs{
		Master:  Proc{PID: 7140, Reloads: 3, Failed: 1, Uptime: time.Second},
		Workers: []Proc{{PID: 7286, Uptime: time.Second}}, Old: []Proc{{PID: 7142, Reloads: 2, Uptime: 9 * time.Second}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("processes (-want +got), %v:\n%s", err, diff)
	}
	got, err = ParseProcs(failedProcs)
	want = Procs{
		Master:  Proc{PID: 967, Reloads: 5, Failed: 2, Uptime: 9 * time.Second},
		Workers: []Proc{{PID: 1597, Reloads: 2, Uptime: 3 * time.Second}}, Old: []Proc{{PID: 1590, Reloads: 4, Uptime: 9 * time.Second}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("processes after a failure (-want +got), %v:\n%s", err, diff)
	}
	if _, err := ParseProcs("\n"); !errors.Is(err, ErrReply) {
		t.Errorf("ParseProcs of nothing = %v", err)
	}
}

func TestReplaced(t *testing.T) {
	p := Procs{
		Workers: []Proc{{PID: 4, Uptime: 5 * time.Second}},
		Old:     []Proc{{PID: 3, Reloads: 1, Uptime: time.Minute}, {PID: 2, Reloads: 3, Uptime: 50 * time.Hour}},
	}
	if got := p.Replaced(p.Old[0]); got != 5*time.Second {
		t.Errorf("the last to be replaced was so %v ago, want 5s", got)
	}
	if got := p.Replaced(p.Old[1]); got != time.Minute {
		t.Errorf("the first to be replaced was so %v ago, want 1m0s", got)
	}
	for text, want := range map[string]time.Duration{
		"2d03h00m01s": 51*time.Hour + time.Second, "0d00h00m00s": 0, "d": 0, "1d": 0, "-1d00h": 0, "99999999d01h": 0, "2.6.12-1+deb12u4": 0,
	} {
		if got := uptime([]string{"1", "worker", "0", text}); got != want {
			t.Errorf("uptime of %q = %v, want %v", text, got, want)
		}
	}
}

func TestParseReload(t *testing.T) {
	for _, reply := range []string{"", "\n", "Success=1\n", "Success=1\n--\n[NOTICE] (1) : New worker (2) forked\n"} {
		if err := ParseReload(reply); err != nil {
			t.Errorf("ParseReload(%q) = %v", reply, err)
		}
	}
	for reply, want := range map[string]string{
		failedReload:                      "haproxy says: config : parsing [a.cfg:11] : unknown keyword 'nonsense' in 'backend' section",
		"Success=0\n--\nno memory\n left": "haproxy says: no memory left",
		"Success=0\n":                     "haproxy says: ",
	} {
		if err := ParseReload(reply); err == nil || err.Error() != want {
			t.Errorf("ParseReload of a failure = %v, want %s", err, want)
		}
	}
	if err := ParseReload("Success=0\n--\nAnother reload is still in progress.\n\n"); !errors.Is(err, ErrBusy) {
		t.Errorf("ParseReload of a refusal = %v, want ErrBusy", err)
	}
}

func TestParseStats(t *testing.T) {
	got, err := ParseStats(stats + stats)
	if err != nil || len(got) != 6 {
		t.Fatalf("ParseStats = %v, %v", got, err)
	}
	a := got[1]
	if a.Proxy() != "be" || a.Server() != "a" || a.Status() != "UP" || a.Number("act") != 1 || a.Number("none") != -1 {
		t.Errorf("server a is %v", a)
	}
	if f := got[0]; f.Server() != Frontend || f.Status() != "OPEN" {
		t.Errorf("the frontend is %v", f)
	}
	for _, reply := range []string{"fe,FRONTEND\n", "# a\n\"", "# a\nb,c\n"} {
		if _, err := ParseStats(reply); !errors.Is(err, ErrReply) {
			t.Errorf("ParseStats(%q) = %v, want ErrReply", reply, err)
		}
	}
}

func TestParseInfo(t *testing.T) {
	i, err := ParseInfo("Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 7142\nStopping: 1\nMaxconn: 4096\n\n")
	if err != nil {
		t.Fatal(err)
	}
	if major, minor := i.Release(); major != 2 || minor != 6 || !i.Stopping() || i.Number("Maxconn") != 4096 || i.Number("x") != -1 {
		t.Errorf("info is %v, release %d.%d", i, major, minor)
	}
	for version, want := range map[string][2]int{"3.2-dev1": {3, 2}, "3": {}, "a.b": {}, "": {}} {
		if major, minor := (Info{"Version": version}).Release(); major != want[0] || minor != want[1] {
			t.Errorf("release of %q is %d.%d, want %v", version, major, minor, want)
		}
	}
	for _, reply := range []string{"", "\n", "Name: HAProxy\n", "Name: ProxySQL\nPid: 1\n"} {
		if _, err := ParseInfo(reply); !errors.Is(err, ErrReply) {
			t.Errorf("ParseInfo(%q) = %v, want ErrReply", reply, err)
		}
	}
}

func TestParseEnv(t *testing.T) {
	got := ParseEnv("A=b\nHARECONCILE_STRUCT=x=y\nno\n\n")
	if diff := cmp.Diff(map[string]string{"A": "b", "HARECONCILE_STRUCT": "x=y"}, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

// FuzzReplies wants an end without a panic, and ports and pids that can be.
func FuzzReplies(f *testing.F) {
	for _, s := range []string{servers, procs, failedProcs, failedReload, stats, "Name: HAProxy\nPid: 1\n", "1\n# ", "# workers\n1 worker x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if i, err := ParseInfo(s); err == nil && i.Number("Pid") <= 0 {
			t.Errorf("a process without a pid: %v", i)
		}
		if p, err := ParseProcs(s); err == nil && p.Master.PID == 0 {
			t.Errorf("processes without a master: %v", p)
		}
		_, _ = ParseStats(s)
		_, _ = ParseServers(s)
		ParseEnv(s)
		_ = ParseReload(s)
	})
}
