package haproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/haproxy"
)

// A worker is a process of haproxy that serves, and no other one that gets its number later.
type worker struct {
	PID   int64
	Start int64 // seconds since 1970
}

// A grown worker has servers of which it was told while it ran, and so all that the structure To
// has, though it says that it was started with From.
type grown struct {
	Worker   worker
	From, To string
}

// info asks m's running worker of itself.
func (n *node) info(ctx context.Context, m Managed) (haproxy.Info, error) {
	reply, err := ask(ctx, m.RuntimeSocket, "show info")
	if err != nil {
		return nil, err
	}
	info, err := haproxy.ParseInfo(reply)
	if err != nil {
		return nil, fmt.Errorf("ask haproxy on %s: %w", m.RuntimeSocket, err)
	}
	return info, nil
}

func which(info haproxy.Info) worker {
	return worker{info.Number("Pid"), info.Number("Start_time_sec")}
}

// grown returns the structure that m's worker has, which says that it was started with from.
func (n *node) grown(ctx context.Context, m Managed, from string) (string, error) {
	r, err := n.record(m)
	if err != nil || r.Grown == nil || r.Grown.From != from {
		return from, err
	}
	info, err := n.info(ctx, m)
	if err != nil {
		return "", err
	}
	if r.Grown.Worker != which(info) {
		return from, nil
	}
	return r.Grown.To, nil
}

// takesServers reports whether a worker is to be told of new servers, as add_servers says. Until
// a change in February 2024 (server.c, srv_settings_cpy in cli_parse_add_server), which Debian's 2.6
// does not have, haproxy opened a connection for each request to a server that was added.
func takesServers(mode string, info haproxy.Info) bool {
	major, minor := info.Release()
	at := func(x, y int) bool { return major > x || major == x && minor >= y }
	switch mode {
	case "always":
		return at(2, 6)
	case "auto":
		return at(3, 0)
	}
	return false
}

// additions returns the servers of which the worker is to be told in the place of a reload; none
// where there has to be one.
func (n *node) additions(ctx context.Context, s step) ([]haproxy.Server, error) {
	if s.had == nil || s.want == nil || s.edited() || s.running == "" || haproxy.FileStructure(*s.had) != s.running {
		return nil, nil
	}
	added, ok := haproxy.Added(*s.had, *s.want)
	if !ok || !slices.Contains([]string{"auto", "always"}, s.m.AddServers) {
		return nil, nil
	}
	info, err := n.info(ctx, s.m)
	if err != nil || !takesServers(s.m.AddServers, info) {
		return nil, err
	}
	return added, nil
}

// errNotAdded is that haproxy did not take servers on its socket.
var errNotAdded = errors.New("haproxy did not take them")

// add writes the file, so that the next reload agrees, and tells the worker of the servers. They
// get no clients before their checks are on.
func (n *node) add(ctx context.Context, s *step, added []haproxy.Server) error {
	info, err := n.info(ctx, s.m)
	if err != nil {
		return err
	}
	from, err := n.started(ctx, s.m)
	if err != nil {
		return err
	}
	if err := n.write(s); err != nil {
		return err
	}
	for _, server := range added {
		if err := n.tell(ctx, s.m, server); err != nil {
			return fmt.Errorf("%w: server %s/%s: %w", errNotAdded, server.Backend, server.Name, err)
		}
	}
	s.record.Grown = &grown{Worker: which(info), From: from, To: s.structure}
	return errors.Join(n.remember(s.record), n.good(*s))
}

// registered is what haproxy says of a server that it took (server.c, cli_parse_add_server).
const registered = "New server registered"

// tell has a worker take one server.
func (n *node) tell(ctx context.Context, m Managed, server haproxy.Server) error {
	said, err := ask(ctx, m.RuntimeSocket, server.AddCommand())
	if err != nil {
		return err
	}
	if !strings.Contains(said, registered) {
		return fmt.Errorf("haproxy says: %.200s", strings.Join(strings.Fields(said), " "))
	}
	name := server.Backend + "/" + server.Name
	var commands []string
	if server.Checked() {
		commands = append(commands, "enable health "+name)
	}
	if !server.Disabled() {
		commands = append(commands, "set server "+name+" state ready")
	}
	if len(commands) > 0 {
		if _, err := ask(ctx, m.RuntimeSocket, commands...); err != nil {
			return err
		}
	}
	return n.present(ctx, m, server)
}

// present looks whether the worker has a server as it was added.
func (n *node) present(ctx context.Context, m Managed, want haproxy.Server) error {
	reply, err := ask(ctx, m.RuntimeSocket, "show servers state "+want.Backend)
	if err != nil {
		return err
	}
	list, err := haproxy.ParseServers(reply)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(s haproxy.ServerState) bool { return s.Name == want.Name })
	switch {
	case i < 0:
		return errors.New("it is not there")
	case (list[i].Admin != 0) != want.Disabled():
		return fmt.Errorf("its administrative state is %d", list[i].Admin)
	}
	return nil
}
