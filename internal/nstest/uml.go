package nstest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/uml"
)

// guestDir is where the guest leaves what the outer process reads.
const guestDir = "/run/result"

// insideEnv tells a test that it runs in a guest.
const insideEnv = "HARECONCILE_TEST_INSIDE"

// guestModules are what tests use; the kernel loads others on demand.
var guestModules = []string{
	"ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_lc", "ip_vs_wlc", "ip_vs_sh", "ip_vs_mh",
	"dummy", "veth", "bridge",
}

// UML makes the test run where the kernel has IPVS. Where this one has, and where the test
// runs in the guest already, UML returns false and the test goes on. Otherwise UML runs the
// whole test again inside User-Mode Linux, reports the outcome as its own, and returns true:
// the caller returns at once. Subtests are reported one by one.
//
// A boot takes two seconds, so a package does best with one top-level test that calls UML.
// What the test finds in its environment there is env and RequireEnv. The guest has the host's
// file system, but for /run and /tmp, which are its own.
func UML(t *testing.T, env ...string) bool {
	t.Helper()
	if hasIPVS() {
		return false
	}
	if reason := missing("uml"); reason != "" {
		Need(t, "ip_vs", "uml")
	}
	if strings.Contains(t.Name(), "/") {
		t.Fatal("nstest.UML is for top-level tests")
	}
	dir := t.TempDir()
	output, status := bootTest(t, dir, env...)
	report(t, output, status)
	return true
}

// Guest is UML for tests that would harm the host, such as those that set its clock: they
// run in the guest even where the kernel has IPVS.
func Guest(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		return false
	}
	Need(t, "uml")
	output, status := bootTest(t, t.TempDir())
	report(t, output, status)
	return true
}

// bootTest runs the test in a guest and returns its output and exit status.
func bootTest(t *testing.T, dir string, env ...string) (output string, status int) {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), guestTime(t))
	defer cancel()
	var console bytes.Buffer
	g, err := uml.Boot(ctx, uml.Config{
		Init:   []string{guestBinary(t, dir), "-test.run=^" + t.Name() + "$", "-test.v", "-test.count=1"},
		Env:    append(env, RequireEnv+"="+os.Getenv(RequireEnv)),
		Dir:    wd,
		Mounts: []uml.Mount{{Host: dir, Guest: guestDir}},
		Stdout: &console,
	})
	if err != nil {
		t.Fatal(err)
	}
	waitErr := g.Wait()
	out, _ := os.ReadFile(filepath.Join(dir, "output"))
	code, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		t.Fatalf("the guest ended without a result (%v)\nconsole:\n%s\noutput:\n%s", waitErr, console.Bytes(), out)
	}
	status, err = strconv.Atoi(string(code))
	if err != nil {
		t.Fatalf("the guest's status is %q", code)
	}
	return string(out), status
}

// guestTime leaves the outer process time to report.
func guestTime(t *testing.T) time.Duration {
	limit := time.Duration(Trials(2, 60)) * time.Minute
	if d, ok := t.Deadline(); ok {
		limit = min(limit, time.Until(d)-5*time.Second)
	}
	return limit
}

// guestBinary returns a test binary that runs in the guest: this one, or one without the
// race detector, which needs more address space than User-Mode Linux has.
func guestBinary(t *testing.T, dir string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !raceEnabled {
		return exe
	}
	Need(t, "go")
	bin := filepath.Join(dir, "guest.test")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", bin, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build the test without the race detector: %v\n%s", err, out)
	}
	return bin
}

var resultLine = regexp.MustCompile(`(?m)^( *)--- (PASS|FAIL|SKIP): (\S+) \(`)

// report makes the guest's results those of t.
func report(t *testing.T, output string, status int) {
	t.Helper()
	passed := false
	for _, m := range resultLine.FindAllStringSubmatch(output, -1) {
		if m[3] == t.Name() {
			passed = m[2] == "PASS"
			if m[2] == "SKIP" {
				t.Skipf("in the guest:\n%s", output)
			}
			continue
		}
		if len(m[1]) != 4 { // one level of subtests
			continue
		}
		t.Run(strings.TrimPrefix(m[3], t.Name()+"/"), func(t *testing.T) {
			switch m[2] {
			case "FAIL":
				t.Error("failed in the guest")
			case "SKIP":
				t.Skip("skipped in the guest")
			}
		})
	}
	t.Logf("in User-Mode Linux:\n%s", output)
	if status != 0 || !passed {
		t.Errorf("the test failed in the guest with status %d", status)
	}
}

// In a guest the test binary is the first process. It prepares the guest, runs itself as a
// child, so that a panic is a failed test and not a failed kernel, and halts.
func init() {
	if !uml.InGuest() {
		return
	}
	status := 1
	if err := uml.GuestSetup(guestModules...); err != nil {
		fmt.Println(err)
	} else if status, err = runChild(); err != nil {
		fmt.Println(err)
	}
	_ = os.WriteFile(filepath.Join(guestDir, "status"), []byte(strconv.Itoa(status)), 0o644)
	uml.Halt()
}

func runChild() (int, error) {
	f, err := os.Create(filepath.Join(guestDir, "output"))
	if err != nil {
		return 1, err
	}
	defer f.Close()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdout, cmd.Stderr = f, f
	err = cmd.Run()
	if cmd.ProcessState == nil {
		return 1, err
	}
	return cmd.ProcessState.ExitCode(), nil
}
