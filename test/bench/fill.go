package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/ipvs"
	"github.com/hareconcile/hareconcile/test/bench/rawipvs"
)

// Who fills a table.
const (
	byKeepalived = "keepalived's start"
	byIPVSADM    = "ipvsadm -R"
	byRaw        = "raw loop, batched"
	byCore       = "hareconcile's core"
	byApply      = "hareconcile's core, from a plan"
)

// ways are the processes that fill the table of their network namespace, each with a folder
// of its own.
var ways = []struct {
	name string
	fill func(ctx context.Context, c catalogue, dir string) (spent, error)
}{
	{byRaw, fillRaw}, {byIPVSADM, fillIPVSADM}, {byKeepalived, fillKeepalived}, {byCore, fillCore},
	{byApply, fillPlanned},
}

// stages are our ways, with what they are called beside the others: the raw loop, too, gets
// a finished list.
var stages = []struct{ way, name string }{
	{byApply, "apply alone, beside"}, {byCore, "the whole, beside"},
}

// fill returns the part that fills empty tables with catalogues of those sizes.
func fill(sizes []int, rounds int) part {
	return func(ctx context.Context, b *bench) error {
		sizes, rounds := sizes, rounds
		if b.quick {
			sizes, rounds = sizes[:1], 1
		}
		for _, n := range sizes {
			t := newTable(fmt.Sprintf("filling an empty table with %d services of %d servers, %d rounds: ms, median (least to most)", n, serversEach, rounds))
			t.columns = [2]string{programs[0], "the other"}
			t.goals = map[string]float64{byRaw: 1.2, byKeepalived: 0.33}
			for round := range rounds {
				took := map[string]time.Duration{}
				for i := range ways {
					way := (round + i) % len(ways) // everybody is first once
					var s spent
					if err := b.apart(ctx, &s, "fill", strconv.Itoa(way), strconv.Itoa(n)); err != nil {
						return err
					}
					took[ways[way].name] = s.Wall
				}
				for _, stage := range stages {
					for _, name := range []string{byRaw, byIPVSADM, byKeepalived} {
						t.add(stage.name, name, programs[0], milliseconds(took[stage.way]))
						t.add(stage.name, name, t.columns[1], milliseconds(took[name]))
					}
				}
				progress("%d services: round %d of %d", n, round+1, rounds)
			}
			t.print(b.out)
		}
		return nil
	}
}

// apart runs this program in another role, with a folder and a network namespace of its own,
// and reads what it says. It must not be a table that was emptied: the kernel looks through
// the servers deleted in the last minutes for each new one (ip_vs_trash_get_dest). The
// namespace stays for as long as the guest.
func (b *bench) apart(ctx context.Context, into any, args ...string) error {
	dir, err := os.MkdirTemp(b.dir, "apart")
	if err != nil {
		return err
	}
	ns := filepath.Base(dir)
	if err := command(ctx, "ip", "netns", "add", ns); err != nil {
		return err
	}
	// Without any address of its own, a namespace takes none for a server's.
	if err := batch(ctx, ns, "link set lo up"); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := inside(ctx, ns, self, append(args, dir)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return json.Unmarshal(out, into)
}

// runFill is the process of one way.
func runFill(args []string) error {
	way, err := strconv.Atoi(args[0])
	n, err2 := strconv.Atoi(args[1])
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	c := catalogue{n, firstWeight}
	s, err := ways[way].fill(context.Background(), c, args[2])
	if err == nil {
		err = complete(c)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", ways[way].name, err)
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

// fillKeepalived measures from its start until the table is complete.
func fillKeepalived(ctx context.Context, c catalogue, dir string) (spent, error) {
	d, err := checkers(dir, c.keepalived())
	if err != nil {
		return spent{}, err
	}
	defer d.log.Close()
	table, err := rawipvs.Dial()
	if err != nil {
		return spent{}, err
	}
	defer table.Close()
	start := time.Now()
	if err := d.run(ctx); err != nil {
		return spent{}, err
	}
	err = await(ctx, table, c, 2*time.Minute)
	took := time.Since(start)
	_ = d.kill() // it may have ended by itself, which await says
	d.reap()
	return spent{Wall: took}, err
}

func fillIPVSADM(ctx context.Context, c catalogue, _ string) (spent, error) {
	cmd := exec.CommandContext(ctx, "ipvsadm", "-R")
	cmd.Stdin = strings.NewReader(c.ipvsadm())
	cmd.Stderr = os.Stderr
	start := time.Now()
	err := cmd.Run()
	return spent{Wall: time.Since(start)}, err
}

// fillRaw fills a table with as few sends as possible.
func fillRaw(_ context.Context, c catalogue, _ string) (spent, error) {
	services := c.raw()
	return spend(func() error {
		table, err := rawipvs.Dial()
		if err != nil {
			return err
		}
		return errors.Join(table.Load(services), table.Close())
	})
}

// fillCore fills a table as an agent does, the ledger included.
func fillCore(ctx context.Context, c catalogue, dir string) (spent, error) {
	t, err := target(c.cluster())
	if err != nil {
		return spent{}, err
	}
	return spend(func() error {
		hs, err := tableHandlers(dir)
		if err != nil {
			return err
		}
		plan, err := planFor(ctx, hs, t)
		if err != nil {
			return err
		}
		return plan.Apply(ctx, hs, nil)
	})
}

// fillPlanned fills a table from a plan that somebody else has made.
func fillPlanned(ctx context.Context, c catalogue, dir string) (spent, error) {
	t, err := target(c.cluster())
	if err != nil {
		return spent{}, err
	}
	hs, err := tableHandlers(dir)
	if err != nil {
		return spent{}, err
	}
	plan, err := planFor(ctx, hs, t)
	if err != nil {
		return spent{}, err
	}
	return spend(func() error {
		hs, err := tableHandlers(dir) // without a connection
		if err != nil {
			return err
		}
		return plan.Apply(ctx, hs, nil)
	})
}

func planFor(ctx context.Context, hs []reconcile.Handler, t reconcile.Target) (reconcile.Plan, error) {
	live, err := reconcile.Observe(ctx, hs)
	return reconcile.Diff(live, t), err
}

// complete makes sure that the table has everything, and empties it: the kernel keeps the
// services of all namespaces in one hash table. /proc/net/ip_vs leaves some out where several
// namespaces have services (ip_vs_info_seq_next counts those of others, ip_vs_info_array not).
func complete(c catalogue) error {
	table, err := rawipvs.Dial()
	if err != nil {
		return err
	}
	defer table.Close()
	services, err := table.Services()
	if err != nil {
		return err
	}
	servers := 0
	for _, s := range services {
		have, err := table.Servers(s)
		if err != nil {
			return err
		}
		servers += len(have)
	}
	if len(services) != c.services || servers != serversEach*c.services {
		return fmt.Errorf("the table has %d services and %d servers, want %d of %d each", len(services), servers, c.services, serversEach)
	}
	return table.Flush()
}

// await waits until the table's last service is as the catalogue has it.
func await(ctx context.Context, table *rawipvs.Conn, c catalogue, limit time.Duration) error {
	want := c.servers(c.services - 1)
	for end := time.Now().Add(limit); ; {
		have, err := table.Servers(c.last())
		if err == nil && len(have) == len(want) && slices.Contains(have, want[0]) {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(errQuiet, err)
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// checkers is Debian's keepalived without VRRP, in a folder of its own.
func checkers(dir, config string) (*daemon, error) {
	own, err := os.MkdirTemp(dir, "keepalived")
	if err != nil {
		return nil, err
	}
	return newDaemon(own, false, func(ctx context.Context) (*exec.Cmd, error) {
		conf := filepath.Join(own, "conf")
		if err := os.WriteFile(conf, []byte(config), 0o600); err != nil {
			return nil, err
		}
		return exec.CommandContext(ctx, "keepalived", "--check", "--dont-fork", "--log-console", "--no-syslog",
			"--use-file="+conf, "--pid="+filepath.Join(own, "pid"), "--checkers_pid="+filepath.Join(own, childFile)), nil
	})
}

// spent is what a process of this program says of its work.
type spent struct {
	Wall time.Duration `json:"wall"`
	CPU  time.Duration `json:"cpu"`
}

// used is the processor time of this process.
func used() (time.Duration, error) {
	var r unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), err
}

// spend measures what f takes.
func spend(f func() error) (spent, error) {
	before, err := used()
	if err != nil {
		return spent{}, err
	}
	start := time.Now()
	if err := f(); err != nil {
		return spent{}, err
	}
	wall := time.Since(start)
	after, err := used()
	return spent{wall, after - before}, err
}

// tableHandlers are those of the table, with a ledger in dir.
func tableHandlers(dir string) ([]reconcile.Handler, error) {
	l, err := ledger.Open(dir)
	if err != nil {
		return nil, err
	}
	return []reconcile.Handler{ipvs.NewServices(l), ipvs.NewServers(l)}, nil
}
