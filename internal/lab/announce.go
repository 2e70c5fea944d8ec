package lab

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// announcePace is how often the daemon looks at the repository's branch.
const announcePace = 200 * time.Millisecond

// announce tells the agents of a push, as a hook beside a real repository would: they look
// at once, and need not fetch every second on a machine with one slow processor.
func (d *daemon) announce(ctx context.Context) {
	branch := filepath.Join(d.cfg.Dir, repository, "refs", "heads", "main")
	// A branch that cannot be read is one that has not changed; agents fetch by themselves, too.
	tip, _ := os.ReadFile(branch)
	t := time.NewTicker(announcePace)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now, err := os.ReadFile(branch)
		if err != nil || bytes.Equal(now, tip) {
			continue
		}
		tip = now
		for _, s := range d.services {
			if s.plan.Name == "agent" {
				_ = s.kill(syscall.SIGHUP) // an agent that does not run will fetch when it starts
			}
		}
	}
}
