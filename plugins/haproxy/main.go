// Command hareconcile-plugin-haproxy is a track plugin: it asks a running haproxy over its
// runtime socket whether it serves.
//
// It may read the socket only as the user that the agent runs plugins as, so give that
// user's group access: `stats socket /run/haproxy/admin.sock mode 660 group hareconcile-plugin
// level user`.
package main

import (
	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

func main() {
	sdk.Serve(&sdk.Config{Name: "haproxy", Version: build.Version, Track: tracker{}})
}
