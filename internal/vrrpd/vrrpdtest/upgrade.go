package vrrpdtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
)

// UpgradeOver upgrades vrrpd to the program on disk over the channel.
func (n *Node) UpgradeOver() (*channel.Status, error) {
	return channel.UpgradeVRRPD(n.t.Context(), filepath.Join(n.dir, "sock"))
}

// UpgradeBySignal does so as the service manager does, and waits for the new program.
func (n *Node) UpgradeBySignal() {
	n.t.Helper()
	query := channel.Request{Query: &channel.Query{}}
	before := n.Do(query).Upgrades
	n.Signal(syscall.SIGUSR2)
	n.Eventually("the new program", 10*time.Second, func() bool { return n.Do(query).Upgrades == before+1 })
}

var gapPattern = regexp.MustCompile(`msg="program goes on".* gap=(\S+)`)

// Gaps returns for how long each upgrade left the virtual routers alone.
func (n *Node) Gaps() []time.Duration {
	n.t.Helper()
	b, err := os.ReadFile(n.log.Name())
	if err != nil {
		n.t.Fatal(err)
	}
	var gaps []time.Duration
	for _, m := range gapPattern.FindAllStringSubmatch(string(b), -1) {
		d, err := time.ParseDuration(m[1])
		if err != nil {
			n.t.Fatal(err)
		}
		gaps = append(gaps, d)
	}
	return gaps
}

// Scheduling returns how many threads of vrrpd have each scheduling policy (sched(7)), and
// whether memory is locked.
func (n *Node) Scheduling() (policies map[string]int, locked bool) {
	n.t.Helper()
	proc := fmt.Sprintf("/proc/%d", n.PID())
	stats, err := filepath.Glob(proc + "/task/*/stat")
	if err != nil {
		n.t.Fatal(err)
	}
	policies = map[string]int{}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if fields := strings.Fields(rest); len(fields) > 38 {
			policies[fields[38]]++ // field 41 of proc_pid_stat(5)
		}
	}
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		n.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmLck:")
	return policies, !strings.HasPrefix(strings.TrimSpace(rest), "0 kB")
}
