package spawn

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Run runs cmd, which has Setpgid, with no more privileges than it is started with, and
// returns the first bytes of what it wrote to either stream. If ctx ends first, it and its
// process group are ended: politely, and after grace not. When Run returns, nothing of the
// group is left. cmd.ProcessState is nil if it was not started; otherwise the error is ctx's.
func Run(ctx context.Context, cmd *exec.Cmd, most int, grace time.Duration) (said string, err error) {
	out, in, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Close() }() // it was only read
	cmd.Stdout, cmd.Stderr = in, in
	var heard bytes.Buffer
	OnOwnThread(func() {
		err = Humble()
		if err == nil {
			err = cmd.Start()
		}
		_ = in.Close() // the child has its own
		if err != nil {
			err = fmt.Errorf("start: %w", err)
			return
		}
		read := make(chan struct{}) // closed when nothing more is read
		go func() {
			defer close(read)
			listen(out, &heard, most)
		}()
		err = end(ctx, cmd, grace)
		// A descendant that left the group may hold the pipe open: nobody waits for it.
		_ = out.SetReadDeadline(time.Now().Add(grace / 10))
		<-read
	})
	return heard.String(), err
}

// listen keeps the beginning of what is said and reads on, so that nobody waits for a
// reader.
func listen(out *os.File, keep *bytes.Buffer, most int) {
	buf := make([]byte, 4<<10)
	for {
		n, err := out.Read(buf)
		keep.Write(buf[:min(n, most-min(keep.Len(), most))])
		if err != nil {
			return
		}
	}
}

// end waits for the program, or ends it and its group with ctx: politely, then not. It
// reaps it when the group is gone, while its id is still its own.
func end(ctx context.Context, cmd *exec.Cmd, grace time.Duration) error {
	exited := make(chan struct{}) // closed when the program has ended and is not reaped
	go func() {
		defer close(exited)
		AwaitExit(cmd.Process.Pid)
	}()
	var err error
	select {
	case <-exited:
	case <-ctx.Done():
		err = ctx.Err()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // ends by itself at the same time at worst
		patience := time.NewTimer(grace)
		defer patience.Stop()
		select {
		case <-exited:
		case <-patience.C:
		}
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the program, or its zombie, keeps the id
	<-exited
	_ = cmd.Wait() // what it says is in cmd.ProcessState
	return err
}
