package ipvs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func schedulerModule(s resource.IPVSService) string { return "ip_vs_" + s.Scheduler }
func engineModule(s resource.IPVSService) string    { return "ip_vs_pe_" + s.PersistenceEngine }

var _ reconcile.Preflighter = services{}

// Preflight implements reconcile.Preflighter: a service is refused whose scheduler or
// persistence engine this kernel neither has nor can load. Nothing is loaded. Without ip_vs
// itself that is said of each (reconcile.ErrNotHere).
func (h services) Preflight(ctx context.Context, cs []reconcile.Change) []error {
	errs := make([]error, len(cs))
	var missing error
	if len(cs) > 0 {
		missing = h.table.available()
	}
	m := modules{root: h.root, known: map[string]bool{}}
	for i, c := range cs {
		s, ok := c.After.(resource.IPVSService)
		switch {
		case !ok || c.Action != reconcile.Create && c.Action != reconcile.Update:
		case missing != nil:
			errs[i] = missing
		case !m.has(ctx, schedulerModule(s)):
			errs[i] = fmt.Errorf("the kernel has no scheduler %q (module %s)", s.Scheduler, schedulerModule(s))
		case s.PersistenceEngine != "" && !m.has(ctx, engineModule(s)):
			errs[i] = fmt.Errorf("the kernel has no persistence engine %q (module %s)", s.PersistenceEngine, engineModule(s))
		}
	}
	return errs
}

// modules tells which modules the kernel has or could load.
type modules struct {
	root  string          // of /proc and /sys
	known map[string]bool // what was found out or done of a module
}

// load loads a module that the kernel would load when it is asked for what is in it. The
// kernel would do so with its table locked (ip_vs_scheduler_get), and that can end in a
// deadlock for good: a network namespace that goes at that moment waits for the table
// (cleanup_net, ip_vs_dst_event), and the module, if it is ip_vs_lblc or ip_vs_lblcr, waits
// for the namespace (register_pernet_subsys). Where this fails, the kernel says why.
func (m modules) load(ctx context.Context, name string) {
	if m.known[name] {
		return
	}
	m.known[name] = true
	if helper := m.helper(); helper != "" && !m.loaded(name) {
		_ = runHelper(ctx, helper, "-q", "--", name)
	}
}

// helper returns the program with which the kernel loads modules, or "".
func (m modules) helper() string {
	path, err := os.ReadFile(filepath.Join(m.root, "proc/sys/kernel/modprobe"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(path))
}

// has reports whether the kernel has a module, loaded, built in or on disk. Where that
// cannot be told it is taken to be there: the kernel will say.
func (m modules) has(ctx context.Context, name string) bool {
	yes, asked := m.known[name]
	if !asked {
		yes = m.loaded(name) || m.loadable(ctx, name)
		m.known[name] = yes
	}
	return yes
}

// loaded looks where modules are listed, also those that are built in and have parameters.
func (m modules) loaded(name string) bool {
	if _, err := os.Stat(filepath.Join(m.root, "sys/module", name)); err == nil {
		return true
	}
	list, err := os.ReadFile(filepath.Join(m.root, "proc/modules"))
	return err == nil && strings.Contains("\n"+string(list), "\n"+name+" ")
}

// loadable asks the program that the kernel itself would ask (request_module), in a dry
// run. A program that does not know ip_vs, which is there, looks in the wrong place, as one
// in a container may: its no is no answer.
func (m modules) loadable(ctx context.Context, name string) bool {
	helper := m.helper()
	return helper == "" || knows(ctx, helper, name) || !knows(ctx, helper, "ip_vs")
}

// knows reports whether the helper does not say no.
func knows(ctx context.Context, helper, name string) bool {
	err := runHelper(ctx, helper, "-n", "-q", "--", name)
	var exit *exec.ExitError
	return err == nil || !errors.As(err, &exit) || !exit.Exited()
}

// helperPatience is for a program that has a file or two to read.
const helperPatience = 10 * time.Second

func runHelper(ctx context.Context, helper string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, helperPatience)
	defer cancel()
	return exec.CommandContext(ctx, helper, args...).Run()
}
