package sys

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

func find(t *testing.T, p netip.Prefix) (Address, bool) {
	t.Helper()
	list, err := Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if a.Prefix == p {
			return a, true
		}
	}
	return Address{}, false
}

func TestAddressesKeepTheirMark(t *testing.T) {
	for _, p := range []string{"192.0.2.1/32", "2001:db8::1/128", "10.1.2.3/24"} {
		nstest.New(t).Do(func() {
			prefix := netip.MustParsePrefix(p)
			a := Address{Prefix: prefix, Device: "lo", Proto: AgentProto}
			if err := AddAddress(a); err != nil {
				t.Fatal(err)
			}
			if err := AddAddress(a); !errors.Is(err, unix.EEXIST) {
				t.Errorf("%s: second AddAddress = %v, want EEXIST", p, err)
			}
			got, ok := find(t, prefix)
			if !ok || got.Device != "lo" || got.Proto != AgentProto {
				t.Errorf("%s: address = %+v, %v", p, got, ok)
			}
			got.Proto = VRRPProto
			if err := MarkAddress(got); err != nil {
				t.Fatal(err)
			}
			if got, _ = find(t, prefix); got.Proto != VRRPProto {
				t.Errorf("%s: mark = %#x, want %#x", p, got.Proto, VRRPProto)
			}
			if err := DeleteAddress(a); err != nil {
				t.Fatal(err)
			}
			if err := DeleteAddress(a); !errors.Is(err, unix.EADDRNOTAVAIL) {
				t.Errorf("%s: second DeleteAddress = %v, want EADDRNOTAVAIL", p, err)
			}
			a.Device = "none0"
			if err := DeleteAddress(a); !errors.Is(err, unix.ENODEV) {
				t.Errorf("%s: DeleteAddress on no device = %v, want ENODEV", p, err)
			}
		})
	}
}

func TestWatchReportsABurstAndEnds(t *testing.T) {
	ns := nstest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan struct{}, 100) // more than the test causes
	done := make(chan error, 1)
	ready := make(chan struct{})
	go ns.Do(func() {
		close(ready)
		done <- Watch(ctx, func() { changes <- struct{}{} })
	})
	<-ready
	add := time.NewTicker(10 * time.Millisecond) // Watch may not listen yet at the first one
	defer add.Stop()
	deadline := time.After(5 * time.Second)
	for n, seen := byte(1), false; !seen; n++ {
		ns.Do(func() {
			a := Address{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 32), Device: "lo"}
			if err := AddAddress(a); err != nil {
				t.Fatal(err)
			}
		})
		select {
		case <-changes:
			seen = true
		case <-add.C:
		case <-deadline:
			t.Fatal("no change was reported")
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Watch = %v after its context ended, want nil", err)
		}
	case <-deadline:
		t.Fatal("Watch did not end with its context")
	}
}

func TestReleases(t *testing.T) {
	for release, want := range map[string]bool{
		"5.18.0": true, "5.18-rc1": true, "6.1.176": true, "6.18.44-fc-v595": true, "10.0.1": true,
		"5.17.9": false, "5.4.0-generic": false, "4.19.0": false, "": false, "six": false, "6": false, "6.x": false,
	} {
		if got := releaseAtLeast(release, 5, 18); got != want {
			t.Errorf("releaseAtLeast(%q) = %v, want %v", release, got, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add([]byte{2, 32, 128, 0, 1, 0, 0, 0, 8, 0, 1, 0, 192, 0, 2, 1, 8, 0, 2, 0, 192, 0, 2, 1, 5, 0, 11, 0, 0x68, 0, 0, 0})
	f.Add([]byte{2, 200, 128, 0, 1, 0, 0, 0, 8, 0, 1, 0, 192, 0, 2, 1})
	f.Add([]byte{2, 32})
	f.Add([]byte{10, 64, 0, 253, 2, 0, 0, 0, 255, 255, 1, 0})
	f.Fuzz(func(t *testing.T, m []byte) {
		if a, ok := parseAddress(m); ok && !a.Prefix.IsValid() {
			t.Errorf("parseAddress(%x) = %+v, which is no address", m, a)
		}
	})
}
