package holding

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const walkSteps = 15

func TestRandomWalkInAFake(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	for i := range nstest.Histories(500, 20000) {
		takeWalk(t, newFakeWorld(), seed+int64(i))
	}
}

func TestRandomWalkInTheKernel(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	for i := range nstest.Trials(25, 1000) {
		inKernel(t, func(t *testing.T, w world) { takeWalk(t, w, seed+int64(i)) })
		if t.Failed() {
			t.Fatalf("walk %d of seed %d", i, seed)
		}
	}
}

// A walk goes at random between configurations and states, with others on the host.
type walk struct {
	t      *testing.T
	w      world
	p      *process
	r      *rand.Rand
	wants  map[string]Wants
	active map[string]bool
	trail  []string
}

func takeWalk(t *testing.T, w world, seed int64) {
	t.Helper()
	k := &walk{t: t, w: w, p: newProcess(t, w), r: rand.New(rand.NewSource(seed)), wants: map[string]Wants{}, active: map[string]bool{}}
	begin := see(t, w)
	for range walkSteps {
		k.step()
		if k.check(); t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(k.trail, "\n"))
		}
	}
	for name := range k.wants {
		k.p.Forget(name)
	}
	clear(k.wants)
	clear(k.active)
	k.check()
	settings := []string{"arp_ignore", "arp_announce", "promote_secondaries"}
	if slices.Contains(k.trail, "restart") {
		settings = settings[:2] // what promote_secondaries was before is not kept: 1 harms nobody
	}
	for _, s := range settings {
		if v, err := w.Sysctl("net/ipv4/conf/v0/" + s); v != "0" || err != nil {
			t.Errorf("%s = %s, %v in the end, want it as before", s, v, err)
		}
	}
	if t.Failed() {
		t.Fatalf("seed %d, at first\n%s\nand then\n%s", seed, strings.Join(begin.others, "\n"), strings.Join(k.trail, "\n"))
	}
}

func (k *walk) note(format string, args ...any) {
	k.trail = append(k.trail, fmt.Sprintf(format, args...))
}

// pick returns some of list.
func pick[T any](r *rand.Rand, list []T) []T {
	var out []T
	for _, v := range list {
		if r.Intn(3) == 0 {
			out = append(out, v)
		}
	}
	return out
}

func parsed[T any](t *testing.T, parse func(string) (T, error), list []string) []T {
	t.Helper()
	var out []T
	for _, s := range list {
		v, err := parse(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

var (
	poolAddresses = []string{"10.0.0.100/24", "10.0.0.101/24", "10.5.0.100/24", "10.5.0.101/24", "10.6.0.100/32", "fd00::100/64", "fd00::101/128", "fe80::100/64"}
	poolRoutes    = []string{
		"10.9.0.0/16 via 10.0.0.254 dev v0 metric 5", "10.7.0.0/16 dev v1", "blackhole 10.8.0.0/16 table 1000", "unreachable fd08::/32",
		"fd09::/64 via fe80::fe dev v0", "10.4.0.0/16 dev v0 src 10.0.0.1", "10.3.0.0/16 dev v0 src 10.0.0.100",
	}
	poolRules = []string{
		"ipv4 priority 100 from 10.0.0.0/24 table 1000", "ipv6 priority 100 to fd00::/16 iif v0 prohibit", "ipv4 priority 101 fwmark 0x1/0xff oif v1 table 1000",
	}
	poolOthers = []string{
		"addr add 10.0.0.100/24 dev v0", "addr add 10.0.0.2/24 dev v0", "addr add 10.5.0.1/24 dev v0", "addr add 10.5.0.100/24 dev v1", "addr add fd00::100/64 dev v0",
		"addr del 10.0.0.100/24 dev v0", "addr del 10.0.0.2/24 dev v0", "addr del 10.5.0.1/24 dev v0", "addr del 10.5.0.100/24 dev v1", "addr del fd00::100/64 dev v0",
		"addr del 10.0.0.101/24 dev v0", "addr del fe80::100/64 dev v0",
		"route add 10.9.0.0/16 via 10.0.0.254 dev v0 metric 5", "route add 10.9.0.0/16 via 10.0.0.253 metric 5", "route add blackhole 10.8.0.0/16 table 1000", "route add fd09::/64 via fe80::fd dev v0 -6",
		"route del 10.9.0.0/16 metric 5", "route del 10.7.0.0/16", "route del 10.8.0.0/16 table 1000", "route del fd09::/64 -6", "route del 10.3.0.0/16",
		"rule add priority 100 from 10.0.0.0/24 table 1000", "rule add priority 100 to fd00::/16 iif v0 prohibit -6", "rule add priority 100 from 10.0.0.0/16 table 1000",
		"rule del priority 100", "rule del priority 100 -6", "rule del priority 101",
		"link set v1 down", "link set v1 up", "link set v1 up", "link del v1", "link set v1 name x1", "link set x1 name v1",
		setting[4], setting[4], setting[6], setting[7],
		"link del vrrp4-7", "link set vrrp4-7 up", "link set vrrp4-7 down", "link del vrrp6-8", "link add vrrp4-7 type dummy",
	}
)

// step does one thing, and lets the process follow.
func (k *walk) step() {
	name := string(rune('a' + k.r.Intn(3)))
	w := k.wants[name]
	switch n := k.r.Intn(12); {
	case n < 3 || w.Device == "":
		w = k.configuration(name)
		k.note("want %s %+v", name, w)
		k.wants[name] = w
		k.p.Want(name, w)
	case n < 5:
		k.note("acquire %s", name)
		k.active[name] = true
		k.p.Acquire(name)
	case n < 6:
		k.note("release %s", name)
		delete(k.active, name)
		k.p.Release(name)
	case n < 7:
		k.note("forget %s", name)
		delete(k.active, name)
		delete(k.wants, name)
		k.p.Forget(name)
	case n < 8:
		k.restart()
	default:
		s := poolOthers[k.r.Intn(len(poolOthers))]
		k.note("ip %s: %v", s, k.w.ip(s))
	}
	if k.r.Intn(8) == 0 {
		k.note("events are lost")
		k.w.hear(func(*rtnl.Event) {})
		k.p.relist()
		k.p.Heard(&rtnl.Event{Kind: rtnl.Lost})
	}
}

func (k *walk) configuration(name string) Wants {
	w := Wants{
		Device: []string{"v0", "v0", "v1"}[k.r.Intn(3)], VRID: 7 + name[0] - 'a', VirtualMAC: k.r.Intn(3) == 0, NoAccept: k.r.Intn(4) == 0,
		Addresses: parsed(k.t, resource.ParseVirtualAddress, pick(k.r, poolAddresses)),
		Routes:    parsed(k.t, resource.ParseVirtualRoute, pick(k.r, poolRoutes)),
		Rules:     parsed(k.t, resource.ParseVirtualRule, pick(k.r, poolRules)),
	}
	if name == "b" {
		w.Family = resource.IPv6
	}
	if k.r.Intn(3) == 0 {
		w.Excluded = []resource.VirtualAddress{{Prefix: mustPrefix("10.5.0.102/24"), Device: "v1"}}
	}
	return w
}

// restart lets another process go on, which knows what the state file says.
func (k *walk) restart() {
	k.note("restart")
	held := map[string][]string{}
	for name := range k.active {
		held[name] = k.p.Held(name)
	}
	k.w.restart()
	k.p = newProcess(k.t, k.w)
	for _, name := range slices.Sorted(maps.Keys(k.wants)) {
		k.p.Want(name, k.wants[name])
		k.p.Adopt(name, held[name])
		if k.active[name] {
			k.p.Acquire(name)
		}
	}
}

// check settles and compares the host with what it should be.
func (k *walk) check() {
	k.t.Helper()
	before := see(k.t, k.w)
	r := k.p.settle()
	for range 3 { // as vrrpd does a second later
		if r.Retry {
			k.p.Recheck()
			r = k.p.settle()
		}
	}
	after := see(k.t, k.w)
	if d := cmp.Diff(before.others, after.others); d != "" {
		k.t.Errorf("others' objects (-before +after):\n%s", d)
	}
	if d := cmp.Diff(k.expected(after), after.ours); d != "" {
		k.t.Errorf("ours (-want +got), report %+v:\n%s", r, d)
	}
	refused := map[string]bool{}
	for name, w := range k.wants {
		for _, a := range wantedAddresses(w) {
			if w.NoAccept && k.active[name] {
				refused[a.place.prefix.Addr().String()] = true
			}
		}
	}
	got, whole, err := k.w.Refused()
	wanted := slices.ContainsFunc(slices.Collect(maps.Values(k.wants)), func(w Wants) bool { return w.NoAccept })
	if len(got) != len(refused) || whole != wanted || err != nil {
		k.t.Errorf("refused %v, %v, %v; want %v", got, whole, err, refused)
	}
}

// expected is what of ours should be there beside what others have.
func (k *walk) expected(s seen) []string {
	var out []string
	others := strings.Join(s.others, "\n") + "\n"
	exists := func(device string) bool { return strings.Contains(others, "link "+device+" up") }
	for name, w := range k.wants {
		mac := macvlanKey{1, w.VRID, w.Family == resource.IPv6}.virtualMAC()
		if w.VirtualMAC && exists(w.Device) {
			out = append(out, fmt.Sprintf("link %s up %v", macvlanOn(w.Device, mac), k.active[name]))
		}
		if !k.active[name] {
			continue
		}
		for _, a := range wantedAddresses(w) {
			device := a.device
			if w.VirtualMAC && device == w.Device {
				device = macvlanOn(device, mac)
			}
			if line := fmt.Sprintf("address %v on %s", a.place.prefix, device); exists(a.device) && !strings.Contains(others, line+"\n") {
				out = append(out, line)
			}
		}
		for _, r := range wantedRoutes(w) {
			up := r.device == "" || strings.Contains(others, "link "+r.device+" up true")
			source := !r.spec.Source.IsValid() || strings.Contains(others+strings.Join(s.ours, "\n"), "address "+r.spec.Source.String()+"/")
			key := fmt.Sprintf("route %v table %d metric %d ", r.spec.Prefix, r.spec.Table, r.spec.Metric)
			if up && source && !strings.Contains(others, key) {
				out = append(out, fmt.Sprintf("%s via %v dev %s src %v", routeText(r.spec), r.spec.Via, r.device, r.spec.Source))
			}
		}
		for _, r := range wantedRules(w) {
			out = append(out, fmt.Sprintf("rule %v", r.spec)) // beside an equal one of others
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
