package notify

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/spec"
)

func transition(name, from, to string) event.Event {
	return event.Event{Kind: event.VRRPTransition, Subject: "vrrp_instance." + name, From: from, To: to}
}

// A listener remembers what it was told, and fails as often as it is to.
type listener struct {
	got  []string
	fail int
	hang chan struct{}
}

func (l *listener) send(ctx context.Context, events []event.Event) error {
	if l.hang != nil {
		select {
		case <-l.hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if l.fail > 0 {
		l.fail--
		return errors.New("not now")
	}
	for _, e := range events {
		l.got = append(l.got, e.Subject+" "+e.To)
	}
	return nil
}

func options(t *testing.T) Options {
	return Options{StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
}

func begin(t *testing.T, n spec.Notify, l *listener, log *event.Log, o Options) *worker {
	t.Helper()
	w := newWorker(n, l.send, o)
	w.start(t.Context(), log)
	return w
}

var all = spec.Notify{Name: "x", Events: []string{"vrrp_transition"}, Webhook: &spec.NotifyWebhook{}}

func ensuring() spec.Notify {
	return spec.Notify{Name: "x", Events: []string{"vrrp_transition"}, Exec: &spec.NotifyExec{Ensure: true}}
}

func TestEventsAreToldInOrderAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, l := event.NewLog(), &listener{fail: 3}
		log.Add(transition("web", "BACKUP", "FAULT")) // before the start: no news
		w := begin(t, all, l, log, options(t))
		defer w.stop()
		synctest.Wait()
		log.Add(transition("web", "", "BACKUP"), transition("web", "BACKUP", "MASTER"), event.Event{Kind: event.Alarm}, transition("db", "MASTER", "BACKUP"))
		time.Sleep(7 * time.Second) // 1 s + 2 s + 4 s
		synctest.Wait()
		if d := cmp.Diff([]string{"vrrp_instance.web MASTER", "vrrp_instance.db BACKUP"}, l.got); d != "" {
			t.Errorf("told (-want +got)\n%s", d)
		}
		if s := w.stats(); s.Sent != 2 || s.Failed != 3 || s.Lost != 0 || s.Queued != 0 {
			t.Errorf("stats = %+v", s)
		}
	})
}

func TestWhatNeverSucceedsIsGivenUpAndWhatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, l := event.NewLog(), &listener{fail: attempts}
		w := begin(t, all, l, log, options(t))
		defer w.stop()
		hung := &listener{hang: make(chan struct{})}
		h := begin(t, all, hung, log, options(t))
		defer h.stop()
		synctest.Wait()
		for range maxQueued + 10 {
			log.Add(transition("web", "BACKUP", "MASTER"))
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := w.stats(); s.Lost < 1 || s.Queued != 0 || len(l.got) == 0 {
			t.Errorf("after one event was given up: %+v", s)
		}
		if s := h.stats(); s.Queued != maxQueued || s.Lost != 10 {
			t.Errorf("the queue of what hangs: %+v, want %d and 10 lost", s, maxQueued)
		}
	})
}

func TestEnsureTellsTheStateThatHoldsOnceAlsoOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, log, l := options(t), event.NewLog(), &listener{fail: 1}
		w := begin(t, ensuring(), l, log, o)
		log.Add(transition("web", "", "BACKUP"))
		synctest.Wait()
		log.Add(transition("web", "BACKUP", "MASTER")) // while it waits to try again
		synctest.Wait()
		w.stop()
		restart := func() {
			w = begin(t, ensuring(), l, log, o)
			synctest.Wait()
		}
		log = event.NewLog()
		log.Add(transition("web", "", "MASTER"))
		restart() // the same state: no second time
		w.stop()
		log = event.NewLog()
		log.Add(transition("web", "", "FAULT")) // changed while no agent ran
		restart()
		defer w.stop()
		if want := []string{"vrrp_instance.web MASTER", "vrrp_instance.web FAULT"}; !slices.Equal(l.got, want) {
			t.Errorf("told %q, want %q", l.got, want)
		}
	})
}

func TestAStormOfMailsIsOneDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, l := event.NewLog(), &listener{}
		n := spec.Notify{Name: "x", Events: []string{"real_server_down"}, SMTP: &spec.NotifySMTP{PerMinute: 6}}
		mails := 0
		w := newWorker(n, func(ctx context.Context, es []event.Event) error { mails++; return l.send(ctx, es) }, options(t))
		w.start(t.Context(), log)
		defer w.stop()
		synctest.Wait()
		for range 50 {
			log.Add(event.Event{Kind: event.ServerDown, Subject: "web/a"})
			synctest.Wait()
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if mails != 2 || len(l.got) != 50 {
			t.Errorf("%d mails told of %d events, want 2 and 50", mails, len(l.got))
		}
	})
}
