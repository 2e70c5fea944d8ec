// Count runs `go test -json` with its arguments and counts the tests: a line for each
// package, failures whole, what was skipped and why, and at the end one line
// "N passed, N failed, N skipped". Behind `--` come the arguments of another run, which
// leaves out the packages that were tested before; one of single tests (-run) tests no
// package and leaves out none.
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
	"slices"
	"strings"
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
	t := newTally(out)
	seen := map[string]bool{}
	for _, group := range groups(args) {
		group, err := without(group, seen)
		if err != nil {
			return false, err
		}
		if err := once(group, t); err != nil {
			return false, err
		}
	}
	t.close()
	fmt.Fprintln(out, t.summary())
	return t.failed == 0, nil
}

// groups splits args at each "--".
func groups(args []string) [][]string {
	var out [][]string
	for {
		i := slices.Index(args, "--")
		if i < 0 {
			return append(out, args)
		}
		out = append(out, args[:i])
		args = args[i+1:]
	}
}

// without writes out the patterns of packages, which begin with "./", in the order in which
// they are written, less the packages that were seen.
func without(args []string, seen map[string]bool) ([]string, error) {
	if slices.Contains(args, "-run") {
		return args, nil
	}
	var out []string
	for _, arg := range args {
		if !strings.HasPrefix(arg, "./") {
			out = append(out, arg)
			continue
		}
		list, err := exec.Command("go", "list", arg).Output()
		if err != nil {
			return nil, fmt.Errorf("go list %s: %w", arg, err)
		}
		for _, p := range strings.Fields(string(list)) {
			if !seen[p] {
				seen[p] = true
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// once runs go test.
func once(args []string, t *tally) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	failed := t.failed
	read(pipe, t)
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if t.failed == failed {
		t.failed++ // go test itself had a reason, which it printed
	}
	return nil
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
