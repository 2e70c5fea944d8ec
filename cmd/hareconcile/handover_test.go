package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/peer"
	"github.com/hareconcile/hareconcile/internal/rollout"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// A fakeVRRPD is one virtual router, and what becomes of it once it is given up.
type fakeVRRPD struct {
	now   channel.InstanceStatus
	after channel.InstanceStatus
	asked chan channel.Request // with room for all that a test asks
	old   bool                 // it knows no hold
}

// Handle implements channel.Handler.
func (f *fakeVRRPD) Handle(ctx context.Context, r channel.Request, reply func(channel.Response) error) {
	status := func(i channel.InstanceStatus) channel.Response {
		return channel.Response{Status: &channel.Status{Instances: []channel.InstanceStatus{i}}}
	}
	switch {
	case r.Query != nil:
		_ = reply(status(f.now))
	case r.Subscribe != nil:
		_ = reply(status(f.now)) // what was before, as it may well be
		_ = reply(status(f.after))
		<-ctx.Done()
	default:
		f.asked <- r
		if r.Resign != nil && r.Resign.Hold > 0 && !f.old {
			f.now.HoldUntil = time.Now().Add(r.Resign.Hold)
		}
		_ = reply(channel.Response{})
	}
}

func TestHandover(t *testing.T) {
	state := func(state string, transitions uint64, master string) channel.InstanceStatus {
		i := channel.InstanceStatus{Name: "eth0/7/ipv4", State: state, Transitions: transitions}
		if master != "" {
			i.Master = netip.MustParseAddr(master)
		}
		return i
	}
	was := state("MASTER", 3, "")
	tests := map[string]struct {
		now, after channel.InstanceStatus
		o          handover
		old        bool // vrrpd is of an older release
		out        string
		code       int // 0 is none
		err        string
	}{
		"somebody took over": {
			now: was, after: state("BACKUP", 4, "192.0.2.2"), o: handover{hold: time.Minute, wait: true, force: true},
			out: "vrrp_instance.eth0/7/ipv4: given up; for 1m0s it leaves another master alone, but takes over should there be none.\nvrrp_instance.eth0/7/ipv4: 192.0.2.2 is master.\n",
		},
		"nobody took over": {
			now: was, after: state("MASTER", 5, ""), o: handover{wait: true, force: true},
			out: "vrrp_instance.eth0/7/ipv4: given up.\n", code: exitError, err: "nobody took over",
		},
		"nobody is heard": {
			now: was, after: state("BACKUP", 4, ""), o: handover{wait: true, force: true},
			out: "vrrp_instance.eth0/7/ipv4: given up.\n", code: exitLocked, err: "no other node is heard as master",
		},
		"nobody is known": {now: was, code: exitError, err: "no agent runs on this host"},
		"not the master": {
			now: state("BACKUP", 4, "192.0.2.2"), o: handover{wait: true, hold: time.Minute},
			out: "vrrp_instance.eth0/7/ipv4: is BACKUP as before; for 1m0s it leaves another master alone, but takes over should there be none.\n",
		},
		"a vrrpd that knows no hold": {
			now: was, o: handover{hold: time.Minute, force: true}, old: true,
			out: "vrrp_instance.eth0/7/ipv4: given up; hareconcile-vrrpd is of an older release and knows no hold, so it takes back as preempt says.\n",
		},
		"another name": {now: was, o: handover{instance: "eth0/7/ipv6"}, code: exitError, err: `no vrrp_instance of this node is named "eth0/7/ipv6"`},
		"a release":    {now: was, o: handover{release: true, wait: true}, out: "vrrp_instance.eth0/7/ipv4: takes part as configured again.\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l, err := net.Listen("unix", filepath.Join(dir, "vrrpd"))
			if err != nil {
				t.Fatal(err)
			}
			f := &fakeVRRPD{now: tt.now, after: tt.after, asked: make(chan channel.Request, 1), old: tt.old}
			go func() { _ = channel.Serve(t.Context(), l, f) }()
			var out bytes.Buffer
			h := &host{cfg: spec.Agent{DataDir: dir, Socket: filepath.Join(dir, "agent"), VRRPSocket: l.Addr().String()}}
			tt.o.timeout = time.Second
			err = h.handOver(t.Context(), &env{stdout: &out}, tt.o)
			code := 0
			var c *codeError
			switch {
			case errors.As(err, &c):
				code = c.code
			case err != nil:
				code = exitError
			}
			if code != tt.code || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("code %d, %v, want %d and %q", code, err, tt.code, tt.err)
			}
			if out.String() != tt.out {
				t.Errorf("it says\n%swant\n%s", &out, tt.out)
			}
			if asked := len(f.asked) == 1; asked != (tt.out != "") {
				t.Errorf("vrrpd was asked: %v", asked)
			}
		})
	}
}

func TestWhoCouldTakeOver(t *testing.T) {
	from := func(node, state string, heard bool) control.Peer {
		return control.Peer{Heard: heard, Message: peer.Message{Report: rollout.Report{Node: node, Instances: []rollout.Instance{{Name: "web", State: state}}}}}
	}
	for want, peers := range map[string][]control.Peer{
		"":                                     {from("ka2", "FAULT", true), from("ka3", "BACKUP", true)},
		"ka2 is in FAULT":                      {from("ka2", "FAULT", true)},
		"ka2 cannot be reached":                {from("ka2", "BACKUP", false)},
		"ka2 does not know its state":          {from("ka2", "", true)},
		"none that was heard takes part in it": {{Heard: true, Message: peer.Message{Report: rollout.Report{Node: "rs1"}}}},
	} {
		if got := nobodyFor(control.Status{Peers: peers}, "web"); got != want {
			t.Errorf("nobodyFor(%+v) = %q, want %q", peers, got, want)
		}
	}
}
