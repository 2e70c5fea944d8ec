package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// A Client talks to a lab that is up.
type Client struct {
	dir string // the lab's folder
}

// A Command is a command line to run on a host of a lab.
type Command struct {
	Host string
	Argv []string
	// Env gives the command its language and terminal; most of it does not pass.
	Env []string
	// Dir is where the command runs, if the host has that folder.
	Dir string
	// Stdin, Stdout and Stderr may be nil.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Signals are sent to the command.
	Signals <-chan os.Signal
	// TTY gives the command a terminal of Rows and Cols; Stderr is not used then.
	TTY        bool
	Rows, Cols uint16
	// Resizes are new Rows and Cols.
	Resizes <-chan [2]uint16
}

// Exec runs a command on a host and returns its exit code. The end of ctx kills it.
func (c *Client) Exec(ctx context.Context, x Command) (int, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the goroutine that forwards signals
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	w := &frameWriter{w: conn}
	err = w.writeJSON(frameRequest, request{Op: "exec", Host: x.Host, Command: &command{
		Argv: x.Argv, Env: x.Env, Dir: x.Dir, TTY: x.TTY, Rows: x.Rows, Cols: x.Cols,
	}})
	if err != nil {
		return 0, fmt.Errorf("ask the lab: %w", err)
	}
	window := make(chan struct{}, inputWindow) // holds a token for every frame of input under way
	go x.sendInput(ctx, w, window)             // a read of standard input cannot be cut short; it ends with the program
	go x.sendSignals(ctx, w)
	r := bufio.NewReader(conn)
	for {
		t, b, err := readFrame(r)
		switch {
		case err != nil && ctx.Err() != nil:
			return 0, ctx.Err()
		case err != nil:
			return 0, fmt.Errorf("hear from the lab: %w", err)
		case t == frameStdout && x.Stdout != nil:
			_, err = x.Stdout.Write(b)
		case t == frameStderr && x.Stderr != nil:
			_, err = x.Stderr.Write(b)
		case t == frameTaken:
			select {
			case <-window:
			default: // for the end of input, which takes no token
			}
		case t == frameReply:
			return codeOf(b)
		}
		if err != nil {
			return 0, fmt.Errorf("write output: %w", err)
		}
	}
}

func (x Command) sendInput(ctx context.Context, w *frameWriter, window chan<- struct{}) {
	buf := make([]byte, chunk)
	for x.Stdin != nil {
		n, err := x.Stdin.Read(buf)
		if n > 0 {
			select {
			case window <- struct{}{}:
			case <-ctx.Done():
				return
			}
			if w.write(frameStdin, buf[:n]) != nil {
				return
			}
		}
		if err != nil {
			break
		}
	}
	_ = w.write(frameStdin, nil)
}

func (x Command) sendSignals(ctx context.Context, w *frameWriter) {
	for {
		select {
		case s := <-x.Signals:
			if n, ok := s.(syscall.Signal); ok {
				_ = w.write(frameSignal, []byte{byte(n)})
			}
		case z := <-x.Resizes:
			_ = w.write(frameResize, []byte{byte(z[0] >> 8), byte(z[0]), byte(z[1] >> 8), byte(z[1])})
		case <-ctx.Done():
			return
		}
	}
}

// Status returns what the lab consists of now.
func (c *Client) Status(ctx context.Context) (Status, error) {
	a, err := c.ask(ctx, request{Op: "status"})
	if err != nil {
		return Status{}, err
	}
	if a.Status == nil {
		return Status{}, errors.New("the lab's answer has no status")
	}
	return *a.Status, nil
}

// Start starts a service that Stop stopped.
func (c *Client) Start(ctx context.Context, host, service string) error {
	_, err := c.ask(ctx, request{Op: "start", Host: host, Service: service})
	return err
}

// Stop stops a service as systemd would, and waits until it has ended.
func (c *Client) Stop(ctx context.Context, host, service string) error {
	_, err := c.ask(ctx, request{Op: "stop", Host: host, Service: service})
	return err
}

// Kill sends a signal to a service; the supervisor restarts what ends of it.
func (c *Client) Kill(ctx context.Context, host, service string, sig syscall.Signal) error {
	_, err := c.ask(ctx, request{Op: "kill", Host: host, Service: service, Signal: int(sig)})
	return err
}

// Cut takes away the carrier of a host's links.
func (c *Client) Cut(ctx context.Context, host string) error {
	_, err := c.ask(ctx, request{Op: "cut", Host: host})
	return err
}

// Mend undoes Cut.
func (c *Client) Mend(ctx context.Context, host string) error {
	_, err := c.ask(ctx, request{Op: "mend", Host: host})
	return err
}

func (c *Client) ask(ctx context.Context, q request) (reply, error) {
	var a reply
	conn, err := c.dial(ctx)
	if err != nil {
		return a, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := (&frameWriter{w: conn}).writeJSON(frameRequest, q); err != nil {
		return a, fmt.Errorf("ask the lab: %w", err)
	}
	if err := readJSON(bufio.NewReader(conn), frameReply, &a); err != nil {
		return a, fmt.Errorf("hear from the lab: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(c.dir, socketName))
	if err != nil {
		return nil, fmt.Errorf("reach the lab: %w", err)
	}
	return conn, nil
}

// codeOf reads the reply to a command.
func codeOf(b []byte) (int, error) {
	var a reply
	if err := json.Unmarshal(b, &a); err != nil {
		return 0, fmt.Errorf("hear from the lab: %w", err)
	}
	if a.Error != "" {
		return a.Code, errors.New(a.Error)
	}
	return a.Code, nil
}
