package lab

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// announcePace is how often the daemon looks at the repository's branch.
const announcePace = 200 * time.Millisecond

// announce tells the agents of a push, as a hook beside a real repository would: they look
// at once, and need not fetch every second on a machine with one slow processor. A lab with a
// git server has that tell them.
func (d *daemon) announce(ctx context.Context) {
	if slices.ContainsFunc(d.cfg.Hosts, func(h hostPlan) bool { return h.Git }) {
		return
	}
	watchBranch(ctx, filepath.Join(d.cfg.Dir, repository), func(string) {
		for _, s := range d.services {
			if s.plan.Name == "agent" {
				_ = s.kill(syscall.SIGHUP) // an agent that does not run will fetch when it starts
			}
		}
	})
}

// watchBranch calls pushed with the branch's tip whenever that is another, until ctx ends.
func watchBranch(ctx context.Context, repo string, pushed func(tip string)) {
	branch := filepath.Join(repo, "refs", "heads", "main")
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
		if err != nil || string(now) == string(tip) {
			continue
		}
		tip = now
		pushed(strings.TrimSpace(string(tip)))
	}
}
