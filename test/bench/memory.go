package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
)

// memory is the part that measures what many routers with many addresses take.
func memory(ctx context.Context, b *bench) error {
	const routers, addresses = 255, 5000
	vrrpd := b.vrrpd
	if b.profile != "" {
		vrrpd = measured()
	}
	pairs, err := b.pairs(ctx, vrrpd, layout{time.Second, routers, addresses})
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := p.start(ctx, 0, 1); err != nil {
			return fmt.Errorf("%s: %w", p.program, err)
		}
	}
	if err := sleep(ctx, 12*time.Second); err != nil {
		return err
	}
	t := newTable(fmt.Sprintf("memory with %d virtual routers and %d addresses, MiB (keepalived: both processes)", routers, addresses))
	for i, role := range [2]string{"as master", "as backup"} {
		for _, p := range pairs {
			if err := weigh(t, role, p.program, p.daemons[i].pids()); err != nil {
				return err
			}
			if p.daemons[i].ours && b.profile != "" {
				if err := heap(ctx, p.daemons[i], filepath.Join(b.profile, "heap-"+strings.ReplaceAll(role, " ", "-"))); err != nil {
					return err
				}
			}
		}
	}
	t.print(b.out)
	return nil
}

// weigh adds what the kernel says of the processes' memory.
func weigh(t *table, role, program string, pids []int) error {
	for _, m := range []struct{ name, file, key string }{
		{"RSS", "status", "VmRSS:"}, {"RSS, most so far", "status", "VmHWM:"}, {"PSS", "smaps_rollup", "Pss:"},
	} {
		sum := 0
		for _, pid := range pids {
			kb, err := procNumber(fmt.Sprintf("/proc/%d/%s", pid, m.file), m.key)
			if err != nil {
				return fmt.Errorf("%s: %w", program, err)
			}
			sum += kb
		}
		t.add(role, m.name, program, float64(sum)/1024)
	}
	return nil
}

// procNumber is the number behind a key in a file of /proc.
func procNumber(path, key string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == key {
			return strconv.Atoi(f[1])
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, key)
}

// allocations is the part that counts what our process allocates while it does nothing but
// send and hear adverts.
func allocations(ctx context.Context, b *bench) error {
	const routers, window = 255, 10 * time.Second
	p, err := newPair(ctx, b.dir, programs[0], measured(), layout{100 * time.Millisecond, routers, routers})
	b.open = append(b.open, p)
	if err != nil {
		return err
	}
	if err := p.start(ctx, 0, 1); err != nil {
		return err
	}
	if err := sleep(ctx, 8*time.Second); err != nil { // past the second announcements
		return err
	}
	var adverts, mallocs [2][2]uint64
	for round := range 2 {
		for i, d := range p.daemons {
			if adverts[i][round], err = passed(ctx, d); err != nil {
				return err
			}
		}
		if round == 1 {
			break // the question allocates, so it comes before the first count and after the last
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		for n := range 2 {
			for i, d := range p.daemons {
				if mallocs[i][n], err = count(ctx, d); err != nil {
					return err
				}
			}
			if n == 0 {
				if err := sleep(ctx, window); err != nil {
					return err
				}
			}
		}
	}
	if b.profile != "" {
		for i, name := range [2]string{"allocations-master", "allocations-backup"} {
			if err := heap(ctx, p.daemons[i], filepath.Join(b.profile, name)); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(b.out, "\nallocations in the running process, %d virtual routers, adverts every 100ms, %v\n", routers, window)
	for i, role := range [2]string{"master, sending", "backup, hearing"} {
		n, m := adverts[i][1]-adverts[i][0], mallocs[i][1]-mallocs[i][0]
		fmt.Fprintf(b.out, "  %-22s %d allocations, %d adverts: %.6f for each\n", role, m, n, float64(m)/float64(n))
	}
	return nil
}

// passed is how many adverts a daemon has sent and heard.
func passed(ctx context.Context, d *daemon) (uint64, error) {
	s, err := ask(ctx, d.dir, channel.Request{Query: &channel.Query{}})
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, i := range s.Instances {
		sum += i.Adverts["sent"] + i.Adverts["received"]
	}
	return sum, nil
}

// count asks a measured vrrpd how often it has allocated.
func count(ctx context.Context, d *daemon) (uint64, error) {
	path := filepath.Join(d.dir, "state."+mallocsFile)
	if err := os.Truncate(path, 0); err != nil {
		return 0, err
	}
	if err := d.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return 0, err
	}
	b, err := written(ctx, path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
}

// heap asks a measured vrrpd for its heap profile.
func heap(ctx context.Context, d *daemon, to string) error {
	if err := d.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		return err
	}
	b, err := written(ctx, filepath.Join(d.dir, "state."+heapFile))
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// written waits until a file has something in it.
func written(ctx context.Context, path string) ([]byte, error) {
	for end := time.Now().Add(10 * time.Second); ; {
		b, err := os.ReadFile(path)
		if len(b) > 0 || time.Now().After(end) {
			return b, err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
}
