package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// approve asks a question as terraform does, for a command: nil is a yes.
func (e *env) approve(ctx context.Context, command, question string) error {
	fmt.Fprintf(e.stdout, "%s  Only 'yes' will be accepted to approve.\n\n  Enter a value: ", question)
	answers := make(chan string, 1) // room for an answer that nobody waits for any more
	go func() {
		line, _ := bufio.NewReader(io.LimitReader(e.stdin, 4096)).ReadString('\n')
		answers <- line
	}()
	var answer string
	select {
	case <-ctx.Done(): // the reader above cannot be interrupted and ends with the process
	case answer = <-answers:
	}
	fmt.Fprintln(e.stdout)
	switch strings.TrimSpace(answer) {
	case "yes":
		return nil
	case "":
		return fmt.Errorf("nothing was applied: there was no answer; run %s in a terminal or with -auto-approve", command)
	}
	return errors.New(command + " cancelled: nothing was changed")
}
