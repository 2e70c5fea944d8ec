package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-plugin"

	"github.com/hareconcile/hareconcile/plugins/proto"
)

// serveDebug serves c without an agent until it is interrupted. There are no certificates:
// what keeps others away is the folder of the socket, which only this user may enter. The
// agent asks no plugin that it has not started; `hareconcile plugin check -reattach` does.
func serveDebug(c *Config, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "plugin")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Setenv(plugin.EnvUnixSocketDir, dir)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	reattach := make(chan *plugin.ReattachConfig, 1) // one, before Serve accepts
	closed := make(chan struct{})                    // closed by Serve
	cfg := serveConfig(c)
	cfg.Test = &plugin.ServeTestConfig{Context: ctx, ReattachConfigCh: reattach, CloseCh: closed}
	go plugin.Serve(cfg)
	select {
	case r := <-reattach:
		if err := printReattach(stdout, c.Name, r); err != nil {
			_, _ = fmt.Fprintln(stderr, err)
			stop()
		}
	case <-closed: // it has said why
		return 1
	}
	<-closed
	return 0
}

// printReattach prints a line for a shell.
func printReattach(w io.Writer, name string, r *plugin.ReattachConfig) error {
	at := proto.Reattach{Protocol: string(r.Protocol), ProtocolVersion: r.ProtocolVersion, Pid: r.Pid, Test: r.Test}
	at.Addr.Network, at.Addr.String = r.Addr.Network(), r.Addr.String()
	b, err := json.Marshal(map[string]proto.Reattach{name: at})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s='%s'\n", proto.ReattachKey, b)
	return err
}
