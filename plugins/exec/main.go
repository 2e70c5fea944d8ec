// Command hareconcile-plugin-exec is a track plugin: it runs a program of the host, as
// keepalived's vrrp_script does, and takes its exit status for the answer.
//
// A repository that says which programs run is a repository that runs them, so the host's
// owner has to allow it: `plugins { allow_exec = true }` in agent.hcl.
package main

import (
	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

func main() {
	sdk.Serve(&sdk.Config{Name: "exec", Version: build.Version, Track: newTracker()})
}
