package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// What -describe may use.
const (
	maxDescription = 256 << 10 // bytes that it prints
	// A shell sets the limits, so that they hold before the first instruction of the plugin:
	// 10 s of computing and 1 GiB of data.
	limited = `ulimit -t 10 && ulimit -d 1048576 && exec "$0" -describe`
)

// Describe runs a plugin's -describe, within limits, and returns what it printed and what
// that means.
func Describe(ctx context.Context, o Options) (d sdk.Description, text []byte, err error) {
	if o, err = o.absolute(); err != nil {
		return d, nil, err
	}
	cmd := o.command("/bin/sh", "-c", limited, o.Binary)
	var out, stderr bounded
	out.most, stderr.most = maxDescription, 4<<10
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := o.run(ctx, cmd, patience); err != nil {
		return d, nil, fmt.Errorf("-describe: %w%s", err, stderr.quoted())
	}
	if out.over {
		return d, nil, fmt.Errorf("-describe printed more than %d bytes", maxDescription)
	}
	if err := json.Unmarshal(out.text.Bytes(), &d); err != nil {
		return d, nil, fmt.Errorf("-describe printed no schema: %w", err)
	}
	return d, out.text.Bytes(), nil
}

// errLate says that a process was ended because it took too long.
var errLate = errors.New("it did not end in time and was killed")

// run runs a command to its end, or ends it and its group after a while.
func (o Options) run(ctx context.Context, cmd *exec.Cmd, most time.Duration) error {
	cmd.WaitDelay = time.Second // a descendant may hold the pipes open
	if err := o.launch(cmd.Start); err != nil {
		return err
	}
	ended := make(chan error, 1) // Wait's result, also if it comes late
	go func() { ended <- cmd.Wait() }()
	timer := time.NewTimer(most)
	defer timer.Stop()
	reason := errLate
	select {
	case err := <-ended:
		return err
	case <-timer.C:
	case <-ctx.Done():
		reason = ctx.Err()
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // not waited for yet, so the number is its
	<-ended
	return reason
}

// A bounded buffer drops what is too much. It embeds no bytes.Buffer, whose ReadFrom would
// be called instead of Write.
type bounded struct {
	text bytes.Buffer
	most int
	over bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	fits := min(len(p), b.most-b.text.Len())
	b.over = b.over || fits < len(p)
	b.text.Write(p[:fits])
	return len(p), nil
}

// quoted is what was written, as the end of a sentence.
func (b *bounded) quoted() string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(b.text.String(), "?")), " ")
	if s == "" {
		return ""
	}
	return fmt.Sprintf(": %.300q", s)
}

// lastLine is the end of what was written, which tells most in a stack of calls, as the end of
// a sentence.
func (b *bounded) lastLine() string {
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(b.text.String(), "?")), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return fmt.Sprintf("; the last line of its errors: %.300s", last)
	}
	return ""
}
