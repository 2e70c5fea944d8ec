package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A servant is this program in another role and namespace, which answers each line that it
// reads with a line of JSON. It ends when nobody asks any more.
type servant struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newServant(ctx context.Context, ns string, args ...string) (*servant, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startServant(inside(ctx, ns, self, args...))
}

// startServant is newServant for a command that needs no namespace.
func startServant(cmd *exec.Cmd) (*servant, error) {
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %v: %w", cmd.Args, err)
	}
	return &servant{cmd, in, bufio.NewReader(out)}, nil
}

// ask sends a line and reads the answer.
func (s *servant) ask(line string, into any) error {
	if _, err := fmt.Fprintln(s.in, line); err != nil {
		return err
	}
	answer, err := s.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return json.Unmarshal(answer, into)
}

func (s *servant) close() {
	_ = s.in.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed
}

// serve is a servant's side: it answers lines until there are no more.
func serve(answer func(line string) (any, error)) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		v, err := answer(strings.TrimSpace(lines.Text()))
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
			return err
		}
	}
	return lines.Err()
}
