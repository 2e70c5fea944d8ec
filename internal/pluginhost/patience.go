package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// errSlow is why a start was given up.
var errSlow = errors.New("timeout while waiting for the plugin to start")

// longestStart is how many times its time a start takes at most, on a machine that has no
// processor for it.
const longestStart = 6

// startTime returns errSlow when a process that starts has had its time, or nil when ctx ends
// before. What does not count is time in which the process, or this one, waited for a
// processor: many that start at once, or a boot, make each slow and none broken.
func (t timing) startTime(ctx context.Context, pid func() int) error {
	step := t.start / 50
	tick := time.NewTicker(step)
	defer tick.Stop()
	var used, waited time.Duration
	for last := time.Now(); used < t.start; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, wait := time.Now(), waiting(pid())
		passed := min(now.Sub(last), 2*step) // a tick that comes late is this process's own wait
		used += max(passed-max(wait-waited, 0), now.Sub(last)/longestStart)
		last, waited = now, wait
	}
	return fmt.Errorf("%w: it did not in %v", errSlow, t.start)
}

// waiting is how long threads of a process were ready to run and had no processor
// (Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat).
func waiting(pid int) (sum time.Duration) {
	if pid == 0 {
		return 0
	}
	threads, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/schedstat") // the pattern is right
	for _, path := range threads {
		b, _ := os.ReadFile(path) // a thread may have ended
		if f := strings.Fields(string(b)); len(f) == 3 {
			n, _ := strconv.ParseInt(f[1], 10, 64) // without the kernel's word nothing is excused
			sum += time.Duration(n)
		}
	}
	return sum
}
