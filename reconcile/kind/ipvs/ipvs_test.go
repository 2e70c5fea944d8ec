package ipvs

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cloudflare/ipvs"
	"github.com/vishvananda/netlink"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// env is one host: its table, and our handlers for it. It has an interface ka0.
type env struct {
	client ipvs.Client // what somebody else uses
	table  *table      // the same, for what the library lacks
	ledger *ledger.Ledger
	hs     []reconcile.Handler // services, servers, timeouts, daemons
	fake   *fake               // nil on a kernel
}

func newEnv(t *testing.T, dial func() (socket, uint16, error), client func() (ipvs.Client, error), root string) env {
	t.Helper()
	l, err := ledger.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := client()
	if err != nil {
		t.Fatal(err)
	}
	other := &table{dial: dial}
	t.Cleanup(func() { other.drop(); _ = c.(io.Closer).Close() })
	return env{client: c, table: other, ledger: l, hs: []reconcile.Handler{
		newServices(dial, l, root), newServers(dial, l), &timeouts{client, l}, newSyncs(dial, l),
	}}
}

func newFakeEnv(t *testing.T) env {
	t.Helper()
	f := &fake{config: ipvs.Config{TCPTimeout: 900, TCPFinTimeout: 120, UDPTimeout: 300}}
	e := newEnv(t, f.dial, func() (ipvs.Client, error) { return f, nil }, t.TempDir())
	e.fake = f
	return e
}

func newKernelEnv(t *testing.T) env {
	t.Helper()
	addInterface(t)
	return newEnv(t, dialKernel, ipvs.New, "/")
}

// addInterface adds ka0.
func addInterface(t *testing.T) {
	t.Helper()
	ka0 := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "ka0"}}
	err := errors.Join(netlink.LinkAdd(ka0), netlink.LinkSetUp(ka0))
	for _, a := range []string{"10.7.7.1/24", "2001:db8:7::1/64"} {
		prefix, perr := netlink.ParseAddr(a)
		if err == nil {
			err = errors.Join(perr, netlink.AddrAdd(ka0, prefix))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFake runs every story on a table in memory, TestKernel on the kernel's.
func TestFake(t *testing.T) {
	for _, s := range append(stories, fakeStories...) {
		t.Run(s.name, func(t *testing.T) { s.f(t, newFakeEnv(t)) })
	}
}

func TestKernel(t *testing.T) {
	if nstest.UML(t) {
		return
	}
	onKernel(t, append(stories, kernelStories...))
	t.Run("available", func(t *testing.T) {
		if err := Available(); err != nil {
			t.Errorf("Available() = %v, want nil", err)
		}
	})
}

// TestKernelTables has a guest of its own, because large tables take time there.
func TestKernelTables(t *testing.T) {
	if nstest.UML(t) {
		return
	}
	onKernel(t, tableStories)
}

func onKernel(t *testing.T, list []story) {
	m := modules{root: "/", known: map[string]bool{}}
	for _, s := range fakeSchedulers { // the vandals load none before they ask
		m.load(t.Context(), "ip_vs_"+s)
	}
	for _, s := range list {
		t.Run(s.name, func(t *testing.T) {
			nstest.New(t).Do(func() { s.f(t, newKernelEnv(t)) })
		})
	}
}

type story struct {
	name string
	f    func(*testing.T, env)
}

var stories = []story{
	{"conformance", conformance},
	{"adoption of a service with its servers", adoption},
	{"a different foreign service is a conflict and its servers stay", conflict},
	{"an equal service with persistence is a conflict", persistent},
	{"what no cluster file can ask for is left alone", strange},
	{"a foreign server in our service stays", foreignServer},
	{"a weight changed by hand is changed back", weight},
	{"a table flushed by hand is made again", flushed},
	{"a record without an object is harmless", staleRecord},
	{"what appears in the place of something of ours is not ours", successor},
	{"an object made meanwhile is not taken", meanwhile},
	{"an adoption that fails leaves no record", failedTakeOver},
	{"one of a batch that cannot be made is named and the others are made", batch},
	{"a batch takes nothing that somebody else made", batchMeanwhile},
	{"deletions of a batch wait for what comes before them", batchOrder},
	{"timeouts are set, kept and put back", timeoutsStory},
	{"daemons", daemonsConformance},
	{"a daemon changed by hand is changed back", daemonDrift},
	{"a default that is written out is no difference", daemonDefaults},
	{"servers of the other family and daemons exclude each other", mixedAndDaemons},
	{"from any state to any state", anyState},
}

var kernelStories = []story{
	{"an unknown scheduler is named", scheduler},
	{"a scheduler that this kernel lacks is found before", preflightKernel},
	{"a daemon whose interface was made anew is restarted", newInterface},
	{"connections keep servers busy", busyServer},
	{"ipvsadm says the same of timeouts and daemons", ipvsadmRest},
}

var tableStories = []story{
	{"every service, scheduler, flag and forwarding method is what ipvsadm says", matrix},
	{"two thousand services", large},
}

func service(address, scheduler string) resource.IPVSService {
	protocol, ap, _ := strings.Cut(address, " ")
	return resource.IPVSService{
		ServiceKey: resource.ServiceKey{Protocol: protocol, Address: netip.MustParseAddrPort(ap)},
		Scheduler:  scheduler,
	}
}

func server(s resource.IPVSService, address string, f resource.Forward, weight int) resource.IPVSServer {
	return resource.IPVSServer{Service: s.ServiceKey, Address: netip.MustParseAddrPort(address), Forward: f, Weight: weight}
}

var (
	web  = service("tcp 192.0.2.1:80", "wrr")
	rs1  = server(web, "10.0.1.21:80", resource.ForwardDR, 2)
	rs2  = server(web, "10.0.1.22:80", resource.ForwardDR, 1)
	self = server(web, "127.0.0.1:80", resource.ForwardLocal, 1)
)

// foreign returns a service as the library has it, which knows no persistence engines.
func foreign(t *testing.T, s resource.IPVSService) ipvs.Service {
	t.Helper()
	e, err := kernelService(s)
	if err != nil {
		t.Fatal(err)
	}
	return e.Service
}

// create makes objects as somebody else would.
func (e env) create(t *testing.T, values ...any) {
	t.Helper()
	for _, v := range values {
		var err error
		switch v := v.(type) {
		case resource.IPVSService:
			err = e.client.CreateService(foreign(t, v))
		case resource.IPVSServer:
			d, _ := kernelServer(v)
			err = e.client.CreateDestination(kernelKey(v.Service).Service, d)
		case daemonEntry:
			err = e.table.changeOne(func(b []byte) (uint8, []byte) { return cmdNewDaemon, appendDaemon(b, v) })
		}
		if err != nil {
			t.Fatalf("create %v: %v", v, err)
		}
	}
}

// run runs a program in the namespace of the story.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	nstest.Need(t, name)
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestWithoutTheModule(t *testing.T) {
	l, err := ledger.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dial := func() (socket, uint16, error) { return nil, 0, os.ErrNotExist }
	client := func() (ipvs.Client, error) { return nil, os.ErrNotExist }
	hs := []reconcile.Handler{newServices(dial, l, t.TempDir()), newServers(dial, l), &timeouts{client, l}, newSyncs(dial, l)}
	if live := reconciletest.Observe(t, hs...); len(live.Owned)+len(live.Foreign) != 0 {
		t.Errorf("live = %v, want nothing", live)
	}
	for i, v := range []interface{ ID() resource.ID }{web, rs1, resource.IPVSTimeouts{UDP: seconds(9)}, daemon("master", 1)} {
		c := reconcile.Change{Action: reconcile.Create, ID: v.ID(), After: v}
		err := hs[i].Apply(t.Context(), c)
		if !errors.Is(err, ErrNoModule) || l.Has(v.ID()) {
			t.Errorf("Apply(%s) = %v, recorded = %v, want ErrNoModule and no record", v.ID(), err, l.Has(v.ID()))
		}
		if b, ok := hs[i].(reconcile.Batcher); ok {
			if err := b.ApplyAll(t.Context(), []reconcile.Change{c, c}); !errors.Is(err, ErrNoModule) || l.Has(v.ID()) {
				t.Errorf("ApplyAll(%s) = %v, recorded = %v, want ErrNoModule and no record", v.ID(), err, l.Has(v.ID()))
			}
		}
		if p, ok := hs[i].(reconcile.Preflighter); ok {
			if errs := p.Preflight(t.Context(), []reconcile.Change{c}); !errors.Is(errs[0], ErrNoModule) {
				t.Errorf("Preflight(%s) = %v, want ErrNoModule", v.ID(), errs)
			}
		}
		if err := l.Record(v.ID(), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := hs[i].Observe(t.Context()); !errors.Is(err, ErrNoModule) {
			t.Errorf("Observe with %s in the ledger = %v, want ErrNoModule", v.ID(), err)
		}
	}
}
