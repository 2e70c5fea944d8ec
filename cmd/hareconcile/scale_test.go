package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// The sizes of bigCluster. The test is about what is planned and runs with the race detector,
// in which the children live too; the benchmark is about time.
const (
	testServices  = 300
	benchServices = 10_000
)

// bigCluster has so many services with five servers each on node ka1.
const bigCluster = `cluster "big" {
  node "ka1" { address = "172.25.254.10" }
  node "ka2" { address = "172.25.254.20" }
}

vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 100
  version           = 3
  priority          = { ka1 = 150, ka2 = 100 }
  preempt           = "immediate"
  addresses         = ["172.25.254.100/24"]
}

pool "web" {
  port = 8080

  dynamic "server" {
    for_each = { for i in range(5) : "rs${i}" => "10.9.${i}.1" }
    labels   = [server.key]

    content {
      address = server.value
    }
  }
}

virtual_server "web" {
  on        = vrrp_instance.web
  address   = "172.25.254.100"
  ports     = ["1-%d"]
  protocol  = "tcp"
  scheduler = "wrr"
  forward   = "nat"
  pool      = pool.web
}
`

// objects are what a handler of one kind finds, and all ours.
type objects struct {
	kind resource.Kind
	live resource.Set
}

func (o objects) Kind() resource.Kind                           { return o.kind }
func (o objects) Apply(context.Context, reconcile.Change) error { return nil }

func (o objects) Observe(context.Context) (reconcile.Live, error) {
	return reconcile.Live{Owned: maps.Clone(o.live)}, nil
}

// converged returns handlers of a host that is as r wants it.
func converged(tb testing.TB, r *revision.Revision) []reconcile.Handler {
	tb.Helper()
	target, err := reconcile.Desired(r.Cluster, "ka1", nil)
	if err != nil {
		tb.Fatal(err)
	}
	kinds := map[resource.Kind]resource.Set{}
	for _, k := range resource.Order {
		kinds[k] = resource.Set{}
	}
	for id, v := range target.Set {
		kinds[id.Kind][id] = v
	}
	var hs []reconcile.Handler
	for _, k := range resource.Order {
		hs = append(hs, objects{k, kinds[k]})
	}
	return hs
}

// planBig plans bigCluster for a host with those handlers.
func planBig(tb testing.TB, dir string, hs func(*revision.Revision) []reconcile.Handler) planfile.File {
	tb.Helper()
	e := &env{stdout: io.Discard, stderr: io.Discard}
	h := &host{cfg: spec.Agent{NodeName: "ka1", RepoPolicyDir: "policies"}, log: slog.New(slog.DiscardHandler)}
	r, err := compileDir(tb.Context(), e, dir, "ka1", nil, "policies")
	if err != nil {
		tb.Fatal(err)
	}
	p := &prospect{node: "ka1", next: r, named: planfile.Revision{Dir: dir}, handlers: hs(r)}
	p.live, p.unknown = reconcile.Observe(tb.Context(), p.handlers)
	f, err := h.plan(tb.Context(), e, p)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func bigDir(tb testing.TB, services int) string {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cluster.hcl"), fmt.Appendf(nil, bigCluster, services), 0o644); err != nil {
		tb.Fatal(err)
	}
	return dir
}

func TestABigTableIsPlanned(t *testing.T) {
	dir := bigDir(t, testServices)
	if f := planBig(t, dir, func(r *revision.Revision) []reconcile.Handler { return converged(t, r) }); !f.Plan().Empty() {
		t.Errorf("plan of a converged host has %d changes", len(f.Changes))
	}
	f := planBig(t, dir, func(*revision.Revision) []reconcile.Handler { return nil })
	if want := 6*testServices + 2; f.Summary.Add != want {
		t.Errorf("plan of an empty host adds %d, want %d: services, servers, the instance and ip_forward", f.Summary.Add, want)
	}
	f = planBig(t, dir, func(r *revision.Revision) []reconcile.Handler {
		hs := converged(t, r)
		for _, h := range hs {
			for id, v := range h.(objects).live {
				if s, ok := v.(resource.IPVSServer); ok {
					s.Weight = 7
					h.(objects).live[id] = s
					return hs
				}
			}
		}
		return hs
	})
	if len(f.Changes) != 1 || f.Summary.Change != 1 {
		t.Errorf("plan of one changed weight has %+v, want one update", f.Summary)
	}
}

// BenchmarkPlan is `plan DIR` without the look at the kernel, for which there is a bench of
// its own. What the children use of the processor is in children-ms.
func BenchmarkPlan(b *testing.B) {
	for _, c := range []struct {
		name string
		hs   func(*revision.Revision) []reconcile.Handler
	}{
		{"converged", func(r *revision.Revision) []reconcile.Handler { return converged(b, r) }},
		{"empty", func(*revision.Revision) []reconcile.Handler { return nil }},
	} {
		b.Run(c.name, func(b *testing.B) {
			dir := bigDir(b, benchServices)
			before := childTime(b)
			for b.Loop() {
				planBig(b, dir, c.hs)
			}
			b.ReportMetric(float64((childTime(b)-before).Milliseconds())/float64(b.N), "children-ms/op")
		})
	}
}

func childTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
