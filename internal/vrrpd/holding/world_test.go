package holding

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
)

// A world is a host with others on it: a Kernel, and what those others do by it.
type world interface {
	Kernel
	Tools
	// hear hands over what the kernel told since the last call.
	hear(f func(*rtnl.Event))
	// restart ends the process: the next one hears nothing of before.
	restart()
	// ip is what another does, in the words of ip(8). False means that the kernel refused.
	ip(args string) bool
}

// A realWorld is this machine's kernel, in a namespace.
type realWorld struct {
	*rtnl.Conn
	system
	t      testing.TB
	events *rtnl.Events
}

// inKernel runs f with a fresh namespace that has the links v0 and v1, both up and with
// an address of their own.
func inKernel(t *testing.T, f func(t *testing.T, w world)) {
	t.Helper()
	ns := nstest.New(t)
	ns.Do(func() {
		w := &realWorld{t: t}
		defer func() {
			if w.Conn != nil {
				_, _ = w.events.Close(), w.Conn.Close()
			}
			if w.conn != nil {
				_ = w.conn.CloseLasting()
			}
		}()
		w.restart()
		for _, s := range setting {
			if !w.ip(s) {
				t.Fatalf("ip %s was refused", s)
			}
		}
		f(t, w)
	})
}

// inWorlds runs f on a fake kernel and on the real one.
func inWorlds(t *testing.T, f func(t *testing.T, w world)) {
	t.Run("fake", func(t *testing.T) { f(t, newFakeWorld()) })
	t.Run("kernel", func(t *testing.T) { inKernel(t, f) })
}

// setting is what is on the host before us.
var setting = []string{
	"link add v0 address 02:00:00:00:00:01 type veth peer name p0 address 02:00:00:00:00:02", "link set p0 up", "link set v0 up", "addr add 10.0.0.1/24 dev v0",
	"link add v1 address 02:00:00:00:00:03 type veth peer name p1 address 02:00:00:00:00:04", "link set p1 up", "link set v1 up", "addr add 10.1.0.1/24 dev v1",
}

func (w *realWorld) restart() {
	if w.Conn != nil {
		_, _ = w.events.Close(), w.Conn.Close()
	}
	c, err := rtnl.Open()
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := rtnl.Listen(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Conn, w.events = c, e
}

func (w *realWorld) hear(f func(*rtnl.Event)) {
	var ev rtnl.Event
	for w.events.Next(&ev) {
		f(&ev)
	}
}

func (w *realWorld) ip(args string) bool {
	fields := strings.Fields(args)
	if f := slices.Index(fields, "-6"); f > 0 {
		fields = append([]string{"-6"}, slices.Delete(fields, f, f+1)...)
	}
	out, err := exec.Command("ip", fields...).CombinedOutput()
	if err != nil {
		w.t.Logf("ip %s: %s", args, strings.TrimSpace(string(out)))
	}
	return err == nil
}

var _ world = (*realWorld)(nil)

// A process is a Table as vrrpd drives it.
type process struct {
	*Table
	t testing.TB
	w world
}

func newProcess(t testing.TB, w world) *process {
	t.Helper()
	p := &process{New(w, slog.New(slog.DiscardHandler)), t, w}
	p.relist()
	return p
}

// relist hands over all links, as vrrpd does at its start and after lost events.
func (p *process) relist() {
	p.t.Helper()
	links, err := p.w.Links()
	if err != nil {
		p.t.Fatal(err)
	}
	gone := map[int]rtnl.Link{}
	for index, l := range p.links {
		gone[index] = l
	}
	for i := range links {
		delete(gone, links[i].Index)
		p.Heard(&rtnl.Event{Kind: rtnl.LinkEvent, Link: links[i]})
	}
	for _, l := range gone {
		p.Heard(&rtnl.Event{Kind: rtnl.LinkEvent, Link: l, Gone: true})
	}
}

// settle reads events and syncs until there is nothing to do.
func (p *process) settle() Report {
	p.t.Helper()
	var all Report
	for range 12 {
		p.w.hear(func(ev *rtnl.Event) {
			p.Heard(ev)
			if ev.Kind == rtnl.Lost {
				p.relist()
			}
		})
		if !p.Dirty() {
			return all
		}
		r := p.Sync()
		all.Fresh, all.Repairs = append(all.Fresh, r.Fresh...), all.Repairs+r.Repairs
		if all.Retry, all.Err = r.Retry, r.Err; r.Retry {
			p.w.hear(p.Heard)
			return all
		}
	}
	p.t.Fatalf("the table is never content: %+v", p.look)
	return all
}

// seen is what is on the host, told apart by who made it.
type seen struct {
	ours, others []string
}

// routeText begins with what tells routes apart.
func routeText(r rtnl.Route) string {
	return fmt.Sprintf("route %v table %d metric %d type %d", r.Prefix, r.Table, r.Metric, r.Type)
}

// macvlanOn names a macvlan by what does not depend on which name was free.
func macvlanOn(parent string, mac [6]byte) string {
	return fmt.Sprintf("macvlan %x on %s", mac, parent)
}

// see lists addresses, routes of no kernel's making, rules and macvlans.
func see(t testing.TB, w world) seen {
	t.Helper()
	var s seen
	put := func(ours bool, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); ours {
			s.ours = append(s.ours, text)
		} else {
			s.others = append(s.others, text)
		}
	}
	links, err := w.Links()
	if err != nil {
		t.Fatal(err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Index] = l.Name
	}
	for _, l := range links {
		_, ours := macvlanOf(&l)
		if ours {
			names[l.Index] = macvlanOn(names[l.Parent], l.MAC)
		}
		if put(ours, "link %s up %v", names[l.Index], l.Up); !ours {
			put(false, "settings %s %x %d %d %d", l.Name, l.MAC, l.Conf.RPFilter, l.Conf.ARPFilter, l.Conf.Forwarding)
		}
	}
	addrs, err := w.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if a.Marked || !a.Prefix.Addr().IsLinkLocalUnicast() { // the kernel makes those by itself
			put(a.Marked, "address %v on %s", a.Prefix, names[a.Index])
		}
	}
	err = w.Routes(rtnl.RouteFilter{}, func() {}, func(r rtnl.Route) {
		if r.Protocol != unix.RTPROT_KERNEL && r.Protocol != unix.RTPROT_RA {
			device := ""
			if r.Type == unix.RTN_UNICAST {
				device = names[r.Index]
			}
			put(r.Protocol == rtnl.Mark, "%s via %v dev %s src %v", routeText(r), r.Via, device, r.Source)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := w.Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		put(r.Protocol == rtnl.Mark, "rule %v", r)
	}
	slices.Sort(s.ours)
	slices.Sort(s.others)
	return s
}

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
