package vrrpd

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// stopWith queues a stop, and a command behind it that came too late; it returns the
// answer to that.
func stopWith(t *testing.T, l *loop, k *fakeKernel, late *command) channel.Response {
	t.Helper()
	late.reply = make(chan channel.Response, 1)
	stop := &command{stop: true, reply: make(chan channel.Response, 1)}
	k.queue = append(k.queue, input{kind: inCommand, command: stop}, input{kind: inCommand, command: late})
	round(t, l)
	return <-late.reply
}

// TestNothingComesUpAfterAStop: the process ends after that round, and whatever it had
// brought up would stay on the host.
func TestNothingComesUpAfterAStop(t *testing.T) {
	owner := instance(255)
	owner.VRID, owner.Addresses = 8, "10.0.0.101/24"
	handed := false
	for claim, late := range map[string]*command{
		"a configuration": {request: channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{owner}}}},
		"a hand-over":     {handOver: func(json.RawMessage) error { handed = true; return nil }},
		"a resignation":   {request: channel.Request{Resign: &channel.Resign{}}},
	} {
		l, k := ruling(t)
		k.sent = nil
		if got := stopWith(t, l, k, late); got.Error != stopping.Error {
			t.Errorf("%s: the answer is %q, want %q", claim, got.Error, stopping.Error)
		}
		if len(k.addrs) > 0 || len(k.sent) != 1 || k.sent[0] != 0 || handed {
			t.Errorf("%s: sent %v, kept %v, handed over %v, want one resignation only", claim, k.sent, k.addrs, handed)
		}
	}
}

func TestStopEndsTheWaitForTheStart(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	i := instance(255)
	i.StartDelay = resource.Duration(time.Minute)
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
	k.t += time.Minute
	k.queue = append(k.queue, input{kind: inCommand, command: &command{stop: true, reply: make(chan channel.Response, 1)}})
	round(t, l)
	if len(k.sent) > 0 || len(k.addrs) > 0 {
		t.Errorf("sent %v and kept %v, want neither", k.sent, k.addrs)
	}
}
