package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestAnObjectIsContested(t *testing.T) {
	start := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	id := resource.ID{Kind: resource.KindSysctl, Name: "net/ipv4/conf/all/arp_ignore"}
	every := func(d time.Duration, n int) []time.Duration {
		var out []time.Duration
		for k := range n {
			out = append(out, time.Duration(k)*d)
		}
		return out
	}
	for _, x := range []struct {
		name      string
		made      []time.Duration // when it was put back, after start
		at        time.Duration   // when it is asked
		contested bool
		waits     bool
	}{
		{"not by four corrections in a moment", every(time.Millisecond, 4), time.Second, false, false},
		{"by the fifth, and then it waits", every(time.Millisecond, 5), time.Second, true, true},
		{"by five within ten minutes", every(2*time.Minute, 5), 8*time.Minute + time.Second, true, true},
		{"not by five over ten minutes", every(150*time.Second, 5), 10*time.Minute + time.Second, false, false},
		{"and is tried again after a minute", every(time.Millisecond, 5), 61 * time.Second, true, false},
		{"and waits for another minute then", append(every(time.Millisecond, 5), 61*time.Second), 62 * time.Second, true, true},
		{"until nobody touched it for ten minutes", every(time.Millisecond, 5), 10*time.Minute + time.Second, false, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := contests{of: map[resource.ID]*contest{}}
			told := 0
			for _, d := range x.made {
				if s.corrected(id, resource.Sysctl{Key: id.Name, Value: "0"}, start.Add(d)) {
					told++
				}
			}
			s.sweep(start.Add(x.at))
			alarms := s.alarms()
			if got := len(alarms) == 1; got != x.contested {
				t.Errorf("contested = %v, want %v: %+v", got, x.contested, alarms)
			}
			if got := s.waits(id, start.Add(x.at)); got != x.waits {
				t.Errorf("waits = %v, want %v", got, x.waits)
			}
			if told > 1 || x.contested && told != 1 {
				t.Errorf("it became contested %d times, want once", told)
			}
			if x.contested && !strings.Contains(alarms[0].Message, `found "0"; put back`) {
				t.Errorf("alarm = %q, want the value that was found", alarms[0].Message)
			}
		})
	}
}

func TestWhatIsFoundWithoutBeingPutBackKeepsAContestAlive(t *testing.T) {
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	id := resource.ID{Kind: resource.KindAddress, Name: "192.0.2.1"}
	s := contests{of: map[resource.ID]*contest{}}
	for range contestCount {
		s.corrected(id, nil, now)
	}
	for range 20 {
		now = now.Add(time.Minute)
		s.sighted(id, nil, now)
		if over := s.sweep(now); over != nil {
			t.Fatalf("sweep = %v while it is still found otherwise", over)
		}
	}
	if over := s.sweep(now.Add(contestWindow)); len(over) != 1 || over[0] != id {
		t.Errorf("sweep after the quiet = %v, want %v", over, id)
	}
}

func TestContestsAreBounded(t *testing.T) {
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	s := contests{of: map[resource.ID]*contest{}}
	for k := range contestMost + 100 {
		for range contestCount {
			s.corrected(resource.ID{Kind: resource.KindIPVSServer, Name: fmt.Sprint(k)}, nil, now)
		}
	}
	if len(s.of) != contestMost {
		t.Errorf("%d are remembered, want %d", len(s.of), contestMost)
	}
	if got := len(s.alarms()); got != maxDrift+1 {
		t.Errorf("%d alarms, want %d and one for the rest", got, maxDrift)
	}
}
