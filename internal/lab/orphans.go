package lab

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A family tells the children that somebody waits for from those that the kernel gave to
// this process because it is the first one of its PID namespace.
type family struct {
	mu  sync.Mutex
	own map[int]bool // process ids of children that somebody waits for
}

// started are the children of this process. It is one variable because a process has one
// set of children.
var started = family{own: map[int]bool{}}

// add runs start and remembers the child that it returns.
func (f *family) add(start func() (int, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	pid, err := start()
	if err == nil {
		f.own[pid] = true
	}
	return err
}

func (f *family) remove(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.own, pid)
}

// reap collects orphans that have ended, every few seconds until ctx ends.
func (f *family) reap(ctx context.Context) {
	t := time.NewTicker(3 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f.collect()
		case <-ctx.Done():
			return
		}
	}
}

func (f *family) collect() {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || f.own[pid] {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		text := string(b)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) > 1 && fields[0] == "Z" && fields[1] == strconv.Itoa(os.Getpid()) {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
	}
}
