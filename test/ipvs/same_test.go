package ipvs

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

const sameFolder = "testdata/same"

// sameFacts are what keepalived's checks find: server a is up, b is not, and of pool dead
// neither.
var sameFacts = reconcile.Facts{Servers: map[reconcile.ServerRef]reconcile.Verdict{
	"removed/a": reconcile.Up, "removed/b": reconcile.Down,
	"inhibited/a": reconcile.Up, "inhibited/b": reconcile.Down,
	"dead/a": reconcile.Down, "dead/b": reconcile.Down,
}}

// sameTable gives keepalived and us one definition of 25 services: every transport, both
// families, marks, every forwarding method and tunnel, schedulers with and without flags,
// persistence by mask, network and engine, one-packet, all ports, a range, thresholds, weight
// 0, servers that are removed and inhibited, a quorum that holds and one that does not, and
// sorry servers in force.
func sameTable(t *testing.T) {
	nstest.Need(t, "ipvsadm", "keepalived")
	ours, theirs := nstest.New(t), nstest.New(t)
	c := sameCluster(t)
	ours.Do(func() {
		hs := handlers(t)
		if err := plan(t, hs, target(t, c, "lb1", &sameFacts)).Apply(t.Context(), hs, nil); err != nil {
			t.Fatal(err)
		}
	})
	want := table(ours)
	if !slices.ContainsFunc(want, func(line string) bool { return strings.HasPrefix(line, "-> 10.0.0.11:80 1000 800 ") }) {
		t.Errorf("no thresholds in\n%s", strings.Join(want, "\n"))
	}
	services := slices.DeleteFunc(slices.Clone(want), func(line string) bool { return !strings.HasPrefix(line, "-A") })
	if len(services) != 25 {
		t.Errorf("%d services, want 25:\n%s", len(services), strings.Join(services, "\n"))
	}
	log := startKeepalived(t, theirs)
	got := table(theirs)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !slices.Equal(want, got) && time.Now().Before(end); got = table(theirs) {
		<-tick.C // its checks run once a second
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("ipvsadm -Sn (-keepalived +hareconcile):\n%s\nkeepalived said:\n%s", d, log())
	}
}

func sameCluster(t *testing.T) *spec.Cluster {
	t.Helper()
	tree, err := hcl.ReadTree(sameFolder)
	if err != nil {
		t.Fatal(err)
	}
	c, diagnostics := hcl.Compile(tree, hcl.Options{Node: "lb1"})
	if len(diagnostics) > 0 {
		t.Fatalf("diagnostics: %v", diagnostics)
	}
	return c
}

// table returns the lines of ipvsadm -Sn, and of the list of thresholds, which the former
// leaves out. They are sorted: the kernel lists services by hash, and servers in the order in
// which they were added. Nothing else has to be made alike.
func table(ns *nstest.NS) []string {
	lines := strings.Split(strings.TrimSpace(ns.Run("ipvsadm", "-Sn")), "\n")
	for line := range strings.Lines(ns.Run("ipvsadm", "-Ln", "--thresholds")) {
		f := strings.Fields(line)
		if len(f) > 3 && f[0] == "->" && (f[2] != "0" || f[3] != "0") {
			lines = append(lines, strings.Join(f, " "))
		}
	}
	slices.Sort(lines)
	return lines
}

// startKeepalived starts its checkers in ns until the test ends, and returns what gives its log.
func startKeepalived(t *testing.T, ns *nstest.NS) func() string {
	t.Helper()
	dir := t.TempDir()
	conf, err := filepath.Abs(filepath.Join(sameFolder, "keepalived.conf"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := ns.Cmd("keepalived", "-n", "-l", "-G", "-C", "-f", conf,
		"-p", filepath.Join(dir, "pid"), "-c", filepath.Join(dir, "checkers.pid"))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends its children
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() string {
		_ = cmd.Cancel()
		_ = cmd.Wait()
		return log.String()
	}
	t.Cleanup(func() { stop() })
	return stop
}
