package crash_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
)

// user is the configuration of whoever runs haproxy.
const user = `
global
  maxconn 100
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend user
  bind 127.0.0.1:8001
  http-request return status 200
`

// proxy is a definition; WORK stands for the node's folder.
const proxy = `
cluster "edge" {
  node "rs1" { address = "172.25.254.10" }

  rollout { min_healthy_time = "0s" }
}

haproxy "edge" {
  nodes          = ["rs1"]
  config_dir     = "WORK/conf"
  runtime_socket = "WORK/r.sock"
  master_socket  = "WORK/m.sock"

  reload {
    min_interval = "0s"
    timeout      = "30s"
    on_failure   = "restore"
  }

  defaults "http" {
    mode     = "http"
    timeouts = { connect = "1s", client = "1s", server = "1s" }
  }

  frontend "web" {
    from            = "http"
    default_backend = "app"

    bind "http" {
      address = "127.0.0.1"
      port    = 8002
    }
  }

  backend "app" {
    from = "http"

    dynamic "server" {
      for_each = SERVERS
      labels   = [server.key]

      content {
        address = "127.0.0.1"
        port    = 8001
        weight  = server.value
      }
    }
  }
}
`

// proxied is a haproxy whose servers have these weights.
func proxied(servers string) string { return strings.Replace(proxy, "SERVERS", servers, 1) }

// startHAProxy starts what a story's haproxy block manages.
func startHAProxy(n *node) {
	n.t.Helper()
	n.write("user.cfg", user)
	if err := os.Mkdir(filepath.Join(n.dir, "conf"), 0o755); err != nil {
		n.t.Fatal(err)
	}
	cmd := n.ns.Cmd("haproxy", "-W", "-S", n.dir+"/m.sock", "-f", n.dir+"/user.cfg", "-f", n.dir+"/conf")
	cmd.Stdout, cmd.Stderr = n.log, n.log
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
	n.until("haproxy listens", func() error { _, err := os.Stat(n.dir + "/m.sock"); return err })
}

// served is the managed file, and what weight each server has by the running haproxy.
func served(n *node) string {
	n.t.Helper()
	out := read(n.dir, "conf/50-hareconcile.cfg")
	n.until("haproxy answers", func() error {
		ctx, cancel := context.WithTimeout(n.t.Context(), time.Second)
		defer cancel()
		answer, err := socket.Ask(ctx, n.dir+"/r.sock", "show servers state")
		if err != nil {
			return err
		}
		for line := range strings.Lines(answer) { // be_id be_name srv_id srv_name srv_addr op admin uweight
			if f := strings.Fields(line); len(f) > 8 && f[1] == "app" {
				out += fmt.Sprintf("%s %s\n", f[3], f[7])
			}
		}
		return nil
	})
	return out
}
