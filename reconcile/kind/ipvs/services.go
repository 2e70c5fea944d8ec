package ipvs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// services owns the virtual services that the ledger lists.
type services struct {
	*rows[resource.IPVSService]
	root string // of /proc and /sys
}

var _ reconcile.Batcher = services{}

// NewServices returns the handler of virtual services.
func NewServices(l *ledger.Ledger) reconcile.Handler { return newServices(dialKernel, l, "/") }

func newServices(dial func() (socket, uint16, error), l *ledger.Ledger, root string) services {
	t := &table{dial: dial}
	return services{root: root, rows: &rows[resource.IPVSService]{
		table: t, ledger: l, kind: resource.KindIPVSService,
		name:    func(s resource.IPVSService) string { return "IPVS service " + s.ServiceKey.String() },
		ready:   func(ctx context.Context) func(resource.IPVSService) error { return readyService(ctx, root) },
		find:    func(s resource.IPVSService) (resource.IPVSService, error) { return t.service(s.ServiceKey) },
		encoder: func() encode[resource.IPVSService] { return encodeService },
		explain: func(s resource.IPVSService, err error) error { return explainService(t, s, err) },
		began:   func(ids []resource.ID) error { return forgetServers(l, ids) },
	}}
}

// Observe implements reconcile.Handler.
func (h services) Observe(context.Context) (reconcile.Live, error) {
	return h.observe(func(live reconcile.Live) error {
		list, err := h.table.services()
		for _, s := range list {
			h.sort(live, s.ID(), s)
		}
		return err
	})
}

// readyService refuses what the kernel has no form for, and loads what it would load.
func readyService(ctx context.Context, root string) func(resource.IPVSService) error {
	m := modules{root: root, known: map[string]bool{}}
	return func(s resource.IPVSService) error {
		if _, err := kernelService(s); err != nil {
			return err
		}
		m.load(ctx, schedulerModule(s))
		if s.PersistenceEngine != "" {
			m.load(ctx, engineModule(s))
		}
		return nil
	}
}

func encodeService(b []byte, do verb, s resource.IPVSService) (uint8, []byte) {
	if do == remove {
		return cmdDelService, appendService(b, kernelKey(s.ServiceKey), false)
	}
	e, _ := kernelService(s) // ready has looked
	if do == change {
		return cmdSetService, appendService(b, e, true)
	}
	return cmdNewService, appendService(b, e, true)
}

// explainService knows what ip_vs_add_service and ip_vs_edit_service mean.
func explainService(t *table, s resource.IPVSService, err error) error {
	if !errors.Is(err, syscall.ENOENT) {
		return err
	}
	if err := t.available(); err != nil { // the module is gone
		return err
	}
	lacks := fmt.Sprintf("scheduler %q (module %s)", s.Scheduler, schedulerModule(s))
	if s.PersistenceEngine != "" {
		lacks += fmt.Sprintf(" or no persistence engine %q (module %s)", s.PersistenceEngine, engineModule(s))
	}
	return fmt.Errorf("the kernel has no %s", lacks)
}

// forgetServers takes the servers of services out of the ledger: a new service has none,
// so that what the ledger knows of them is of an earlier one, and one that is gone took
// its servers with it.
func forgetServers(l *ledger.Ledger, ids []resource.ID) error {
	if l.Count(resource.KindIPVSServer) == 0 {
		return nil
	}
	keys := make(map[string]bool, len(ids))
	for _, id := range ids {
		keys[id.Name] = true
	}
	return l.ForgetIf(resource.KindIPVSServer, func(name string) bool {
		key, _, _ := strings.Cut(name, arrow)
		return keys[key]
	})
}
