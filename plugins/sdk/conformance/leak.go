package conformance

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// What 1,000 checks may add: room for pools and caches that fill once, and not for one
// descriptor, thread or goroutine a check. A goroutine has a stack of 2 KiB at least, and
// what a check leaves behind holds more than that.
const (
	warmUp      = 200
	checks      = 1000
	mayAddFiles = 8
	mayAddTasks = 16
	mayAddBytes = 16 << 20
	// checkBudget bounds the time of the checks: what is down may take long to ask.
	checkBudget = 60 * time.Second
)

// usage is what a process has.
type usage struct{ files, tasks, bytes int }

func usageOf(pid int) (u usage, err error) {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return u, err
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return u, err
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	u.files, u.tasks = len(files), len(tasks)
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok { // in KiB, proc_pid_status(5)
			kib, err := strconv.Atoi(strings.Fields(text)[0])
			if err != nil {
				return u, err
			}
			u.bytes = kib << 10
		}
	}
	return u, nil
}

// leaks makes many checks, and configures and forgets instances meanwhile.
func leaks(ctx context.Context, o Options) (string, error) {
	p, err := running(ctx, o)
	if err != nil {
		return "", err
	}
	defer p.Close()
	if _, err := many(ctx, p, o.config(), warmUp); err != nil {
		return "", err
	}
	before, err := usageOf(p.PID())
	if err != nil {
		return "", err
	}
	made, err := many(ctx, p, o.config(), checks)
	if err != nil {
		return "", err
	}
	after, err := usageOf(p.PID())
	if err != nil {
		return "", err
	}
	note := fmt.Sprintf("%d checks: descriptors %d to %d, threads %d to %d, memory %d to %d KiB",
		made, before.files, after.files, before.tasks, after.tasks, before.bytes>>10, after.bytes>>10)
	var wrong list
	for _, g := range []struct {
		what              string
		before, now, most int
	}{
		{"descriptors", before.files, after.files, mayAddFiles},
		{"threads", before.tasks, after.tasks, mayAddTasks},
		{"bytes of memory", before.bytes, after.bytes, mayAddBytes},
	} {
		if g.now-g.before > g.most {
			wrong.addf("%d checks added %d %s, at most %d are right", made, g.now-g.before, g.what, g.most)
		}
	}
	return note, wrong.err()
}

// many makes n checks, or as many as there is time for. Every tenth is one of an instance
// that is made for it.
func many(ctx context.Context, p *Process, config string, n int) (made int, err error) {
	ends := time.Now().Add(checkBudget * time.Duration(n) / checks)
	for made = range n {
		if time.Now().After(ends) {
			return made, nil
		}
		instance := "a"
		if made%10 == 9 {
			instance = "b"
			if err := p.accept(ctx, instance, config); err != nil {
				return made, err
			}
		}
		if _, err := p.check(ctx, instance, patience); err != nil {
			return made, fmt.Errorf("check %d: %w", made+1, err)
		}
		if instance == "b" {
			if err := p.Forget(ctx, instance); err != nil {
				return made, err
			}
		}
	}
	return n, nil
}
