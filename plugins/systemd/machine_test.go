package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spawn"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A machine is a real systemd, the first process of namespaces of its own, with Debian's
// system bus and its policy.
type machine struct {
	t      *testing.T
	dir    string
	root   *line  // a client that may do everything
	binary string // of the plugin
}

// outer makes a control group for systemd and takes it away at the end. systemd sees this
// machine's files, but cannot write them or the kernel's settings. It has a /run and an identity
// of its own, its group for the root of all groups, no network, and no right to the clock or to
// modules.
const outer = `
dir=$1
mount --make-rprivate /
mount -t cgroup2 none "$dir/cgroup"
own=$(sed -n 's/^0:://p' /proc/self/cgroup)
case $own in */..*) own=/ ;; esac # in a container that sees less than there is
group=$dir/cgroup$own/hareconcile-test-$$
mkdir "$group"
sh -euc 'echo 0 >"$1/cgroup.procs"
	exec unshare --cgroup --pid --uts --ipc --net --mount-proc --fork --kill-child=KILL sh -euc "$3" sh "$2"' sh "$group" "$dir" "$2" &
trap 'kill -KILL $!' TERM
wait $! || true
wait $! || true
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
	[ -d "$group" ] || exit 0
	sleep 0.1
done
echo "the control group is still there: $(cat "$group"/*/cgroup.procs)"
exit 1
`

const inner = `
dir=$1
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
mount -o bind,ro /proc/sys /proc/sys
mount --bind "$dir" "$dir"
mount --bind "$dir/machine-id" /etc/machine-id
mount -o remount,bind,ro /
export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$dir/bus" container=test SYSTEMD_UNIT_PATH="$dir/units" SYSTEMD_GENERATOR_PATH="$dir/none" SYSTEMD_ENVIRONMENT_GENERATOR_PATH="$dir/none"
exec setpriv --bounding-set=-sys_time,-sys_module,-sys_boot,-sys_rawio,-syslog \
	/lib/systemd/systemd --system --unit=default.target --log-target=null --show-status=no </dev/null
`

// base are the units without which there is no bus.
var base = map[string]string{
	"default.target": "[Unit]\nWants=dbus.socket dbus.service\n",
	"dbus.socket":    "[Socket]\nListenStream=DIR/bus\n",
	"dbus.service":   "[Unit]\nRequires=dbus.socket\n[Service]\nType=notify\nExecStart=/usr/bin/dbus-daemon --config-file=DIR/bus.conf --address=systemd: --nofork --nopidfile --systemd-activation\nOOMScoreAdjust=0\n",
}

// boot starts a machine with units, by name.
func boot(t *testing.T, units map[string]string) *machine {
	t.Helper()
	nstest.Need(t, "root", "netns", "systemctl", "dbus-daemon", "unshare", "setpriv")
	m := &machine{t: t, dir: openDir(t)}
	for _, name := range []string{"units", "cgroup", "none"} {
		if err := os.Mkdir(filepath.Join(m.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.file("machine-id", strings.Repeat("0123456789abcdef", 2)+"\n")
	m.file("bus.conf", "<busconfig><include>/usr/share/dbus-1/system.conf</include></busconfig>\n")
	for name, text := range base {
		m.unit(name, text)
	}
	for name, text := range units {
		m.unit(name, text)
	}
	cmd := exec.Command("sh", "-euc", outer, "sh", m.dir, inner)
	said := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM, Setpgid: true}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		spawn.OnOwnThread(func() {
			err := cmd.Start()
			started <- err
			if err == nil {
				_ = cmd.Wait() // what it says is in cmd.ProcessState
			}
		})
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		<-ended
		if !cmd.ProcessState.Success() || t.Failed() {
			t.Errorf("the machine ended with %v and said: %s", cmd.ProcessState, said)
		}
	})
	m.connect(ended)
	return m
}

// connect waits until the bus is there and systemd is on it.
func (m *machine) connect(ended <-chan struct{}) {
	m.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(m.t.Context(), 30*time.Second)
	defer cancel()
	for {
		l, err := dial(ctx, m.bus())
		if err == nil {
			m.root = l
			m.t.Cleanup(l.close)
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			m.t.Fatal("systemd did not start")
		case <-ctx.Done():
			m.t.Fatalf("systemd did not come: %v", err)
		}
	}
}

func (m *machine) bus() string { return filepath.Join(m.dir, "bus") }

func (m *machine) file(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(strings.ReplaceAll(text, "DIR", m.dir)), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// unit writes a unit. It has no dependencies on units that this machine does not have.
func (m *machine) unit(name, text string) {
	m.t.Helper()
	if !strings.HasPrefix(text, "[Unit]\n") {
		text = "[Unit]\n" + text
	}
	m.file("units/"+name, strings.Replace(text, "[Unit]\n", "[Unit]\nDefaultDependencies=no\n", 1))
}

// do calls a method of systemd's manager as root.
func (m *machine) do(t *testing.T, method string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := m.root.call(ctx, managerObj, manager+"."+method, args...).Err; err != nil {
		t.Fatalf("%s%q: %v", method, args, err)
	}
}

func (m *machine) start(t *testing.T, unit string) { t.Helper(); m.do(t, "StartUnit", unit, "replace") }

// config is the configuration of a tracker of this machine.
func (m *machine) config(unit string, more map[string]any) string {
	c := map[string]any{"unit": unit, "bus": m.bus()}
	for k, v := range more {
		c[k] = v
	}
	b, err := json.Marshal(c)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// instance makes an instance of a tracker.
func (m *machine) instance(t *testing.T, unit string, more map[string]any) *instance {
	t.Helper()
	return newInstance(t, m.config(unit, more))
}

// An instance is asked until it says what a test waits for.
type instance struct {
	*unit
	t *testing.T
}

func newInstance(t *testing.T, config string) *instance {
	t.Helper()
	tr := newTracker()
	v, err := sdk.ParseValue(tr.Schema(), []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	i, err := tr.New(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	u := i.(*unit)
	t.Cleanup(func() { _ = u.Close() })
	return &instance{u, t}
}

// look looks once.
func (i *instance) look(timeout time.Duration) sdk.Result {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), timeout)
	defer cancel()
	r, err := i.Check(ctx)
	if err != nil {
		return sdk.Result{Status: sdk.Unknown, Detail: err.Error()}
	}
	return r
}

// await looks until the result is as wanted.
func (i *instance) await(want sdk.Status, code string) sdk.Result {
	i.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		r := i.look(5 * time.Second)
		if r.Status == want && r.Code == code {
			return r
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			i.t.Fatalf("result is still %s %s %q, want %s %s", r.Status, r.Code, r.Detail, want, code)
		}
	}
}

// told waits for what a watched unit sends.
func told(t *testing.T, from <-chan sdk.Result, want sdk.Status, code string) sdk.Result {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	var seen []string
	for {
		select {
		case r, ok := <-from:
			if !ok {
				t.Fatalf("the plugin ended the stream after %q, want %s %s", seen, want, code)
			}
			if r.Status == want && r.Code == code {
				return r
			}
			seen = append(seen, fmt.Sprintf("%s %s", r.Status, r.Code))
		case <-deadline.C:
			t.Fatalf("told %q, want %s %s", seen, want, code)
		}
	}
}

// openDir is a folder that every user may enter, with a path short enough for a socket.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "systemd")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
