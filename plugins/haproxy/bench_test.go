package main

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"
)

// spent is the processor time that this process has used.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCheck counts processor time, which other programs of a busy machine do not use up
// as they do time: cpu-ns/check is what one check of one tracker costs. In a round, all
// trackers look in the same instant.
func BenchmarkCheck(b *testing.B) {
	for _, bm := range []struct {
		name, config string
		trackers     int
	}{
		{"1 tracker/socket", `{"socket": "SOCKET"}`, 1},
		{"20 trackers/socket", `{"socket": "SOCKET"}`, 20},
		{"20 trackers/everything", everything, 20},
	} {
		b.Run(bm.name, func(b *testing.B) {
			h := pair(b, config)
			var ws []*watcher
			tr := newTracker()
			for range bm.trackers {
				ws = append(ws, h.another(b, tr, bm.config))
			}
			round := func() {
				var wg sync.WaitGroup
				for _, w := range ws {
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
						defer cancel()
						if r, err := w.Check(ctx); err != nil || r.Metrics["up"] != 1 {
							b.Errorf("%+v, %v", r, err)
						}
					})
				}
				wg.Wait()
			}
			round()
			b.ReportAllocs()
			before := spent(b)
			for b.Loop() {
				round()
			}
			b.ReportMetric(float64(spent(b)-before)/float64(b.N*bm.trackers), "cpu-ns/check")
		})
	}
}

// everything asks for all that costs a look.
const everything = `{"socket": "SOCKET", "master_socket": "MASTER", "pidfile": "PIDFILE", "frontends": ["fe_web"],
	"backends": ["be_app"], "listen": ["127.0.0.1:PORT"]}`
