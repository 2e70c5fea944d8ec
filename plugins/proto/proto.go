// Package proto holds the protocol that the agent and its plugins speak. The Go code in
// the folders below is generated from the .proto files beside it by `go generate`, with
// Debian's protoc and the generators that go.mod names as tools.
package proto

//go:generate sh -ec "protoc -I . --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --plugin=protoc-gen-go-grpc=$(go tool -n protoc-gen-go-grpc) --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative hareconcile/plugin/v1/*.proto"

// What host and plugin agree on before the first call. The cookie is no secret: it only
// tells a plugin that a host started it.
const (
	CookieKey   = "HARECONCILE_PLUGIN_MAGIC_COOKIE"
	CookieValue = "5b1c8e5e0f3a4d0c9d53a1f5d0e4bb0f"
	// Version is the protocol spoken: the major version of package hareconcile.plugin.v1.
	Version = 1
	// BinaryPrefix and a plugin's name make the name of its binary.
	BinaryPrefix = "hareconcile-plugin-"
)

// What a plugin may serve beside what it has to, as its Info names it.
const (
	FeatureWatch    = "watch"
	FeatureCheckAll = "check_all"
)

// ReattachKey is the environment variable that says where plugins are that were started
// with -debug: a JSON object of Reattach by plugin. The agent ignores it.
const ReattachKey = "HARECONCILE_REATTACH_PLUGINS"

// A Reattach says where a plugin is that nobody has to start.
type Reattach struct {
	Protocol        string // grpc
	ProtocolVersion int
	Pid             int
	Test            bool
	Addr            struct{ Network, String string }
}
