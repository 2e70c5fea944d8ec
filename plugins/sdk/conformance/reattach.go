package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"

	"github.com/hareconcile/hareconcile/plugins/proto"
)

// Attach connects to a plugin that was started with -debug. text is what that printed: the
// content of the environment variable proto.ReattachKey. Only commands for developers call
// it; the agent speaks to nothing that it has not started itself.
func Attach(text, name string) (*Process, error) {
	var all map[string]proto.Reattach
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("%s holds no JSON object: %w", proto.ReattachKey, err)
	}
	at, ok := all[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("%s has no plugin %q; start it with -debug, and set the variable to what that prints", proto.ReattachKey, name)
	case at.ProtocolVersion != proto.Version || at.Addr.Network != "unix":
		return nil, fmt.Errorf("plugin %q speaks version %d on %q, want version %d on a Unix socket",
			name, at.ProtocolVersion, at.Addr.Network, proto.Version)
	}
	info, err := os.Lstat(at.Addr.String)
	if err != nil {
		return nil, fmt.Errorf("find plugin %q: %w", name, err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return nil, fmt.Errorf("the socket of plugin %q belongs to user %d; run both as one user", name, owner)
	}
	conn, err := dial(at.Addr.String, nil, true)
	if err != nil {
		return nil, err
	}
	return &Process{Client: NewClient(conn), Conn: conn}, nil
}
