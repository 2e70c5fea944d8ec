package faults

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// TestUpgrade replaces the program on the master by one of another version and back, under
// the eyes of a client that asks the virtual address for an answer every 2 ms.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		interval time.Duration
		promised bool
	}{{time.Second, true}, {100 * time.Millisecond, true}, {10 * time.Millisecond, false}} {
		t.Run(tt.interval.String(), func(t *testing.T) {
			t.Parallel()
			interval := tt.interval
			l := elected(t, interval)
			disk := filepath.Join(t.TempDir(), "vrrpd")
			versions := [2]string{"two", "one"}
			install(t, "one", disk)
			l.a.Signal(unix.SIGTERM)
			l.a.Program = disk
			l.a.Start()
			l.settle(t)
			pid, mine := l.a.PID(), l.a.WatchVIP()
			upgrades := nstest.Trials(5, 50)
			var all, lost int // of the client's packets
			moved, n := uint64(0), 0
			note := fair(t, upgrades, func() error {
				l.settle(t)
				removals(mine)
				before := l.transitions()
				stop := ping(t, l)
				version := versions[n%2]
				n++
				install(t, version, disk)
				wait(t, phase(interval))
				s, err := l.a.UpgradeOver()
				if err != nil {
					t.Fatal(err)
				}
				if s.Build != version || s.Upgrades != uint64(n) {
					t.Fatalf("upgrade %d is to version %q, want %d to %q", s.Upgrades, s.Build, n, version)
				}
				wait(t, max(interval, 50*time.Millisecond)) // ping has to start, too
				sent, missing := stop()
				if err = l.unmoved(before); missing > 0 || sent == 0 {
					err = errors.Join(err, fmt.Errorf("%d of %d packets were lost, want none", missing, sent))
				}
				if gone := removals(mine); gone > 0 {
					err = errors.Join(err, fmt.Errorf("the address was removed %d times, want never", gone))
				}
				if err == nil || !tt.promised {
					all, lost, moved = all+sent, lost+missing, moved+l.transitions()[1]-before[1]
					return nil
				}
				return err
			})
			median, most := spread(l.a.Gaps())
			figure(t, "%d upgrades, unattended for %v, at most %v: %d transitions on the peer, client lost %d of %d packets%s",
				upgrades, median, most, moved, lost, all, note)
			if l.a.PID() != pid {
				t.Error("it is another process")
			}
		})
	}
}

// install puts a version of the program where the node's one is, as a package manager does.
func install(t *testing.T, version, disk string) {
	t.Helper()
	from, err := built(version)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(disk+".new", b, 0o755)
	}
	if err == nil {
		err = os.Rename(disk+".new", disk)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var pingResult = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

// ping lets the stranger ask the virtual address; stop returns what was sent and lost.
func ping(t *testing.T, l *lan) (stop func() (sent, lost int)) {
	t.Helper()
	vip, _, _ := strings.Cut(vrrpdtest.VIP, "/")
	cmd := l.stranger.Cmd("ping", "-q", "-i", "0.002", vip)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() (sent, lost int) {
		t.Helper()
		_ = cmd.Process.Signal(unix.SIGINT) // ping answers it with its result
		var text strings.Builder
		for lines := bufio.NewScanner(out); lines.Scan(); {
			text.WriteString(lines.Text() + "\n")
		}
		_ = cmd.Wait() // its exit status says whether anything was lost
		m := pingResult.FindStringSubmatch(text.String())
		if m == nil {
			t.Fatalf("ping said %q", &text)
		}
		sent, sentErr := strconv.Atoi(m[1])
		received, receivedErr := strconv.Atoi(m[2])
		if err := errors.Join(sentErr, receivedErr); err != nil {
			t.Fatal(err)
		}
		return sent, sent - received
	}
}
