package ipvs

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloudflare/ipvs"
	"github.com/vishvananda/netlink"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func daemon(role string, id uint8) resource.IPVSSync {
	return resource.IPVSSync{Role: role, Interface: "ka0", SyncID: id}
}

func daemonsConformance(t *testing.T, e env) {
	tuned := daemon("backup", 9)
	tuned.MaxLen, tuned.Group, tuned.Port, tuned.TTL = 1400, netip.MustParseAddr("239.1.2.3"), 9000, 5
	six := daemon("master", 255)
	six.Group, six.TTL = netip.MustParseAddr("ff05::51"), 3
	small := daemon("backup", 0)
	small.MaxLen = 10 // the kernel takes 1024
	large := daemon("master", 0)
	large.MaxLen = 65535 // the kernel takes what leaves room for headers
	reconciletest.TestAll(t, e.hs[3:],
		reconciletest.Set(daemon("master", 1)),
		reconciletest.Set(daemon("master", 2), daemon("backup", 2)),
		reconciletest.Set(tuned),
		reconciletest.Set(six, tuned),
		reconciletest.Set(large, small))

	e.create(t, daemonEntry{state: stateMaster, device: "ka0", syncID: 4})
	reconciletest.Adopt(t, e.hs[3:], daemon("master", 4))
	e.create(t, daemonEntry{state: stateMaster, device: "ka0", syncID: 5, port: 9999})
	reconciletest.Conflict(t, e.hs[3:], daemon("master", 5))
	create := reconcile.Change{Action: reconcile.Create, ID: daemon("master", 5).ID(), After: daemon("master", 5)}
	if err := e.hs[3].Apply(t.Context(), create); err == nil || e.ledger.Has(create.ID) {
		t.Errorf("Apply = %v, recorded = %v, want an error: another runs", err, e.ledger.Has(create.ID))
	}
	reconciletest.TakeOver(t, e.hs[3:], daemon("master", 5))

	e.create(t, daemonEntry{state: stateMaster, device: "ka0", syncID: 256 + 5})
	reconciletest.Conflict(t, e.hs[3:], daemon("master", 5))
	reconciletest.TakeOver(t, e.hs[3:], daemon("master", 5))

	nowhere := daemon("master", 1)
	nowhere.Interface = "nosuch"
	create = reconcile.Change{Action: reconcile.Create, ID: nowhere.ID(), After: nowhere}
	if err := e.hs[3].Apply(t.Context(), create); !errors.Is(err, syscall.ENODEV) || e.ledger.Has(nowhere.ID()) {
		t.Errorf("Apply = %v, recorded = %v, want ENODEV and no record", err, e.ledger.Has(nowhere.ID()))
	}
}

func daemonDrift(t *testing.T, e env) {
	want := reconciletest.Set(daemon("master", 1), daemon("backup", 1))
	reconciletest.Apply(t, e.hs, want)
	stop := func(state uint32) {
		if err := e.table.stopDaemon(daemonEntry{state: state, device: "ka0"}); err != nil {
			t.Fatal(err)
		}
	}
	stop(stateMaster)
	stop(stateBackup)
	e.create(t, daemonEntry{state: stateMaster, device: "ka0", syncID: 1, ttl: 9})
	plan := reconciletest.Apply(t, e.hs, want)
	if plan.Count(reconcile.Update) != 1 || plan.Count(reconcile.Create) != 1 {
		t.Errorf("plan = %+v, want an update of the master and a new backup", plan)
	}
	for _, c := range plan.Changes {
		if c.Action == reconcile.Update && c.Before.(resource.IPVSSync).TTL != 9 {
			t.Errorf("before = %+v, want the TTL of 9 that somebody chose", c.Before)
		}
	}
	if plan := reconciletest.Plan(t, e.hs, want); !plan.Empty() {
		t.Errorf("second plan = %+v, want nothing", plan)
	}
}

// newInterface gives the daemon's interface a successor of the same name.
func newInterface(t *testing.T, e env) {
	want := reconciletest.Set(daemon("master", 1))
	reconciletest.Apply(t, e.hs, want)
	link, err := netlink.LinkByName("ka0")
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	plan := reconciletest.Plan(t, e.hs, want)
	if err := plan.Apply(t.Context(), e.hs, nil); !errors.Is(err, syscall.ENODEV) || plan.Count(reconcile.Update) != 1 {
		t.Errorf("Apply of %+v = %v, want one update and ENODEV", plan, err)
	}
	addInterface(t)
	if plan := reconciletest.Apply(t, e.hs, want); plan.Count(reconcile.Create) != 1 {
		t.Errorf("plan = %+v, want a new daemon", plan)
	}
	if link, err = netlink.LinkByName("ka0"); err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	addInterface(t)
	if plan := reconciletest.Apply(t, e.hs, want); plan.Count(reconcile.Update) != 1 {
		t.Errorf("plan = %+v, want the daemon restarted on the new interface", plan)
	}
	if plan := reconciletest.Plan(t, e.hs, want); !plan.Empty() {
		t.Errorf("second plan = %+v, want nothing", plan)
	}
}

// daemonDefaults writes out what was the kernel's choice before, and back.
func daemonDefaults(t *testing.T, e env) {
	plain := daemon("master", 1)
	reconciletest.Apply(t, e.hs, reconciletest.Set(plain))
	written := plain
	written.Port, written.TTL, written.Group, written.MaxLen = 8848, 1, netip.MustParseAddr("224.0.0.81"), 1472
	for _, v := range []resource.IPVSSync{written, plain} {
		reconciletest.Apply(t, e.hs, reconciletest.Set(v))
		if plan := reconciletest.Plan(t, e.hs, reconciletest.Set(v)); !plan.Empty() {
			t.Errorf("second plan to %+v = %+v, want nothing", v, plan)
		}
	}
}

func mixedAndDaemons(t *testing.T, e env) {
	six := server(web, "[2001:db8::21]:80", resource.ForwardTunnel, 1)
	reconciletest.Apply(t, e.hs, reconciletest.Set(web, six))
	want := reconciletest.Set(web, six, daemon("master", 1))
	plan := reconciletest.Plan(t, e.hs, want)
	if err := plan.Apply(t.Context(), e.hs, nil); !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "another family") {
		t.Errorf("Apply = %v, want an error about families", err)
	}
	want = reconciletest.Set(web, daemon("master", 1))
	reconciletest.Apply(t, e.hs, reconciletest.Set(web))
	reconciletest.Apply(t, e.hs, want)
	plan = reconciletest.Plan(t, e.hs, reconciletest.Set(web, six, daemon("master", 1)))
	if err := plan.Apply(t.Context(), e.hs, nil); !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "synchronisation daemon") {
		t.Errorf("Apply = %v, want an error about the daemon", err)
	}
	if plan := reconciletest.Plan(t, e.hs, want); !plan.Empty() {
		t.Errorf("plan = %+v, want nothing: what failed left nothing", plan)
	}

	// Neither stands in the other's way for good: the second plan makes what the first could not.
	other := service("tcp 192.0.2.2:80", "rr")
	for _, want := range []resource.Set{
		reconciletest.Set(web, six),
		reconciletest.Set(other, daemon("backup", 1)),
	} {
		if err := reconciletest.Plan(t, e.hs, want).Apply(t.Context(), e.hs, nil); err == nil {
			t.Error("Apply = nil, want an error: one is in the way of the other")
		}
		reconciletest.Apply(t, e.hs, want)
		if plan := reconciletest.Plan(t, e.hs, want); !plan.Empty() {
			t.Errorf("plan = %+v, want nothing", plan)
		}
	}
}

func timeoutsStory(t *testing.T, e env) {
	config := func() ipvs.Config {
		t.Helper()
		c, err := e.client.Config()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := ipvs.Config{TCPTimeout: 901, TCPFinTimeout: 121, UDPTimeout: 301}
	if err := e.client.SetConfig(before); err != nil {
		t.Fatal(err)
	}
	duration := func(d time.Duration) resource.Duration { return resource.Duration(d) }
	reconciletest.Test(t, e.hs[2],
		reconciletest.Set(resource.IPVSTimeouts{TCP: duration(time.Hour)}),
		reconciletest.Set(resource.IPVSTimeouts{TCP: duration(2 * time.Hour), UDP: duration(time.Second)}),
		reconciletest.Set(resource.IPVSTimeouts{TCPFin: duration(time.Minute)}))
	if got := config(); got != before {
		t.Errorf("config = %+v, want %+v as before", got, before)
	}

	want := resource.IPVSTimeouts{TCP: duration(time.Hour)}
	reconciletest.Apply(t, e.hs, reconciletest.Set(want))
	if got := config(); got.TCPTimeout != 3600 || got.UDPTimeout != 301 {
		t.Errorf("config = %+v, want 3600 for tcp and 301 for udp", got)
	}
	if err := e.client.SetConfig(ipvs.Config{TCPTimeout: 5, UDPTimeout: 6}); err != nil {
		t.Fatal(err)
	}
	plan := reconciletest.Apply(t, e.hs, reconciletest.Set(want))
	if plan.Count(reconcile.Update) != 1 || config().TCPTimeout != 3600 || config().UDPTimeout != 6 {
		t.Errorf("plan = %+v and config = %+v, want one update and tcp back at 3600", plan, config())
	}
	want.TCP = duration(365 * 24 * time.Hour) // more than an int of jiffies
	update := reconcile.Change{Action: reconcile.Update, ID: want.ID(), After: want}
	if err := e.hs[2].Apply(t.Context(), update); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Apply of a year = %v, want EINVAL", err)
	}
	reconciletest.Apply(t, e.hs, resource.Set{})
	if got := config(); got.TCPTimeout != 901 || got.UDPTimeout != 6 {
		t.Errorf("config = %+v, want 901 for tcp and 6 for udp", got)
	}
}
