package haproxy_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/haproxy"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// What the processes of TestUnderTheUnit find in their environment: which they are, a file with
// the unit, and the ports that haproxy has.
const (
	stageEnv = "HARECONCILE_TEST_STAGE"
	unitEnv  = "HARECONCILE_TEST_UNIT"
	portsEnv = "HARECONCILE_TEST_PORTS"
)

// TestUnderTheUnit applies a definition as the agent of dist/hareconcile.service does: with its
// capabilities and no others, without new privileges, with the files that it may write to and a
// /tmp of its own. haproxy runs outside, as root with all rights and a worker of another user.
// Each line of the unit that is there for haproxy is taken away once, which must fail.
//
// Three processes are this test: the host, whose /etc/haproxy, /run and /var/lib are its own, the
// one that takes its own rights, and the agent, which has none left.
func TestUnderTheUnit(t *testing.T) {
	nstest.Need(t, "root", "haproxy")
	switch os.Getenv(stageEnv) {
	case "":
		if out, err := stage("host").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	case "host":
		unitHost(t)
	case "confined":
		confine(t)
	case "agent":
		unitAgent(t)
	}
}

// stage returns this test as another process with mounts of its own.
func stage(name string, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestUnderTheUnit$", "-test.count=1", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), append(env, stageEnv+"="+name)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// onHost are the places of examples/haproxy.
var onHost = haproxy.Managed{
	Path: "/etc/haproxy/hareconcile.d/50-hareconcile.cfg", RuntimeSocket: "/run/hareconcile/haproxy.sock", MasterSocket: "/run/haproxy-master.sock",
	Maps: []string{"/etc/haproxy/hosts.map"},
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func unitHost(t *testing.T) {
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	for _, dir := range []string{"/etc/haproxy", "/run", "/var/lib"} {
		must(t, os.MkdirAll(dir, 0o755), unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"))
	}
	for _, dir := range []string{"/etc/haproxy/hareconcile.d", "/run/hareconcile", "/var/lib/hareconcile", "/var/lib/haproxy"} {
		must(t, os.Mkdir(dir, 0o755))
	}
	h := prepared(t)
	h.write("user.cfg", strings.Replace(h.read(h.path("user.cfg")), "global\n", "global\n user nobody\n", 1))
	must(t, os.WriteFile("/etc/haproxy/user.cfg", []byte(h.read(h.path("user.cfg"))), 0o600))
	h.dir, h.managed = "/etc/haproxy", onHost
	h.start("-f", "hareconcile.d")

	whole := unit(t)
	without := func(line string) string {
		if !strings.Contains(whole, line) {
			t.Fatalf("the unit has no %q", line)
		}
		return strings.Replace(whole, line, "", 1)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"without CAP_SYS_PTRACE", without(" CAP_SYS_PTRACE"), "permission denied"},
		{"without ReadWritePaths", without("ReadWritePaths=-/etc/haproxy\n"), "read-only file system"},
		{"with MemoryDenyWriteExecute", whole + "MemoryDenyWriteExecute=yes\n", "jit compilation failed"},
		{"as it is", whole, ""},
	} {
		file := filepath.Join("/run", "unit")
		must(t, os.WriteFile(file, []byte(tt.text), 0o600))
		out, err := stage("confined", unitEnv+"="+file, fmt.Sprintf("%s=%d %d", portsEnv, h.user, h.port)).CombinedOutput()
		if (err == nil) != (tt.want == "") || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s: %v, want %q in\n%s", tt.name, err, tt.want, out)
		}
	}
	if n := h.procs().Master.Reloads; n != 2 {
		t.Errorf("%d reloads, want 2", n)
	}
}

// settings returns the values of a setting of a unit, from all its lines.
func settings(unit, name string) []string {
	var out []string
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			out = append(out, strings.Fields(value)...)
		}
	}
	return out
}

// confine takes all rights that the unit does not give, and becomes the agent.
func confine(t *testing.T) {
	b, err := os.ReadFile(os.Getenv(unitEnv))
	must(t, err)
	text := string(b)
	yes := func(name string) bool { return slices.Equal(settings(text, name), []string{"yes"}) }
	if got := settings(text, "ProtectSystem"); !slices.Equal(got, []string{"strict"}) || !yes("PrivateTmp") || !yes("NoNewPrivileges") {
		t.Fatalf("this test does not know a unit with ProtectSystem=%s", got)
	}
	seal(t, text)
	runtime.LockOSThread()
	limit(t, settings(text, "CapabilityBoundingSet"))
	must(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	if yes("MemoryDenyWriteExecute") {
		must(t, unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0))
	}
	syscall.Umask(0o077)
	must(t, os.Setenv(stageEnv, "agent"))
	must(t, syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// seal makes everything read-only but what the unit names (systemd.exec(5), ProtectSystem).
func seal(t *testing.T, unit string) {
	t.Helper()
	readOnly := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	writable := &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, readOnly))
	open := settings(unit, "ReadWritePaths")
	for _, name := range settings(unit, "StateDirectory") {
		open = append(open, "/var/lib/"+name)
	}
	for _, name := range settings(unit, "RuntimeDirectory") {
		open = append(open, "/run/"+name)
	}
	for _, dir := range open {
		dir, optional := strings.CutPrefix(dir, "-")
		if _, err := os.Stat(dir); optional && err != nil {
			continue
		}
		must(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""), unix.MountSetattr(unix.AT_FDCWD, dir, 0, writable))
	}
	for _, dir := range []string{"/dev", "/proc", "/sys"} { // left to other settings
		must(t, unix.MountSetattr(unix.AT_FDCWD, dir, 0, writable))
	}
	must(t, unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777"))
}

// limit drops all capabilities but those of names from what this thread can ever have.
func limit(t *testing.T, names []string) {
	t.Helper()
	keep := map[int]bool{}
	for _, name := range names {
		bit, known := capabilities[name]
		if !known {
			t.Fatalf("the unit has %s, which this test does not know", name)
		}
		keep[bit] = true
	}
	for bit := range unix.CAP_LAST_CAP + 1 {
		if !keep[bit] {
			must(t, unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(bit), 0, 0, 0))
		}
	}
}

// unitAgent applies what takes a reload, what takes none, and a map that belongs to another user,
// and is refused a port that another program has.
func unitAgent(t *testing.T) {
	h := &host{t: t, managed: onHost}
	if _, err := fmt.Sscan(os.Getenv(portsEnv), &h.user, &h.port); err != nil {
		t.Fatal(err)
	}
	m := resource.HAProxyMap{Socket: onHost.RuntimeSocket, Path: onHost.Maps[0], Text: "a.example app\n"}
	h.managed.Texts = map[string]string{m.Path: m.Text}
	h.hs = haproxy.New(haproxy.Config{Managed: func() []haproxy.Managed { return []haproxy.Managed{h.managed} }, State: "/var/lib/hareconcile/haproxy"})
	c := h.plain()
	c.lines = []string{"http-request deny if { path_reg ^/private/[0-9]+$ }", "use_backend %[req.hdr(host),map(" + m.Path + ",app)]"}
	want := h.set(c)
	want[m.ID()] = m
	reconciletest.Apply(t, h.hs, want)

	must(t, os.Chown(m.Path, 65534, 65534)) // whoever did that, it stays so
	m.Text = "b.example app\n"
	c.client, c.servers[0].Weight = "9s", 77
	want = h.set(c)
	want[m.ID()] = m
	reconciletest.Apply(t, h.hs, want)
	if p := reconciletest.Plan(t, h.hs, want); !p.Empty() {
		t.Errorf("what is left is %+v", p)
	}
	st, err := os.Stat(m.Path)
	must(t, err)
	if sys := st.Sys().(*syscall.Stat_t); sys.Uid != 65534 || sys.Gid != 65534 || h.read(m.Path) != m.Text {
		t.Errorf("the map belongs to %d:%d and is %q", sys.Uid, sys.Gid, h.read(m.Path))
	}
	if live, err := reconcile.Observe(t.Context(), h.hs); err != nil || len(live.Foreign) > 0 {
		t.Errorf("Observe = %+v, %v", live, err)
	}
	var taken net.Listener
	for port := 1023; taken == nil && port > 900; port-- {
		taken, _ = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) // the next one
	}
	if taken == nil {
		t.Fatal("no port below 1024 is free")
	}
	defer taken.Close()
	c.lines = []string{"bind *:" + fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)}
	if err := h.apply(h.file(c)); err == nil || !strings.Contains(err.Error(), "another program listens on port") {
		t.Errorf("Apply = %v, want a refusal for the port", err)
	}
}

// TestTheUnitLetsWriteWhereDefinitionsMay: internal/haproxy has the folders that a definition may
// name files in without the consent of the host's owner.
func TestTheUnitLetsWriteWhereDefinitionsMay(t *testing.T) {
	got := settings(unit(t), "ReadWritePaths")
	if want := []string{"-/etc/haproxy", "-/var/lib/haproxy"}; !slices.Equal(got, want) {
		t.Errorf("ReadWritePaths = %q, want %q", got, want)
	}
}
