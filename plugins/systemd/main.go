// Command hareconcile-plugin-systemd is a track plugin: it asks systemd over D-Bus what state
// a unit is in, and hears at once when that changes.
//
// It needs no rights: everybody may read the states of units on the system bus.
package main

import (
	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

func main() {
	sdk.Serve(&sdk.Config{Name: "systemd", Version: build.Version, Track: newTracker()})
}
