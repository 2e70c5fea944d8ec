package tunnel

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A command is what somebody else does with ip(8).
type command any

type (
	linkUp   string
	linkDown string
	dummy    string
	fouPort  struct {
		number  uint16
		unwraps string
	}
	closePort uint16
)

// env is one host, our handler for it and somebody else with ip(8).
type env struct {
	t      *testing.T
	ledger *ledger.Ledger
	h      *handler
	hs     []reconcile.Handler
	ip     func(command)
}

func newEnv(t *testing.T, h host, ip func(command)) env {
	t.Helper()
	l, err := ledger.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e := env{t: t, ledger: l, h: &handler{host: h, ledger: l}, ip: ip}
	e.hs = []reconcile.Handler{e.h}
	return e
}

type story struct {
	name string
	f    func(*testing.T, env)
}

// TestFake runs every story on a host in memory, TestKernel on the kernel.
func TestFake(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			f := newFake()
			s.f(t, newEnv(t, f, f.ip))
		})
	}
}

func TestKernel(t *testing.T) {
	if nstest.UML(t) {
		return
	}
	t.Run("what is missing is told before anything is touched", withoutFOU)
	for _, s := range append(stories, kernelStories...) {
		t.Run(s.name, func(t *testing.T) {
			nstest.Need(t, "fou")
			ns := nstest.New(t)
			ns.Do(func() { s.f(t, newEnv(t, kernel{}, func(c command) { run(ns, c) })) })
		})
	}
	t.Run("devices are made where the kernel makes none", withoutFallback)
}

func run(ns *nstest.NS, c command) {
	switch c := c.(type) {
	case linkUp:
		ns.Run("ip", "link", "set", string(c), "up")
	case linkDown:
		ns.Run("ip", "link", "set", string(c), "down")
	case dummy:
		ns.Run("ip", "link", "set", string(c), "name", "other0")
		ns.Run("ip", "link", "add", string(c), "type", "dummy")
	case fouPort:
		how := []string{"gue"}
		if c.unwraps != "gue" {
			how = []string{"ipproto", "4"}
		}
		ns.Run("ip", append([]string{"fou", "add", "port", fmt.Sprint(c.number)}, how...)...)
	case closePort:
		ns.Run("ip", "fou", "del", "port", fmt.Sprint(uint16(c)))
	}
}

var (
	tunl0   = resource.Tunnel{Device: "tunl0", Type: "ipip"}
	sit0    = resource.Tunnel{Device: "sit0", Type: "ipip"}
	ip6tnl0 = resource.Tunnel{Device: "ip6tnl0", Type: "ipip"}
	gre0    = resource.Tunnel{Device: "gre0", Type: "gre"}
	ip6gre0 = resource.Tunnel{Device: "ip6gre0", Type: "gre"}
)

func gue(device string, number uint16) resource.Tunnel {
	return resource.Tunnel{Device: device, Type: "gue", Port: number}
}

var stories = []story{
	{"conformance", conformance},
	{"what somebody else had up stays up", adopted},
	{"a port that somebody else opened stays open", adoptedPort},
	{"a device put down by hand comes up again", down},
	{"a port closed by hand is opened again", closed},
	{"two tunnels on one device leave it together", shared},
	{"a name or port of another sort is a conflict", conflict},
	{"a restart keeps what was there before", restart},
	{"what cannot be is refused", refused},
	{"from any state to any state", anyState},
}

func conformance(t *testing.T, e env) {
	all := reconciletest.Set(tunl0, sit0, ip6tnl0, gre0, ip6gre0)
	reconciletest.TestAll(t, e.hs,
		reconciletest.Set(tunl0),
		reconciletest.Set(tunl0, gue("tunl0", 5555), gue("ip6tnl0", 5555)),
		all,
		reconciletest.Set(gue("tunl0", 5555), gue("sit0", 5555), gue("tunl0", 5556), ip6gre0),
		reconciletest.Set(gue("sit0", 5555), ip6tnl0))
	s, err := e.h.host.look()
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range s.devices {
		if d.Up || name == "ip6tnl0" && d.Proto != unix.IPPROTO_IPV6 {
			t.Errorf("%s = %+v after everything was deleted, want it down", name, d)
		}
	}
	if len(s.ports) != 0 {
		t.Errorf("ports = %v, want none", s.ports)
	}
}

// prepared makes the devices appear, down and nobody's.
func (e env) prepared(ts ...resource.Tunnel) {
	e.t.Helper()
	set := resource.Set{}
	for _, v := range ts {
		set[v.ID()] = v
	}
	reconciletest.Apply(e.t, e.hs, set)
	reconciletest.Apply(e.t, e.hs, resource.Set{})
}

func adopted(t *testing.T, e env) {
	e.prepared(tunl0, ip6tnl0)
	e.ip(linkUp("tunl0"))
	e.ip(linkUp("ip6tnl0"))
	want := reconciletest.Set(tunl0, ip6tnl0)
	if plan := reconciletest.Apply(t, e.hs, want); plan.Count(reconcile.Adopt) != 1 || plan.Count(reconcile.Create) != 1 {
		t.Errorf("plan = %+v, want tunl0 adopted, and ip6tnl0, which takes IPv6 only, made", plan)
	}
	if d := cmp.Diff(want, reconciletest.Observe(t, e.hs...).Owned); d != "" {
		t.Errorf("owned (-want +got):\n%s", d)
	}
	reconciletest.Apply(t, e.hs, resource.Set{})
	s, err := e.h.host.look()
	if err != nil || !s.devices["tunl0"].Up || s.devices["ip6tnl0"] != (device{"ip6tnl", true, unix.IPPROTO_IPV6}) {
		t.Errorf("state after deletion = %+v, %v, want both devices as they were", s, err)
	}
	if live := reconciletest.Observe(t, e.hs...); live.Foreign[tunl0.ID()] != any(tunl0) || len(live.Owned) != 0 {
		t.Errorf("live = %v, want tunl0 foreign again", live)
	}
}

func adoptedPort(t *testing.T, e env) {
	v := gue("tunl0", 5555)
	e.prepared(tunl0)
	e.ip(fouPort{5555, "gue"})
	if plan := reconciletest.Apply(t, e.hs, reconciletest.Set(v)); plan.Count(reconcile.Create) != 1 {
		t.Errorf("plan = %+v, want one creation: the device was down", plan)
	}
	reconciletest.Apply(t, e.hs, resource.Set{})
	s, err := e.h.host.look()
	if err != nil || s.devices["tunl0"].Up || s.ports[portOf(v)] != "gue" {
		t.Errorf("state = %+v, %v, want the port open and the device down", s, err)
	}
}

func down(t *testing.T, e env) {
	want := reconciletest.Set(tunl0)
	reconciletest.Apply(t, e.hs, want)
	e.ip(linkDown("tunl0"))
	plan := reconciletest.Apply(t, e.hs, want)
	if plan.Count(reconcile.Update) != 1 || len(plan.Changes) != 1 {
		t.Errorf("plan = %+v, want one update", plan)
	}
	if plan := reconciletest.Plan(t, e.hs, want); !plan.Empty() {
		t.Errorf("second plan = %+v, want nothing", plan)
	}
	e.ip(linkDown("tunl0"))
	reconciletest.Apply(t, e.hs, resource.Set{})
	if ids := e.ledger.IDs(resource.KindTunnel); len(ids) != 0 {
		t.Errorf("the ledger still has %v", ids)
	}
}

func closed(t *testing.T, e env) {
	want := reconciletest.Set(gue("tunl0", 5555))
	reconciletest.Apply(t, e.hs, want)
	e.ip(closePort(5555))
	plan := reconciletest.Apply(t, e.hs, want)
	if before, ok := plan.Changes[0].Before.(resource.Tunnel); !ok || before.Type != "gue (port closed)" {
		t.Errorf("plan = %+v, want an update of the closed port", plan)
	}
	if plan := reconciletest.Plan(t, e.hs, want); !plan.Empty() {
		t.Errorf("second plan = %+v, want nothing", plan)
	}
}

func shared(t *testing.T, e env) {
	both := reconciletest.Set(tunl0, gue("tunl0", 5555))
	reconciletest.Apply(t, e.hs, reconciletest.Set(tunl0))
	if live := reconciletest.Observe(t, e.hs...); len(live.Foreign) != 0 {
		t.Errorf("foreign = %v, want nothing", live.Foreign)
	}
	reconciletest.Apply(t, e.hs, both)
	reconciletest.Apply(t, e.hs, reconciletest.Set(gue("tunl0", 5555)))
	s, err := e.h.host.look()
	if err != nil || !s.devices["tunl0"].Up {
		t.Errorf("state = %+v, %v, want tunl0 up for the other", s, err)
	}
	if live := reconciletest.Observe(t, e.hs...); len(live.Foreign) != 0 {
		t.Errorf("foreign = %v, want nothing: tunl0 is up because of ours", live.Foreign)
	}
	reconciletest.Apply(t, e.hs, resource.Set{})
	if s, err = e.h.host.look(); err != nil || s.devices["tunl0"].Up || len(s.ports) != 0 {
		t.Errorf("state = %+v, %v, want tunl0 down and no port", s, err)
	}
}

func conflict(t *testing.T, e env) {
	e.prepared(tunl0)
	e.ip(fouPort{5555, "fou"})
	reconciletest.Conflict(t, e.hs, gue("tunl0", 5555))
	c := reconcile.Change{Action: reconcile.Update, ID: gue("tunl0", 5555).ID(), After: gue("tunl0", 5555)}
	if err := e.h.Apply(t.Context(), c); err == nil || !strings.Contains(err.Error(), "fou") {
		t.Errorf("Apply = %v, want an error that names fou", err)
	}
	if errs := e.h.Preflight(t.Context(), []reconcile.Change{c, {After: tunl0}}); errs[0] == nil || errs[1] != nil {
		t.Errorf("Preflight = %v, want an error for the first alone", errs)
	}
}

func restart(t *testing.T, e env) {
	e.prepared(tunl0)
	e.ip(linkUp("tunl0"))
	dir := t.TempDir()
	again := func() []reconcile.Handler {
		l, err := ledger.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return []reconcile.Handler{&handler{host: e.h.host, ledger: l}}
	}
	reconciletest.Apply(t, again(), reconciletest.Set(tunl0, gre0))
	if plan := reconciletest.Plan(t, again(), reconciletest.Set(tunl0, gre0)); !plan.Empty() {
		t.Errorf("plan after a restart = %+v, want nothing", plan)
	}
	reconciletest.Apply(t, again(), resource.Set{})
	s, err := e.h.host.look()
	if err != nil || !s.devices["tunl0"].Up || s.devices["gre0"].Up {
		t.Errorf("state = %+v, %v, want tunl0 up and gre0 down as they were", s, err)
	}
}

func refused(t *testing.T, e env) {
	for _, v := range []resource.Tunnel{
		{Device: "eth0", Type: "ipip"},
		{Device: "", Type: "gre"},
		{Device: "tunl0", Type: "gre"},
		{Device: "gre0", Type: "ipip"},
		{Device: "gre0", Type: "gue", Port: 5555},
		{Device: "tunl0", Type: "gue"},
		{Device: "tunl0", Type: "ipip", Port: 5555},
		{Device: "tunl0", Type: "vxlan"},
	} {
		c := reconcile.Change{Action: reconcile.Create, ID: v.ID(), After: v}
		if err := e.h.Apply(t.Context(), c); err == nil {
			t.Errorf("Apply(%+v) succeeded, want an error", v)
		}
	}
	if live := reconciletest.Observe(t, e.hs...); len(live.Owned) != 0 {
		t.Errorf("owned = %v, want nothing", live.Owned)
	}
}

var kernelStories = []story{
	{"a device of another type is a conflict", func(t *testing.T, e env) {
		e.prepared(tunl0)
		e.ip(dummy("tunl0"))
		reconciletest.Conflict(t, e.hs, tunl0)
	}},
	{"a port that a program has is an error", func(t *testing.T, e env) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			defer unix.Close(fd)
			err = unix.Bind(fd, &unix.SockaddrInet4{Port: 5555})
		}
		if err != nil {
			t.Fatal(err)
		}
		v := gue("tunl0", 5555)
		c := reconcile.Change{Action: reconcile.Create, ID: v.ID(), After: v}
		if err := e.h.Apply(t.Context(), c); err == nil || !strings.Contains(err.Error(), "5555") {
			t.Errorf("Apply = %v, want an error that names the port", err)
		}
	}},
}

// withoutFOU runs first: no other test has loaded the module yet.
func withoutFOU(t *testing.T) {
	nstest.New(t).Do(func() {
		e := newEnv(t, kernel{}, nil)
		if s, err := e.h.host.look(); err != nil || s.ports != nil {
			t.Logf("the module fou is loaded already (%v)", err)
			return
		}
		cs := []reconcile.Change{{Action: reconcile.Create, After: gue("tunl0", 5555)}, {Action: reconcile.Create, After: tunl0}}
		if errs := e.h.Preflight(t.Context(), cs); errs[0] != errNoFOU || errs[1] != nil {
			t.Errorf("Preflight = %v, want an error for gue alone", errs)
		}
		if err := e.h.Apply(t.Context(), cs[0]); err != errNoFOU {
			t.Errorf("Apply = %v, want %v", err, errNoFOU)
		}
	})
}

// withoutFallback has a namespace in which modules make no devices.
func withoutFallback(t *testing.T) {
	const path = "/proc/sys/net/core/fb_tunnels_only_for_init_net"
	before, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte("2"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(path, before, 0o644); err != nil {
			t.Error(err)
		}
	})
	nstest.New(t).Do(func() {
		e := newEnv(t, kernel{}, nil)
		reconciletest.TestAll(t, e.hs, reconciletest.Set(tunl0, sit0, ip6tnl0, gre0, ip6gre0), reconciletest.Set(ip6tnl0))
		if s, err := e.h.host.look(); err != nil || len(s.devices) != 0 {
			t.Errorf("state after deletion = %+v, %v, want no device", s, err)
		}
	})
}
