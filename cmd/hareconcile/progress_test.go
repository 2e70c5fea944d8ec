package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 12345: "12,345", 1234567: "1,234,567", -100: "-100", -1000: "-1,000"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestAMeterWritesLinesNowAndThen(t *testing.T) {
	for _, tt := range []struct {
		name string
		live bool
		want string
	}{
		{"terminal", true, strings.Repeat("L", 100)},
		{"pipe", false, "Applying: 5,000 of 10,000 (ipvs_server)\nApplying: 10,000 of 10,000 (ipvs_server)\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b bytes.Buffer
				m := (&env{stderr: &b, live: tt.live}).newMeter()
				for i := range 10_000 {
					time.Sleep(time.Millisecond)
					m.show(control.Progress{Done: i + 1, Total: 10_000, Kind: resource.KindIPVSServer})
				}
				m.line.clear()
				if tt.live {
					lines := strings.Split(strings.TrimSuffix(b.String(), "\r\x1b[K"), "\r\x1b[K")
					if len(lines) != 101 || lines[0] != "" || lines[100] != "Applying: 10,000 of 10,000 (ipvs_server)" {
						t.Errorf("%d states of the line, the last %q", len(lines), lines[len(lines)-1])
					}
				} else if b.String() != tt.want {
					t.Errorf("wrote %q, want %q", b.String(), tt.want)
				}
			})
		})
	}
}

func TestASmallPlanHasNoMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		m := (&env{stderr: &b, live: true}).newMeter()
		time.Sleep(time.Minute)
		m.show(control.Progress{Done: 1, Total: fewChanges - 1})
		m.line.clear()
		if b.Len() > 0 {
			t.Errorf("wrote %q", b.String())
		}
	})
}

func TestWhatTakesLongIsNamedOnATerminal(t *testing.T) {
	for _, tt := range []struct {
		live bool
		d    time.Duration
		want string
	}{
		{true, 900 * time.Millisecond, ""},
		{true, 2500 * time.Millisecond, "\r\x1b[KCompiling x... 1s\r\x1b[KCompiling x... 2s\r\x1b[K"},
		{false, time.Minute, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b bytes.Buffer
			err := (&env{stderr: &b, live: tt.live}).during("Compiling x", func() error { time.Sleep(tt.d); return errSaid })
			if err != errSaid || b.String() != tt.want {
				t.Errorf("during %v = %v, wrote %q, want %q", tt.d, err, b.String(), tt.want)
			}
		})
	}
}

// TestApplyFollowsTheAgentsProgress has an agent that is at work until its progress was shown.
func TestApplyFollowsTheAgentsProgress(t *testing.T) {
	a := &fakeAgent{}
	for range fewChanges {
		a.changes = append(a.changes, update1())
	}
	seen, once := make(chan struct{}), sync.Once{}
	a.work = func() {
		for n := 1; ; n++ {
			a.mu.Lock()
			a.status.Progress = &control.Progress{Done: n, Total: fewChanges, Kind: resource.KindSysctl}
			a.mu.Unlock()
			a.setPhase(control.Applying)
			tick := time.NewTimer(5 * time.Millisecond)
			select {
			case <-seen:
				return
			case <-tick.C:
			}
		}
	}
	config := startAgent(t, a)
	var stdout, stderr bytes.Buffer
	meter := &watcher{text: []byte(" of 500 (sysctl)"), seen: func() { once.Do(func() { close(seen) }) }}
	e := &env{stdout: &stdout, stderr: io.MultiWriter(&stderr, meter), live: true}
	code := dispatch(t.Context(), e, []string{"apply", config, "-auto-approve"})
	if code != 0 || !strings.HasSuffix(stderr.String(), "\r\x1b[K") {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
	if want := "\nand 400 more\n\nApply complete! Resources: 0 added, 500 changed"; !strings.Contains(stdout.String(), want) {
		t.Errorf("stdout lacks %q:\n%s", want, stdout.String())
	}
}

func TestAPlanThatNeverWorksIsNotAskedAbout(t *testing.T) {
	a := &fakeAgent{changes: []reconcile.Change{update1()}, problems: []reconcile.Problem{{Change: update1(), Err: errSaid}}}
	config := startAgent(t, a)
	r := run(t, "yes\n", "apply", config)
	r.want(t, 1, `^  sysctl/net/ipv4/conf/lo/arp_ignore: already reported$`, "^Error: the plan could never work on this host: sysctl/")
	if strings.Contains(r.stdout, "Only 'yes'") || len(a.changes) == 0 {
		t.Errorf("it was asked about or carried out:\n%s", r.stdout)
	}
	run(t, "", "plan", config, "-json").want(t, 1, `^  "errors": \[`, "could never work")
}
