package vrrpdtest

import (
	"log/slog"
	"os"
	"path/filepath"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrpd"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// credentials is where Start's environment sends vrrpd for secrets.
const credentials = "CREDENTIALS_DIRECTORY"

// Secret gives the node a secret, which configurations name.
func (n *Node) Secret(name, text string) {
	n.t.Helper()
	dir := filepath.Join(n.dir, "secrets")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// ForgetSecret takes a secret away.
func (n *Node) ForgetSecret(name string) {
	n.t.Helper()
	if err := os.Remove(filepath.Join(n.dir, "secrets", name)); err != nil {
		n.t.Fatal(err)
	}
}

// Apply makes the node run these virtual routers and no others.
func (n *Node) Apply(routers ...resource.VRRPInstance) {
	n.t.Helper()
	n.Do(channel.Request{Config: &channel.Config{Instances: routers}})
}

// Status is what vrrpd says now.
func (n *Node) Status() channel.Status {
	n.t.Helper()
	return *n.Do(channel.Request{Query: &channel.Query{}})
}

// Named is one virtual router now; the zero value if there is none of that name.
func (n *Node) Named(name string) channel.InstanceStatus {
	n.t.Helper()
	for _, i := range n.Status().Instances {
		if i.Name == name {
			return i
		}
	}
	return channel.InstanceStatus{}
}

// Running reports whether Start's process was not ended by Signal.
func (n *Node) Running() bool { return n.cmd != nil }

// Files are where the node's vrrpd keeps its things.
func (n *Node) Files(log slog.Handler) vrrpd.Options {
	return vrrpd.Options{
		Socket: filepath.Join(n.dir, "sock"), State: filepath.Join(n.dir, "state"), Lock: filepath.Join(n.dir, "lock"), Log: log,
	}
}
