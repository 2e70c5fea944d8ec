package proc

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// leaderlessEnv makes this program one whose first thread has ended, until its input does.
const leaderlessEnv = "HARECONCILE_TEST_LEADERLESS"

func init() {
	if os.Getenv(leaderlessEnv) == "" {
		return
	}
	runtime.LockOSThread() // of init that is the first one
	go func() {
		fmt.Println("runs")
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0) // of the thread alone
}

// TestThreadsThatAreLeft is of a process whose state is Z and that runs: one that is killed
// looks so until its last thread has ended.
func TestThreadsThatAreLeft(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), leaderlessEnv+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s, err := Look(cmd.Process.Pid); err != nil || !s.Gone(); s, err = Look(cmd.Process.Pid) {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the first thread goes on")
		}
	}
	p, err := Open(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Ended() {
		t.Error("a process with a thread left has ended")
	}
	_ = in.Close()
	if err := p.Wait(t.Context()); err != nil {
		t.Errorf("Wait for the last thread: %v", err)
	}
}
