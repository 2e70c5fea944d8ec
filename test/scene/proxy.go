package scene

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
)

// The sockets of the haproxy of examples/haproxy.
const (
	runtimeSocket = "/run/hareconcile/haproxy.sock"
	masterSocket  = "/run/haproxy-master.sock"
)

// A Proxy is a node's haproxy at one moment.
type Proxy struct {
	haproxy.Procs
	Servers []haproxy.ServerState
}

// Server returns a server of a backend, and false if the running worker does not have it.
func (p Proxy) Server(backend, name string) (haproxy.ServerState, bool) {
	for _, v := range p.Servers {
		if v.Backend == backend && v.Name == name {
			return v, true
		}
	}
	return haproxy.ServerState{}, false
}

// Worker returns the process that serves, and 0 if there is none.
func (p Proxy) Worker() int {
	if len(p.Workers) == 0 {
		return 0
	}
	return p.Workers[0].PID
}

// Proxy asks a node's haproxy what it consists of.
func (s *Scene) Proxy(ctx context.Context, node string) (Proxy, error) {
	var p Proxy
	reply, err := s.tell(ctx, node, masterSocket, "show proc")
	if err != nil {
		return p, err
	}
	if p.Procs, err = haproxy.ParseProcs(reply); err != nil {
		return p, fmt.Errorf("haproxy of %s: %w", node, err)
	}
	if reply, err = s.TellProxy(ctx, node, "show servers state"); err != nil {
		return p, err
	}
	if p.Servers, err = haproxy.ParseServers(reply); err != nil {
		return p, fmt.Errorf("haproxy of %s: %w", node, err)
	}
	return p, nil
}

// TellProxy gives a command to a node's haproxy on its runtime socket, as a person would.
func (s *Scene) TellProxy(ctx context.Context, node, command string) (string, error) {
	return s.tell(ctx, node, runtimeSocket, command)
}

// Connections returns how many clients a node's haproxy serves now.
func (s *Scene) Connections(ctx context.Context, node string) (int64, error) {
	reply, err := s.TellProxy(ctx, node, "show info")
	if err != nil {
		return 0, err
	}
	info, err := haproxy.ParseInfo(reply)
	if err != nil {
		return 0, fmt.Errorf("haproxy of %s: %w", node, err)
	}
	return info.Number("CurrConns"), nil
}

// Hold has a host begin a request at an address and not end it, until the returned function
// is called, or for a minute.
func (s *Scene) Hold(ctx context.Context, host, address string) (release func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.Exec(ctx, host, "bash", "-c",
			"exec 3<>/dev/tcp/"+address+"/80; printf 'GET / HTTP/1.1\\r\\n' >&3; read -rt 60 -u 3") // what it says matters to nobody
	}()
	return func() { cancel(); <-done }
}

// patience is how long haproxy may take to answer.
const patience = 5 * time.Second

func (s *Scene) tell(ctx context.Context, node, socket, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := s.Dial(ctx, node, socket)
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	return ask(c, command)
}

func ask(c net.Conn, command string) (string, error) {
	defer c.Close()
	// The master waits for more until it is told that there is nothing.
	if _, err := io.WriteString(c, command+"\nquit\n"); err != nil {
		return "", fmt.Errorf("tell haproxy %q: %w", command, err)
	}
	b, err := io.ReadAll(io.LimitReader(c, 1<<20))
	if err != nil {
		return "", fmt.Errorf("tell haproxy %q: %w", command, err)
	}
	return string(b), nil
}
