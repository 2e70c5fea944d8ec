// Command hareconcile-plugin-haproxy is a track plugin: it asks a running haproxy over its
// runtime socket whether it serves.
//
// It runs without privileges: what it reads of processes and sockets anybody may. Only the
// runtime socket needs the group of the user that the agent runs plugins as: `stats socket
// /run/haproxy/admin.sock mode 660 group hareconcile-plugin level user`.
package main

import (
	"runtime"

	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

func main() {
	// It mostly waits. A second thread that looks for work costs more than it does.
	runtime.GOMAXPROCS(1)
	sdk.Serve(&sdk.Config{Name: "haproxy", Version: build.Version, Track: newTracker()})
}
