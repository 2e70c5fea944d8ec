package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
	"pgregory.net/rapid"
)

// TestAFailureBreaksNothing fails one change of a random plan: whatever was deleted all the
// same is a server whose service stays and had no failure. Synchronisation daemons are no
// part of this: they carry nothing, and may be what is in the way.
func TestAFailureBreaksNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHost()
		h.owned = anySet(t, "owned")
		want := anySet(t, "want")
		p := reconcile.Diff(h.live(), target(want))
		if len(p.Changes) == 0 {
			return
		}
		bad := rapid.SampledFrom(p.Changes).Draw(t, "bad")
		h.fail[bad.ID] = true
		failed := false
		err := p.Apply(context.Background(), h.handlers(), func(c reconcile.Change) {
			if bad.ID.Kind == resource.KindIPVSSync || c.ID.Kind == resource.KindIPVSSync {
				return
			}
			failed = failed || slices.Index(p.Changes, c) > slices.Index(p.Changes, bad)
			if s, ok := c.Before.(resource.IPVSServer); failed && c.Action == reconcile.Delete {
				_, stays := want[resource.IPVSService{ServiceKey: s.Service}.ID()]
				_, gone := h.owned[resource.IPVSService{ServiceKey: s.Service}.ID()]
				if !ok || (!stays && gone) {
					t.Fatalf("%s was deleted after %s failed", c.ID, bad.ID)
				}
			}
		})
		var ce *reconcile.ChangeError
		if !errors.As(err, &ce) || ce.Change != bad {
			t.Fatalf("Apply() = %v, want the failure of %s", err, bad.ID)
		}
		h.fail = nil
		converge(t, h, target(want))
	})
}

// TestWhatAFailureBlocks fails one change of a first push and looks at what was made.
func TestWhatAFailureBlocks(t *testing.T) {
	c := lvsDR()
	second := c.VirtualServers[0]
	second.Name, second.Services = "https", slices.Clone(second.Services)
	second.Services[0].Port = 443
	c.VirtualServers = append(c.VirtualServers, second)
	service := resource.ID{Kind: resource.KindIPVSService, Name: "tcp 172.25.254.100:443"}
	server := resource.ID{Kind: resource.KindIPVSServer, Name: "tcp 172.25.254.100:443 -> 172.25.254.110:80"}
	other := resource.ID{Kind: resource.KindIPVSServer, Name: "tcp 172.25.254.100:443 -> 172.25.254.120:80"}
	http := resource.ID{Kind: resource.KindIPVSServer, Name: "tcp 172.25.254.100:80 -> 172.25.254.110:80"}
	httpService := resource.ID{Kind: resource.KindIPVSService, Name: "tcp 172.25.254.100:80"}
	vrrp := resource.ID{Kind: resource.KindVRRPInstance, Name: "eth0/100/ipv4"}
	for _, c2 := range []struct {
		claim      string
		bad        resource.ID
		made, left []resource.ID
		errors     int
	}{
		{"a service blocks its servers and no other service", service, []resource.ID{httpService, http, vrrp}, []resource.ID{server, other}, 1},
		{"a server blocks those of its service after it", server, []resource.ID{service, httpService, http, vrrp}, []resource.ID{other}, 1},
	} {
		t.Run(c2.claim, func(t *testing.T) {
			h := newHost()
			h.fail[c2.bad] = true
			var attempts int
			err := reconcile.Diff(h.live(), desired(t, c, "ka1", nil)).Apply(t.Context(), h.handlers(), func(reconcile.Change) { attempts++ })
			for _, id := range c2.made {
				if h.owned[id] == nil {
					t.Errorf("%s was not made", id)
				}
			}
			for _, id := range c2.left {
				if h.owned[id] != nil {
					t.Errorf("%s was made", id)
				}
			}
			if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != c2.errors {
				t.Errorf("Apply() = %v, want %d failure", err, c2.errors)
			}
			if attempts != len(h.owned) {
				t.Errorf("done heard of %d changes, and %d were made", attempts, len(h.owned))
			}
		})
	}
}

// TestARealServerStaysSilent fails one of the sysctls that keep a real server from
// answering ARP: the address must not come without them.
func TestARealServerStaysSilent(t *testing.T) {
	d := desired(t, lvsDR(), "rs1", nil)
	for id := range d.Set {
		if id.Kind != resource.KindSysctl {
			continue
		}
		h := newHost()
		h.fail[id] = true
		if err := reconcile.Diff(h.live(), d).Apply(t.Context(), h.handlers(), nil); err == nil {
			t.Errorf("Apply without %s succeeded", id)
		}
		for made := range h.owned {
			if made.Kind == resource.KindAddress {
				t.Errorf("%s was made without %s", made, id)
			}
		}
	}
	live := reconcile.Live{Unobserved: []resource.Kind{resource.KindSysctl}}
	if p := reconcile.Diff(live, d); !p.Empty() {
		t.Errorf("plan = %+v, want nothing while the sysctls cannot be read", p.Changes)
	}
}

// A batcher makes changes together, unless one of them is refused.
type batcher struct {
	*handler
	together int
}

func (b *batcher) ApplyAll(ctx context.Context, cs []reconcile.Change) error {
	for _, c := range cs {
		if b.host.fail[c.ID] {
			return errors.New("the kernel says no")
		}
	}
	for _, c := range cs {
		if err := b.Apply(ctx, c); err != nil {
			return err
		}
	}
	b.together += len(cs)
	return nil
}

func TestChangesOfOneKindAreMadeTogether(t *testing.T) {
	h := newHost()
	b := &batcher{handler: &handler{h, resource.KindSysctl}}
	want := resource.Set{}
	for _, k := range []string{"a", "b", "c"} {
		v := resource.Sysctl{Key: k, Value: "1"}
		want[v.ID()] = v
	}
	plan := reconcile.Diff(h.live(), reconcile.Target{Set: want})
	bad := resource.Sysctl{Key: "b"}.ID()
	h.fail[bad] = true
	err := plan.Apply(t.Context(), []reconcile.Handler{b}, nil)
	var ce *reconcile.ChangeError
	if !errors.As(err, &ce) || ce.Change.ID != bad || len(h.owned) != 1 || b.together != 0 {
		t.Errorf("Apply = %v with %v made, want an error that names b, and a made", err, h.owned)
	}
	h.fail = nil
	made := 0
	plan = reconcile.Diff(h.live(), reconcile.Target{Set: want})
	if err := plan.Apply(t.Context(), []reconcile.Handler{b}, func(reconcile.Change) { made++ }); err != nil || made != 2 || b.together != 2 {
		t.Errorf("Apply = %v, %d made, %d together, want 2 and 2", err, made, b.together)
	}
}

func TestApplyStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := newHost()
	err := reconcile.Diff(h.live(), desired(t, lvsDR(), "rs1", nil)).Apply(ctx, h.handlers(), nil)
	if !errors.Is(err, context.Canceled) || len(h.owned) > 0 {
		t.Errorf("Apply() = %v with %d objects made, want nothing made", err, len(h.owned))
	}
}

// TestObserveGoesOnAfterAFailure has one kind that cannot be read.
func TestObserveGoesOnAfterAFailure(t *testing.T) {
	h := newHost()
	converge(t, h, desired(t, lvsDR(), "rs1", nil))
	hs := h.handlers()
	k := slices.Index(resource.Order, resource.KindSysctl)
	hs[k] = unreadable{hs[k]}
	live, err := reconcile.Observe(t.Context(), hs)
	if err == nil || !slices.Equal(live.Unobserved, []resource.Kind{hs[k].Kind()}) || len(live.Owned) != 1 {
		t.Errorf("Observe() = %+v, %v, want the address, and sysctls unobserved", live, err)
	}
}

type unreadable struct{ reconcile.Handler }

func (unreadable) Observe(context.Context) (reconcile.Live, error) {
	return reconcile.Live{}, errors.New("the kernel says no")
}

// TestADaemonHoldsNothingUp fails to start a synchronisation daemon.
func TestADaemonHoldsNothingUp(t *testing.T) {
	h := newHost()
	old := resource.Sysctl{Key: "net/ipv4/ip_forward", Value: "1"}
	daemon := resource.IPVSSync{Role: "master", Interface: "eth0"}
	h.owned[old.ID()] = old
	h.fail[daemon.ID()] = true
	want := reconcile.Target{Set: resource.Set{daemon.ID(): daemon}}
	if err := reconcile.Diff(h.live(), want).Apply(t.Context(), h.handlers(), nil); err == nil || len(h.owned) > 0 {
		t.Errorf("Apply() = %v with %v left, want the failure of the daemon and nothing left", err, h.owned)
	}
}

// absent is a handler of a host that lacks its kind.
type absent struct {
	reconcile.Handler
	asked int
}

func (a *absent) Apply(context.Context, reconcile.Change) error {
	a.asked++
	return reconcile.ErrNotHere
}

// TestAKindThatIsNotHereIsAskedOnce has two services and no IPVS.
func TestAKindThatIsNotHereIsAskedOnce(t *testing.T) {
	h := newHost()
	hs := h.handlers()
	lacks := &absent{Handler: hs[slices.Index(resource.Order, resource.KindIPVSService)]}
	hs[slices.Index(resource.Order, resource.KindIPVSService)] = lacks
	c := lvsDR()
	second := c.VirtualServers[0]
	second.Name, second.Services = "https", slices.Clone(second.Services)
	second.Services[0].Port = 443
	c.VirtualServers = append(c.VirtualServers, second)
	err := reconcile.Diff(h.live(), desired(t, c, "ka1", nil)).Apply(t.Context(), hs, nil)
	if !errors.Is(err, reconcile.ErrNotHere) || lacks.asked != 1 {
		t.Errorf("Apply() = %v after %d attempts, want one", err, lacks.asked)
	}
	if id := (resource.ID{Kind: resource.KindVRRPInstance, Name: "eth0/100/ipv4"}); h.owned[id] == nil {
		t.Errorf("%s was not made", id)
	}
}

func TestApplyNamesAMissingHandler(t *testing.T) {
	p := reconcile.Diff(reconcile.Live{}, desired(t, lvsDR(), "rs1", nil))
	if err := p.Apply(t.Context(), nil, nil); err == nil {
		t.Error("Apply without handlers succeeded")
	}
}
