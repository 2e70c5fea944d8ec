package vrrpd

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestFlushWaitsForLinesButNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		r := newRing(slog.NewTextHandler(&out, nil))
		log := slog.New(r)
		start := time.Now()
		log.Info("one")
		r.flush(time.Second)
		if took := time.Since(start); took != time.Second || out.Len() > 0 {
			t.Errorf("gave up after %v with %q written, want 1s of nobody writing", took, &out)
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			r.drain(stop)
			close(done)
		}()
		log.Info("two")
		r.flush(time.Second)
		if took := time.Since(start); took != time.Second || strings.Count(out.String(), "\n") != 2 {
			t.Errorf("after %v %q is written, want both lines at once", took-time.Second, &out)
		}
		close(stop)
		<-done
		for range ringSize {
			log.Info("more than anybody reads")
		}
		r.flush(time.Hour)
		if took := time.Since(start); took != time.Second {
			t.Errorf("a full ring was waited for")
		}
	})
}

func TestHandOverGivesTheStateAndReportsFailure(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{instance(100)}})
	for _, another := range []bool{true, false} {
		var doc saved
		c := &command{another: another, reply: make(chan channel.Response, 1), handOver: func(b json.RawMessage) error {
			var err error
			if doc, err = l.store.decode(b); err != nil {
				t.Errorf("a successor does not understand the state: %v", err)
			}
			return errors.New("no")
		}}
		l.command(c)
		if r := <-c.reply; r.Error != "no" {
			t.Errorf("answer = %+v, want the error", r)
		}
		if len(doc.Instances) != 1 || (doc.Upgrades == 1) != another || l.upgrades != 0 {
			t.Errorf("state with %d instances and %d upgrades, want 1 and %v", len(doc.Instances), doc.Upgrades, another)
		}
	}
}
