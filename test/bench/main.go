// Command bench measures VRRP, IPVS and checks beside keepalived, in one run: each program
// has its own pair of hosts on its own segment, and where the machine could favour one they
// take turns. It needs root; everything happens in network namespaces that it makes and
// removes, and what needs IPVS in an emulated machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/test/bench/qemu"
)

// parts are what is measured, in order.
var parts = []struct {
	name string
	run  part
}{
	{"failover-1s", failovers(time.Second, 3)},
	{"failover-100ms", failovers(100*time.Millisecond, 8)},
	{"failover-10ms", failovers(10*time.Millisecond, 20)},
	{"crash", crashes(time.Second, 3)},
	{"crowd", crowd(500, 3)},
	{"tracks", tracks(20, 3)},
	{"memory", memory},
	{"allocations", allocations},
	{"fill", inGuest("fill", fill([]int{1000, 5000}, 3))},
	{"reload", inGuest("reload", reload([]int{1000, 5000}, []int{3, 1}, 10))},
	{"plan", inGuest("plan", unchanged(3))},
	{"checks", checks([]load{{"tcp", 500}, {"tcp", 2000}, {"tcp", 5000}, {"http", 500}, {"http", 2000}}, 3, false)},
	{"fleet", fleets(1000, time.Minute, 3)},
	{"checks-ipvs", inGuest("checks-ipvs", checks([]load{{"tcp", 200}, {"http", 100}}, 3, true))},
}

func main() {
	if qemu.InGuest() {
		qemu.Main()
	}
	if len(os.Args) > 1 {
		if role := selves[os.Args[1]]; role != nil {
			if err := role(os.Args[2:]); err != nil {
				fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			return
		}
	}
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	only := flag.String("only", "", "the one `part` to run: "+strings.Join(names, ", "))
	vrrpd := flag.String("vrrpd", "", "the hareconcile-vrrpd to measure; built if not given")
	profile := flag.String("profile", "", "the `folder` for heap profiles of memory and allocations; the program is then this one, not -vrrpd; GODEBUG=memprofilerate=1 has all")
	quick := flag.Bool("quick", false, "one round and the smallest sizes of the parts that run in a guest: to see that they work")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *vrrpd, *only, *profile, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// selves are what this program is for itself, as a process in another namespace.
var selves = map[string]func([]string) error{
	"observe": func(args []string) error {
		devices, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		var probe netip.Addr
		if len(args) > 1 {
			if probe, err = netip.ParseAddr(args[1]); err != nil {
				return err
			}
		}
		return observe(os.Stdout, devices, probe)
	},
	"guest":    runGuest,
	"fill":     runFill,
	"reload":   runReload,
	"farm":     runFarm,
	"forge":    runForge,
	"arrivals": runArrivals,
	"director": runDirector,
	"lacks":    runLacks,
	"held":     func([]string) error { return held(os.Stdout) },
	"vrrpd":    runMeasured,
	"tracked":  runTracked,
	"herald": func(args []string) error {
		routers, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return herald(layout{time.Second, routers, routers})
	},
}

func run(ctx context.Context, vrrpd, only, profile string, quick bool) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("needs root: it makes network namespaces")
	}
	dir, err := os.MkdirTemp("", "hareconcile-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if vrrpd == "" {
		vrrpd = filepath.Join(dir, "hareconcile-vrrpd")
		if err := command(ctx, "go", "build", "-o", vrrpd, "./cmd/hareconcile-vrrpd"); err != nil {
			return err
		}
	}
	start, found := time.Now(), false
	var failed []error
	for _, p := range parts {
		if only != "" && only != p.name {
			continue
		}
		found = true
		if err := (&bench{dir: dir, vrrpd: []string{vrrpd}, profile: profile, quick: quick, out: os.Stdout}).measure(ctx, p.run); err != nil {
			if ctx.Err() != nil {
				return errors.Join(err, context.Cause(ctx))
			}
			failed = append(failed, fmt.Errorf("%s: %w", p.name, err)) // the other parts are worth having
		}
	}
	if !found {
		return fmt.Errorf("no part is named %q", only)
	}
	fmt.Fprintf(os.Stderr, "%v in all\n", time.Since(start).Round(time.Second))
	return errors.Join(failed...)
}

// measure runs one part, and ends what it started.
func (b *bench) measure(ctx context.Context, run part) error {
	err := run(ctx, b)
	for _, p := range b.open {
		err = errors.Join(err, p.close())
	}
	return err
}

// A part is one of the things that are measured.
type part func(context.Context, *bench) error

// A bench is what all parts need.
type bench struct {
	dir     string
	vrrpd   []string // our program with its first arguments
	profile string   // where heap profiles go; "" is nowhere
	quick   bool
	out     io.Writer
	open    []*pair
}

// pairs makes one pair of each program. They end with the part.
func (b *bench) pairs(ctx context.Context, vrrpd []string, l layout) ([]*pair, error) {
	var pairs []*pair
	for _, program := range programs {
		p, err := newPair(ctx, b.dir, program, vrrpd, l)
		pairs = append(pairs, p)
		b.open = append(b.open, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", program, err)
		}
	}
	return pairs, nil
}
