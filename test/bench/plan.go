package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/compile"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// unchanged returns the part that plans large clusters which are in the table already.
func unchanged(rounds int) part {
	return func(ctx context.Context, b *bench) error {
		rounds := rounds
		if b.quick {
			rounds = 1
		}
		node, err := os.Hostname()
		if err != nil {
			return err
		}
		end, err := startVRRPD(ctx)
		if err != nil {
			return err
		}
		defer end()
		for _, s := range spellings {
			t := newTable(fmt.Sprintf("plan without changes by the whole program, servers per service: %d, %d rounds, median (least to most)", serversEach, rounds))
			t.columns[1] = "ipvsadm -Sn"
			t.goals = map[string]float64{planTime: 1.5}
			if b.quick {
				s.services /= 10
			}
			dir := filepath.Join(b.dir, "cluster")
			if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700),
				os.WriteFile(filepath.Join(dir, "cluster.hcl"), []byte(definition(node, s)), 0o600)); err != nil {
				return err
			}
			event := fmt.Sprintf("%d, %s", s.services, s.name)
			// The table itself is made by the handlers; what is left is the virtual router.
			if err := s.seed(ctx); err != nil {
				return err
			}
			took, size, err := program(ctx, 0, "hareconcile", "apply", dir, "-auto-approve")
			if err != nil {
				return err
			}
			t.add(event, "apply of little else, ms", programs[0], milliseconds(took))
			t.add(event, "memory of apply, MiB", programs[0], size)
			progress("%s: applied in %v", event, took.Round(time.Millisecond))
			if err := remember(dir, node); err != nil {
				return err
			}
			for n := range rounds {
				if err := t.plan(ctx, event, dir); err != nil {
					return err
				}
				progress("%s: round %d of %d", event, n+1, rounds)
			}
			t.print(b.out)
		}
		fmt.Fprintln(b.out, "  memory is the most that the program or one of its children had; plan should stay below 500 MiB")
		return nil
	}
}

// dataDir is where the program keeps the last good revision.
const dataDir = "/var/lib/hareconcile"

// remember stores the cluster of dir as an agent that converged on it does: what a plan then
// finds unchanged, policies are not asked about.
func remember(dir, node string) error {
	tree, err := hcl.ReadTree(dir)
	if err != nil {
		return err
	}
	c, ds := hcl.Compile(tree, hcl.Options{Node: node})
	if c == nil {
		return fmt.Errorf("compile %s: %v", dir, ds)
	}
	return revision.NewStore(dataDir).SaveGood(&revision.Revision{
		Ref: "main", Commit: strings.Repeat("0", 40), Cluster: c, Digest: compile.Digest(c),
	})
}

const planTime = "until it has ended, ms"

// plan plans once and has ipvsadm print the same table.
func (t *table) plan(ctx context.Context, event, dir string) error {
	took, size, err := program(ctx, 0, "hareconcile", "plan", "-detailed-exitcode", dir)
	if err != nil {
		return err // such as that there was something to do
	}
	t.add(event, planTime, programs[0], milliseconds(took))
	t.add(event, "memory, MiB", programs[0], size)
	took, size, err = program(ctx, 0, "ipvsadm", "-Sn")
	if err != nil {
		return err
	}
	t.add(event, planTime, t.columns[1], milliseconds(took))
	t.add(event, "memory, MiB", t.columns[1], size)
	return nil
}

// program runs one and returns what it took, and the most memory that it or one of its
// children had.
func program(ctx context.Context, want int, name string, args ...string) (took time.Duration, mib float64, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said // a terminal would be shown progress
	start := time.Now()
	err = cmd.Run()
	took = time.Since(start)
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		first, last := out.Bytes()[:min(out.Len(), 1000)], out.Bytes()[max(0, out.Len()-500):]
		return took, 0, fmt.Errorf("%s %v: %w: %s\n%s\n...\n%s", name, args, err, &said, first, last)
	}
	r, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage) // wait4's, which has waited-for children, too
	return took, float64(r.Maxrss) / 1024, nil
}

// seed brings the table to what the definition asks for, as the program would, whose ledger
// it uses.
func (s spelling) seed(ctx context.Context) error {
	c := catalogue{services: 2}.cluster()
	pool := &c.Pools[0]
	pool.Port = 0
	for i := range pool.Servers {
		pool.Servers[i].Port = 0
	}
	vs := c.VirtualServers[0]
	vs.Services = nil
	for n := range s.services {
		vs.Services = append(vs.Services, spec.Service{Protocol: "tcp", Address: netip.MustParseAddr("10.95.0.1"), Port: uint16(10001 + n)})
	}
	c.VirtualServers = []spec.VirtualServer{vs}
	hs, err := tableHandlers(runDir)
	if err != nil {
		return err
	}
	_, err = pass(ctx, hs, nil, c)
	return err
}

// runDir is where the program keeps its ledger.
const runDir = "/run/hareconcile"

// startVRRPD makes the device of the director and starts what answers for virtual routers,
// without which a cluster with one is never in order.
func startVRRPD(ctx context.Context) (end func(), err error) {
	for _, args := range [][]string{
		{"link", "add", device, "up", "type", "dummy"}, {"addr", "add", "10.95.0.2/24", "dev", device},
	} {
		if err := command(ctx, "ip", args...); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "hareconcile-vrrpd")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}, nil
}
