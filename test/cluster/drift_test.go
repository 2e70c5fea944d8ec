package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/lab"
)

// drifts returns how many repairs a node's agent counts, and the newest.
func (s *story) drifts(t *testing.T, node string) (uint64, string) {
	t.Helper()
	st, err := s.Agent(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	return st.Drift.Total, fmt.Sprint(st.Drift.Last)
}

// counted waits until a node's agent counts more repairs than before and names what it repaired.
func (s *story) counted(t *testing.T, node string, before uint64, what string) {
	t.Helper()
	until(t, 60*time.Second, "a counted repair", func(context.Context) error {
		if n, last := s.drifts(t, node); n <= before || !strings.Contains(last, what) {
			return fmt.Errorf("drift on %s is %d %s, want more than %d and %s in it", node, n, last, before, what)
		}
		return nil
	})
}

// addressDrift takes the address from the master and from a real server.
func addressDrift(t *testing.T, s *story) {
	for _, x := range []struct{ node, device, length, repaired string }{
		{"ka1", "eth0", "24", "put back by vrrpd"}, {"rs1", "lo", "32", vip},
	} {
		s.mends(t, 100*time.Millisecond, x.node, x.repaired, func() time.Duration {
			return s.goneFor(t, x.node, x.device, x.length)
		})
	}
}

// mends does what f does, which returns how long the repair took, and checks that it took at
// most limit and was counted. The lab may share its processor with other tests, so one of
// four has to keep the limit, and all have to be repaired; after five it would be contested.
func (s *story) mends(t *testing.T, limit time.Duration, node, what string, f func() time.Duration) {
	t.Helper()
	var took []time.Duration
	for range 4 {
		before, _ := s.drifts(t, node)
		took = append(took, f())
		s.counted(t, node, before, what)
		if took[len(took)-1] <= limit {
			t.Logf("%s on %s was mended after %v", what, node, took)
			return
		}
	}
	t.Errorf("%s on %s was mended after %v, want at most %s", what, node, took, limit)
}

var stamp = regexp.MustCompile(`(?m)^\[(\S+)\] (Deleted )?.*\b` + regexp.QuoteMeta(vip) + `/`)

// goneFor deletes the address and returns how long it was gone, by the kernel's own events.
func (s *story) goneFor(t *testing.T, node, device, length string) time.Duration {
	t.Helper()
	var out bytes.Buffer
	end := make(chan os.Signal, 1)
	done := make(chan error, 1)
	// bash waits without a process of its own, which would compete with what is measured.
	line := "exec 9<> <(:); ip -4 -ts -o monitor address & read -rt 1 -u 9; ip address del " +
		vip + "/" + length + " dev " + device + "; read -rt 1 -u 9; kill $!; wait"
	go func() {
		_, err := s.Client.Exec(t.Context(), lab.Command{Host: node, Argv: []string{"bash", "-c", line}, Stdout: &out, Stderr: &out, Signals: end})
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		end <- syscall.SIGKILL
		t.Fatal("ip monitor does not end")
	}
	var gone time.Time
	for _, m := range stamp.FindAllStringSubmatch(out.String(), -1) {
		at, err := time.Parse("2006-01-02T15:04:05.999999", m[1])
		switch {
		case err != nil:
			t.Fatal(err)
		case m[2] != "":
			gone = at
		case !gone.IsZero():
			return at.Sub(gone)
		}
	}
	t.Logf("the monitor on %s missed an event:\n%s", node, &out)
	return time.Hour
}

// polledDrift changes what sends no events, and times its return inside the node: bash reads
// files without starting a process.
func polledDrift(t *testing.T, s *story) {
	for _, x := range []struct{ node, do, is, repaired string }{
		{"ka1", "ipvsadm -e -t " + vip + ":80 -r " + rs1 + " -g -w 7",
			`while read -r a b c d e; do [[ $b == AC19FE6E:0050 && $d == 2 ]] && back=1; done </proc/net/ip_vs`, rs1},
		{"rs1", "echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore",
			`read -r v </proc/sys/net/ipv4/conf/all/arp_ignore; [[ $v == 1 ]] && back=1`, "arp_ignore"},
	} {
		s.mends(t, time.Second, x.node, x.repaired, func() time.Duration {
			out := s.sh(t, x.node, `exec 9<> <(:); `+x.do+`; t=${EPOCHREALTIME/./}; back=0
			for ((k = 0; k < 1000 && !back; k++)); do `+x.is+`; ((back)) || read -rt 0.02 -u 9; done
			echo $((${EPOCHREALTIME/./} - t))`)
			us, err := strconv.Atoi(strings.TrimSpace(out))
			if err != nil {
				t.Fatal(err)
			}
			return time.Duration(us) * time.Microsecond
		})
	}
}
