// Command hareconcile-plugin-nginx is a track plugin: it looks at a running nginx, its
// processes, its listeners and what it answers, and says whether it serves.
//
// It needs no rights but to read the pid file. With the rights to trace nginx it also sees
// which process has which listener.
package main

import (
	"runtime"

	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

func main() {
	// It mostly waits. A second thread that looks for work costs more than it does.
	runtime.GOMAXPROCS(1)
	sdk.Serve(&sdk.Config{Name: "nginx", Version: build.Version, Track: newTracker()})
}
