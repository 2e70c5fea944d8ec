// Package scene looks at a lab the way an operator would, for the demo and the cluster tests.
package scene

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/lab"
)

// The sockets on every node.
const (
	agentSocket = "/run/hareconcile/agent.sock"
	vrrpdSocket = "/run/hareconcile/vrrpd.sock"
)

// A Scene is a lab that is up.
type Scene struct {
	*lab.Client
	// LoadClient is the path of the compiled test/load.
	LoadClient string
}

// Build compiles a package of the module that root is in.
func Build(ctx context.Context, root, pkg, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
	cmd.Dir = root
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, msg)
	}
	return nil
}

// A Result is what a command on a host said.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Exec runs a command on a host. Any exit code is a result, not an error.
func (s *Scene) Exec(ctx context.Context, host string, argv ...string) (Result, error) {
	return s.ExecInput(ctx, "", host, argv...)
}

// ExecInput is Exec with a text as standard input.
func (s *Scene) ExecInput(ctx context.Context, input, host string, argv ...string) (Result, error) {
	var out, msg bytes.Buffer
	code, err := s.Client.Exec(ctx, lab.Command{
		Host: host, Argv: argv, Dir: "/", Stdin: strings.NewReader(input), Stdout: &out, Stderr: &msg,
	})
	if err != nil {
		return Result{}, fmt.Errorf("run %s on %s: %w", strings.Join(argv, " "), host, err)
	}
	return Result{out.String(), msg.String(), code}, nil
}

// Output is Exec for commands that must succeed; it returns what they print.
func (s *Scene) Output(ctx context.Context, host string, argv ...string) (string, error) {
	r, err := s.Exec(ctx, host, argv...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("%s on %s: exit code %d: %s%s", strings.Join(argv, " "), host, r.Code, r.Stderr, r.Stdout)
	}
	return r.Stdout, err
}

// Agent returns the status of a node's agent.
func (s *Scene) Agent(ctx context.Context, node string) (control.Status, error) {
	var st control.Status
	err := s.ask(ctx, node, "status", &st)
	return st, err
}

func (s *Scene) ask(ctx context.Context, node, what string, v any) error {
	t := &http.Transport{DisableKeepAlives: true}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return s.Client.Dial(ctx, node, agentSocket)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/v1/"+what, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: t}).Do(r)
	if err != nil {
		return fmt.Errorf("ask the agent of %s: %w", node, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("ask the agent of %s: %w", node, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the agent of %s: %s: %s", node, resp.Status, b)
	}
	return json.Unmarshal(b, v)
}

// VRRPD returns the status of a node's vrrpd.
func (s *Scene) VRRPD(ctx context.Context, node string) (*channel.Status, error) {
	conn, err := s.Client.Dial(ctx, node, vrrpdSocket)
	if err != nil {
		return nil, err
	}
	c := channel.NewClient(conn)
	defer c.Close()
	r, err := c.Do(ctx, channel.Request{Version: channel.Version, Query: &channel.Query{}})
	if err != nil {
		return nil, fmt.Errorf("ask the vrrpd of %s: %w", node, err)
	}
	if r.Status == nil {
		return nil, fmt.Errorf("ask the vrrpd of %s: no status in its answer", node)
	}
	return r.Status, nil
}

// Transitions returns how often the nodes' virtual routers changed state, added up.
func (s *Scene) Transitions(ctx context.Context, nodes ...string) (uint64, error) {
	var n uint64
	for _, node := range nodes {
		st, err := s.VRRPD(ctx, node)
		if err != nil {
			return 0, err
		}
		for _, i := range st.Instances {
			n += i.Transitions
		}
	}
	return n, nil
}

// Holders returns the hosts that have an address on a link, loopback left out, and are not cut off.
func (s *Scene) Holders(ctx context.Context, address string) ([]string, error) {
	st, err := s.Status(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, h := range st.Hosts {
		if !h.Cut && slices.ContainsFunc(h.Addresses, func(a string) bool { return strings.HasPrefix(a, address+"/") }) {
			out = append(out, h.Name)
		}
	}
	return out, nil
}

// Until calls try every tenth of a second until it returns nil, and returns how long that
// took. When the time is over, the error is the last one that try gave.
func Until(ctx context.Context, limit time.Duration, what string, try func(context.Context) error) (time.Duration, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	last := errors.New("nothing was tried")
	for {
		err := try(ctx)
		if err == nil {
			return time.Since(start), nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return time.Since(start), fmt.Errorf("%s: not within %s: %w", what, limit, last)
		}
	}
}
