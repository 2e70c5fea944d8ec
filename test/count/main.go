// Count runs `go test -json` with its arguments and counts the tests: a line for each
// package, failures whole, what was skipped and why, and at the end one line
// "N passed, N failed, N skipped".
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	ok, err := run(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "count:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// run tests what args say and reports whether everything passed.
func run(args []string, out io.Writer) (bool, error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	t := newTally(out)
	read(pipe, t)
	err = cmd.Wait()
	t.close()
	var exit *exec.ExitError
	if errors.As(err, &exit) && t.failed == 0 {
		t.failed++ // go test itself had a reason, which it printed
	}
	fmt.Fprintln(out, t.summary())
	if err != nil && !errors.As(err, &exit) {
		return false, err
	}
	return t.failed == 0, nil
}

// read feeds the events of r to t. Lines that are no events are passed on.
func read(r io.Reader, t *tally) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil && e.Action != "" {
			t.add(e)
		} else if len(line) > 0 {
			fmt.Fprintf(t.out, "%s\n", bytes.TrimSuffix(line, []byte("\n")))
		}
		if err != nil {
			return
		}
	}
}
